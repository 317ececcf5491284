import { LIMITS } from '../../limits.js';

/** What follows each opcode of protocols 0 to 5, by its byte: a number of bytes, a length and that many bytes, or lines. */
const ARGUMENTS: Readonly<Record<string, number | 'lines' | 'line' | Length>> = {
  '\x80': 1,
  '\x95': 8,
  ...Object.fromEntries(
    Array.from('.(012abdelost)}]NuR\x81\x85\x86\x87\x88\x89\x8f\x90\x91\x92\x93\x94\x97\x98Q', (code) => [code, 0]),
  ),
  ...Object.fromEntries(Array.from('FILSVPgp', (code) => [code, 'line' as const])),
  J: 4,
  K: 1,
  M: 2,
  G: 8,
  h: 1,
  q: 1,
  j: 4,
  r: 4,
  '\x82': 1,
  '\x83': 2,
  '\x84': 4,
  c: 'lines',
  i: 'lines',
  T: { lengthBytes: 4 },
  U: { lengthBytes: 1 },
  X: { lengthBytes: 4 },
  B: { lengthBytes: 4 },
  C: { lengthBytes: 1 },
  '\x8a': { lengthBytes: 1 },
  '\x8b': { lengthBytes: 4 },
  '\x8c': { lengthBytes: 1 },
  '\x8d': { lengthBytes: 8 },
  '\x8e': { lengthBytes: 8 },
  '\x96': { lengthBytes: 8 },
};

interface Length {
  readonly lengthBytes: number;
}

const STOP = 0x2e;
/** REDUCE, BUILD, OBJ, NEWOBJ, NEWOBJ_EX: they call what was named before. */
const CALLS: ReadonlySet<number> = new Set([0x52, 0x62, 0x6f, 0x81, 0x92]);
/** EXT1, EXT2, EXT4: they name something by its number in a registry. */
const EXTENSIONS: ReadonlySet<number> = new Set([0x82, 0x83, 0x84]);
const [GLOBAL, INST, STACK_GLOBAL] = [0x63, 0x69, 0x93];
const IDENTIFIER = /^[\w.]{1,500}$/;

/**
 * What bytes that are read as a pickle would import or call: the first name of it, such as `posix.system`; null where they are no
 * pickle, undefined where they are one of plain data as far as they go. Only steps over opcodes, of any protocol and of every pickle
 * in a row: nothing is built. What `isHarmless` knows may be named and called. Text that happens to begin like an import is told from a pickle by what follows: its end, or a call.
 */
export function calledByPickle(
  bytes: Uint8Array,
  isHarmless: (module: string, name: string) => boolean = () => false,
): string | null | undefined {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let imported: string | undefined;
  const strings: string[] = []; // the last two: of a STACK_GLOBAL
  let at = 0;
  for (let count = 0; count < LIMITS.pickleOpcodes; count++) {
    if (at >= text.length) return imported; // cut short after an import
    const code = text[at++];
    const argument = ARGUMENTS[String.fromCharCode(code)];
    if (argument === undefined) return null;
    if (code === STOP || CALLS.has(code)) {
      if (imported !== undefined) return imported;
      continue;
    }
    if (EXTENSIONS.has(code)) imported ??= 'an extension';
    else if (code === STACK_GLOBAL && !(strings.length === 2 && isHarmless(strings[0], strings[1])))
      imported ??= strings.length === 2 ? strings.join('.') : 'a name it makes up';
    const end = endOfArgument(text, at, argument);
    if (end < 0) return imported;
    if (code === GLOBAL || code === INST) {
      const [module, name] = text.toString('latin1', at, end).split('\n');
      if (!IDENTIFIER.test(module) || !IDENTIFIER.test(name)) return null;
      if (!isHarmless(module, name)) imported ??= `${module}.${name}`;
      if (code === INST && imported) return imported;
    } else if (typeof argument === 'object') {
      strings.push(text.toString('latin1', at + argument.lengthBytes, Math.min(end, at + 200)));
      if (strings.length > 2) strings.shift();
    }
    at = end;
  }
  return imported;
}

/** Where what follows an opcode ends; -1 where the file does first. */
function endOfArgument(text: Buffer, at: number, argument: number | 'lines' | 'line' | Length): number {
  if (typeof argument === 'number') return at + argument;
  if (argument === 'line' || argument === 'lines') {
    const first = text.indexOf(0x0a, at) + 1;
    if (first === 0 || argument === 'line') return first || -1;
    return text.indexOf(0x0a, first) + 1 || -1;
  }
  const start = at + argument.lengthBytes;
  if (start > text.length) return -1;
  const length =
    argument.lengthBytes === 8 ? Number(text.readBigUInt64LE(at)) : text.readUIntLE(at, argument.lengthBytes);
  return start + length <= text.length ? start + length : -1;
}
