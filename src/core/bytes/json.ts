import { type ErrorCode, HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';

export type JsonValue = null | boolean | number | string | JsonValue[] | { [key: string]: JsonValue };

export interface ParseJsonOptions {
  /** What errors call the document: a file's base name. */
  readonly name: string;
  /** Code of the error thrown for a bad document. */
  readonly code?: ErrorCode;
  readonly maxBytes?: number;
  readonly maxDepth?: number;
  /** Members of any one object. */
  readonly maxMembers?: number;
  /** Numbers must be written as plain digits, at most 2^53 - 1: no sign, fraction or exponent (`1e3`). */
  readonly naturals?: boolean;
}

export type JsonObject = { [key: string]: JsonValue };

/**
 * Makes objects that inherit nothing, so that no key of a document (`__proto__`, `constructor`) has a meaning.
 * Not Object.create(null): V8 keeps those as hash tables, five times larger.
 */
function BareObject(): void {}
BareObject.prototype = Object.freeze(Object.create(null));
const newObject = (): JsonObject => new (BareObject as unknown as new () => JsonObject)();

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;

/** Recursive descent over the text, its depth bounded by `maxDepth`. */
class JsonParser {
  private at = 0;
  private depth = 0;
  private values = 0;

  constructor(
    private readonly text: string,
    private readonly options: Required<ParseJsonOptions>,
  ) {}

  document(): JsonValue {
    const value = this.value();
    if (this.peek() !== '') throw this.error('something follows the end of the document');
    return value;
  }

  private value(): JsonValue {
    if (++this.values > LIMITS.jsonValues) throw this.error(`more than ${LIMITS.jsonValues} values`);
    switch (this.peek()) {
      case '{':
        return this.object();
      case '[':
        return this.array();
      case '"':
        return this.string();
      case 't':
        return this.word('true', true);
      case 'f':
        return this.word('false', false);
      case 'n':
        return this.word('null', null);
      default:
        return this.number();
    }
  }

  private object(): JsonObject {
    this.enter();
    const object = newObject();
    if (!this.accept('}')) {
      let members = 0;
      do {
        if (++members > this.options.maxMembers) throw this.error(`more than ${this.options.maxMembers} members`);
        this.member(object);
      } while (this.accept(','));
      this.expect('}');
    }
    this.depth--;
    return object;
  }

  private member(object: JsonObject): void {
    if (this.peek() !== '"') throw this.error('a key in double quotes is due');
    const start = this.at;
    const key = this.string();
    if (key in object) throw this.error(`duplicate key ${quote(key)}`, start);
    this.expect(':');
    object[key] = this.value();
  }

  private array(): JsonValue[] {
    this.enter();
    const array: JsonValue[] = [];
    if (!this.accept(']')) {
      do array.push(this.value());
      while (this.accept(','));
      this.expect(']');
    }
    this.depth--;
    return array;
  }

  private enter(): void {
    if (++this.depth > this.options.maxDepth) throw this.error(`nested deeper than ${this.options.maxDepth}`);
    this.at++;
  }

  private string(): string {
    const start = this.at++;
    let escaped = false;
    for (; ; this.at++) {
      const code = this.text.charCodeAt(this.at);
      if (code === 0x22) break; // the closing quote
      if (code === 0x5c) {
        escaped = true;
        this.at++; // whatever is escaped, it does not close the string
      } else if (!(code >= 0x20)) {
        throw this.error(Number.isNaN(code) ? 'a string is not closed' : 'a control character in a string');
      }
    }
    this.at++;
    return escaped ? this.unescape(start) : this.text.slice(start + 1, this.at - 1);
  }

  /** The string literal from `start` up to here; its escapes are left to the platform. */
  private unescape(start: number): string {
    let value: string;
    try {
      value = JSON.parse(this.text.slice(start, this.at));
    } catch {
      throw this.error('a bad escape in a string', start);
    }
    if (LONE_SURROGATE.test(value)) throw this.error('half a surrogate pair in a string', start);
    return value;
  }

  private number(): number {
    NUMBER.lastIndex = this.at;
    if (!NUMBER.test(this.text)) throw this.error(this.peek() === '' ? 'the document ends early' : 'not a JSON value');
    const literal = this.text.slice(this.at, NUMBER.lastIndex);
    const value = Number(literal);
    if (!Number.isFinite(value)) throw this.error(`${clip(literal)} is beyond the range of a number`);
    if (this.options.naturals && !(Number.isSafeInteger(value) && /^\d+$/.test(literal))) {
      throw this.error(`${clip(literal)} is not a non-negative integer in plain digits below 2^53`);
    }
    this.at = NUMBER.lastIndex;
    return value;
  }

  private word<T>(word: string, value: T): T {
    if (!this.text.startsWith(word, this.at)) throw this.error('not a JSON value');
    this.at += word.length;
    return value;
  }

  /** The next character that is not white space, or an empty string at the end. */
  private peek(): string {
    for (; ; this.at++) {
      const code = this.text.charCodeAt(this.at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return this.text.charAt(this.at);
    }
  }

  private accept(character: string): boolean {
    if (this.peek() !== character) return false;
    this.at++;
    return true;
  }

  private expect(character: string): void {
    if (!this.accept(character)) throw this.error(`"${character}" is due`);
  }

  private error(rule: string, at = this.at): HpsError {
    const before = this.text.slice(0, at);
    const line = before.split('\n').length;
    const column = at - before.lastIndexOf('\n');
    const details = { file: this.options.name, line, column };
    return invalid(this.options, `line ${line}, column ${column}: ${rule}`, details);
  }
}

const LONE_SURROGATE = /\p{Surrogate}/u;
const clip = (text: string): string => (text.length > 80 ? `${text.slice(0, 80)}…` : text);
const quote = (text: string): string => JSON.stringify(clip(text));

function invalid(
  { name, code = 'CONFIG_INVALID' }: ParseJsonOptions,
  rule: string,
  details: Record<string, unknown> = { file: name },
) {
  return new HpsError(code, `${name}: ${rule}`, { hint: 'Correct the JSON, or write the file again.', details });
}

function decode(input: Uint8Array, options: ParseJsonOptions): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(input);
  } catch (cause) {
    if (cause instanceof TypeError) throw invalid(options, 'not valid UTF-8');
    throw cause;
  }
}

/**
 * The value of a JSON document (RFC 8259), read more strictly than `JSON.parse`: duplicate keys (of which `JSON.parse`
 * keeps the last in silence), half surrogate pairs, numbers beyond the range of a double and bytes that are not UTF-8 are
 * errors, and so is anything past the limits. A byte-order mark at the start is skipped.
 * Objects inherit nothing: `__proto__` is a key like any other, and `constructor` is undefined unless the document has it.
 * As in every JavaScript object, keys that are array indices (`"0"`, `"12"`) come first.
 *
 * @throws HpsError with `code` (CONFIG_INVALID unless given), naming the document, line and column
 */
export function parseJson(input: Uint8Array | string, options: ParseJsonOptions): JsonValue {
  const { maxBytes = LIMITS.jsonBytes } = options;
  if (input.length > maxBytes) throw invalid(options, `${input.length} bytes of JSON, more than ${maxBytes}`);
  const text = typeof input === 'string' ? input : decode(input, options);
  const parser = new JsonParser(text.startsWith('\ufeff') ? text.slice(1) : text, {
    code: 'CONFIG_INVALID',
    maxBytes,
    maxDepth: LIMITS.jsonDepth,
    maxMembers: LIMITS.jsonValues,
    naturals: false,
    ...options,
  });
  return parser.document();
}

/** Whether a JSON value is an object, as the type system sees it. */
export const isJsonObject = (value: JsonValue | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Whether the first bytes of a file look like a JSON object that has one of these keys, at any depth. Parses nothing. */
export function looksLikeJsonWith(head: Uint8Array, keys: readonly string[]): boolean {
  const text = Buffer.from(head).toString('latin1').trimStart();
  return text.startsWith('{') && keys.some((key) => text.includes(JSON.stringify(key)));
}
