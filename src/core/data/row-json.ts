import { LIMITS } from '../limits.js';
import { RowError } from './rows.js';

/**
 * A JSON value of a row. Objects are Maps, so that a key such as `__proto__` is only a key; an integer beyond 2^53 is a
 * bigint, so that an id keeps its digits.
 */
export type RowValue = null | boolean | number | bigint | string | readonly RowValue[] | RowFields;
export type RowFields = ReadonlyMap<string, RowValue>;

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const LONE_SURROGATE = /\p{Surrogate}/u;

/** Recursive descent over one row; the depth limit keeps the stack small. */
class RowParser {
  constructor(
    private readonly text: string,
    public at = 0,
  ) {}

  parse(): RowValue {
    const value = this.value(0);
    this.skipWhitespace();
    if (this.at < this.text.length) throw this.unexpected();
    return value;
  }

  value(depth: number): RowValue {
    if (depth > LIMITS.rowDepth) throw new RowError('ROW_TOO_DEEP', `nested deeper than ${LIMITS.rowDepth} levels`);
    this.skipWhitespace();
    switch (this.text[this.at]) {
      case '{':
        return this.object(depth);
      case '[':
        return this.array(depth);
      case '"':
        return this.string();
      case 't':
        return this.literal('true', true);
      case 'f':
        return this.literal('false', false);
      case 'n':
        return this.literal('null', null);
      default:
        return this.number();
    }
  }

  private object(depth: number): RowFields {
    const fields = new Map<string, RowValue>();
    this.at++;
    if (this.takes('}')) return fields;
    do {
      this.skipWhitespace();
      if (this.text[this.at] !== '"') throw this.unexpected();
      const key = this.string();
      if (fields.has(key)) throw new RowError('DUPLICATE_KEY', `key ${quote(key)} appears twice`);
      if (!this.takes(':')) throw this.unexpected();
      fields.set(key, this.value(depth + 1));
    } while (this.takes(','));
    if (!this.takes('}')) throw this.unexpected();
    return fields;
  }

  private array(depth: number): RowValue[] {
    const items: RowValue[] = [];
    this.at++;
    if (this.takes(']')) return items;
    do {
      items.push(this.value(depth + 1));
    } while (this.takes(','));
    if (!this.takes(']')) throw this.unexpected();
    return items;
  }

  private string(): string {
    const start = this.at++;
    let escaped = false;
    for (;;) {
      this.skipPlain();
      if (this.text[this.at] !== '\\') break;
      escaped = true;
      this.at += 2;
    }
    if (this.text[this.at] !== '"') throw this.unexpected();
    this.at++;
    return escaped ? this.unescape(start, this.at) : this.text.slice(start + 1, this.at - 1);
  }

  private unescape(start: number, end: number): string {
    let value: string;
    try {
      value = JSON.parse(this.text.slice(start, end));
    } catch {
      throw new RowError('INVALID_JSON', `a string has an escape that JSON does not know, at character ${start}`);
    }
    if (LONE_SURROGATE.test(value)) throw new RowError('INVALID_UTF8', 'a string has half of a surrogate pair');
    if (value.includes('\0')) throw new RowError('FIELD_INVALID', 'a string has a NUL character');
    return value;
  }

  private number(): number | bigint {
    const start = this.at;
    const end = this.matchEnd(NUMBER, start);
    if (end === start) throw this.unexpected();
    this.at = end;
    const digits = this.text.slice(start, end);
    const value = Number(digits);
    if (!Number.isFinite(value)) throw new RowError('NUMBER_OUT_OF_RANGE', `number ${quote(digits)} is too large`);
    const isUnsafeInteger = Number.isInteger(value) && !Number.isSafeInteger(value) && !/[.eE]/.test(digits);
    return isUnsafeInteger ? BigInt(digits) : value;
  }

  private literal<T>(word: string, value: T): T {
    if (!this.text.startsWith(word, this.at)) throw this.unexpected();
    this.at += word.length;
    return value;
  }

  /** Steps over `character` after whitespace, if it comes next. */
  private takes(character: string): boolean {
    this.skipWhitespace();
    if (this.text[this.at] !== character) return false;
    this.at++;
    return true;
  }

  private skipWhitespace(): void {
    for (;;) {
      const code = this.text.charCodeAt(this.at);
      if (code !== 0x20 && code !== 0x09 && code !== 0x0a && code !== 0x0d) return;
      this.at++;
    }
  }

  /** Past the characters of a string up to its quote, an escape, or a control character that JSON forbids. */
  private skipPlain(): void {
    for (;;) {
      const code = this.text.charCodeAt(this.at);
      if (code === 0x22 || code === 0x5c || !(code >= 0x20)) return; // NaN at the end of the text
      this.at++;
    }
  }

  private matchEnd(pattern: RegExp, from: number): number {
    pattern.lastIndex = from;
    return pattern.test(this.text) ? pattern.lastIndex : from;
  }

  private unexpected(): RowError {
    const found = this.at < this.text.length ? quote(this.text.slice(this.at, this.at + 1)) : 'the end of the row';
    return new RowError('INVALID_JSON', `not valid JSON: unexpected ${found} at character ${this.at + 1}`);
  }
}

/** The id of a row that need not be one: what an answer to it is named by, where it says so itself. */
export function idOf(fields: RowFields): string | null {
  const id = fields.get('id');
  return typeof id === 'string' ? id : typeof id === 'number' || typeof id === 'bigint' ? String(id) : null;
}

/** A value as errors show it: JSON, cut short. */
export function quote(value: unknown): string {
  const plain = (_key: string, part: unknown): unknown =>
    typeof part === 'bigint' ? String(part) : part instanceof Map ? Object.fromEntries(part) : part;
  const text = JSON.stringify(value, plain) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

/**
 * Where the value that begins at `start` ends, by the same rules.
 *
 * @returns `end` where it breaks one: how far it keeps them
 */
export function endOfJson(text: string, start: number): { readonly end: number; readonly isWhole: boolean } {
  const parser = new RowParser(text, start);
  try {
    parser.value(0);
    return { end: parser.at, isWhole: true };
  } catch (error) {
    if (!(error instanceof RowError)) throw error;
    return { end: parser.at, isWhole: false };
  }
}

/** Parses a JSON value that stands in a cell, as `parseRowJson`. @throws RowError naming the rule */
export const parseRowValue = (text: string): RowValue => new RowParser(text).parse();

/**
 * Parses the JSON of one row, more strictly than `JSON.parse`: duplicate keys, numbers beyond a double, nesting over
 * `LIMITS.rowDepth`, half surrogates and NUL are refused.
 *
 * @throws RowError naming the rule
 */
export function parseRowJson(text: string): RowFields {
  const value = new RowParser(text).parse();
  if (!(value instanceof Map)) throw new RowError('NOT_AN_OBJECT', 'a row must be a JSON object');
  return value;
}
