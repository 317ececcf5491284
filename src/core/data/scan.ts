/**
 * The parts of a JSON scanner over bytes that are known to be valid UTF-8 and to end in a newline. Each function takes a
 * position and returns the one after what it read, or -1 for anything it is not sure of: the strict parser decides then.
 */

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const FIRST_PRINTABLE = 0x20;
const SPACE = 0x20;
const TAB = 0x09;
const CARRIAGE_RETURN = 0x0d;
const LETTER_U = 0x75;

/** `"\/bfnrt`: the characters that may follow a backslash and stand for one character. */
const SIMPLE_ESCAPES = new Set(Buffer.from('"\\/bfnrt'));

/** Past spaces within a line. */
export function skipSpace(bytes: Uint8Array, at: number): number {
  let p = at;
  while (bytes[p] === SPACE || bytes[p] === TAB || bytes[p] === CARRIAGE_RETURN) p++;
  return p;
}

/** Past a string whose value does not matter. */
export function skipString(bytes: Uint8Array, at: number): number {
  if (bytes[at] !== QUOTE) return -1;
  for (let p = at + 1; ; p++) {
    const byte = bytes[p];
    if (byte === QUOTE) return p + 1;
    if (byte === BACKSLASH) {
      p = skipEscape(bytes, p);
      if (p < 0) return -1;
    } else if (byte < FIRST_PRINTABLE) return -1;
  }
}

/** Past a string that is its own value: no escapes, not empty. */
export function scanPlainString(bytes: Uint8Array, at: number): number {
  if (bytes[at] !== QUOTE || bytes[at + 1] === QUOTE) return -1;
  for (let p = at + 1; ; p++) {
    const byte = bytes[p];
    if (byte === QUOTE) return p + 1;
    if (byte === BACKSLASH || byte < FIRST_PRINTABLE) return -1;
  }
}

/** From a backslash to the last character of its escape. Surrogates and NUL are left to the strict parser. */
function skipEscape(bytes: Uint8Array, at: number): number {
  if (bytes[at + 1] !== LETTER_U) return SIMPLE_ESCAPES.has(bytes[at + 1]) ? at + 1 : -1;
  let unit = 0;
  for (let p = at + 2; p < at + 6; p++) {
    const digit = hexDigit(bytes[p]);
    if (digit < 0) return -1;
    unit = unit * 16 + digit;
  }
  return unit === 0 || (unit >= 0xd800 && unit <= 0xdfff) ? -1 : at + 5;
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = (byte | 0x20) - 0x61;
  return letter >= 0 && letter < 6 ? letter + 10 : -1;
}

/** Past a number in JSON's grammar; whether it is finite is not looked at. */
export function scanNumber(bytes: Uint8Array, at: number): number {
  let p = bytes[at] === 0x2d ? at + 1 : at;
  const first = p;
  while (isDigit(bytes[p])) p++;
  if (p === first || (bytes[first] === 0x30 && p > first + 1)) return -1;
  if (bytes[p] === 0x2e) {
    const fraction = ++p;
    while (isDigit(bytes[p])) p++;
    if (p === fraction) return -1;
  }
  if ((bytes[p] | 0x20) === 0x65) {
    p++;
    if (bytes[p] === 0x2b || bytes[p] === 0x2d) p++;
    const exponent = p;
    while (isDigit(bytes[p])) p++;
    if (p === exponent) return -1;
  }
  return p;
}

const isDigit = (byte: number): boolean => byte >= 0x30 && byte <= 0x39;

/** Whether `bytes[start, end)` is the text. */
export function equalsText(bytes: Uint8Array, start: number, end: number, text: Uint8Array): boolean {
  if (end - start !== text.length) return false;
  for (let i = 0; i < text.length; i++) if (bytes[start + i] !== text[i]) return false;
  return true;
}

/** Finds a field's number by its name's bytes. */
export class FieldTable {
  private readonly byHash = new Int8Array(256).fill(-1);
  private readonly names: readonly Uint8Array[];

  /** @throws RangeError if two names have the same hash: then the hash needs other factors */
  constructor(names: readonly string[]) {
    this.names = names.map((name) => Buffer.from(name));
    this.names.forEach((name, field) => {
      const hash = shortHash(name, 0, name.length);
      if (this.byHash[hash] >= 0) throw new RangeError(`${names[field]} has the hash of another field`);
      this.byHash[hash] = field;
    });
  }

  /** The field's place in the list of names, or -1. */
  find(bytes: Uint8Array, start: number, end: number): number {
    const field = this.byHash[shortHash(bytes, start, end)];
    return field >= 0 && equalsText(bytes, start, end, this.names[field]) ? field : -1;
  }
}

/** Tells the few field names of a format apart. */
const shortHash = (bytes: Uint8Array, start: number, end: number): number =>
  ((end - start) * 31 + bytes[start] * 7 + bytes[end - 1]) & 0xff;
