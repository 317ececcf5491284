import { LIMITS } from '../limits.js';
import { type DataInput, withoutByteOrderMark } from './input.js';
import { badRow, parseJsonlRow, tooLarge } from './jsonl.js';
import { endOfJson, type RowFields } from './row-json.js';
import { RowError, type RowResult } from './rows.js';

/** A value that breaks off this near to the end of what was read may only be unfinished: an escape, a word, a number. */
const TAIL_CHARACTERS = 64;
/** Rows handed over at a time. */
const BATCH_ROWS = 1000;

/**
 * The objects of a JSON array, or of a stream of objects that go over several lines each, in bounded memory. Lines are those
 * on which objects begin. One that is damaged costs no other: reading goes on at the next brace that can begin a row.
 */
export async function* readJsonValues(input: DataInput): AsyncGenerator<RowResult<RowFields>[]> {
  const scanner = new ValueScanner();
  let batch: RowResult<RowFields>[] = [];
  async function* pieces() {
    for await (const chunk of withoutByteOrderMark(input.chunks())) yield scanner.push(chunk);
    yield scanner.finish();
  }
  for await (const results of pieces()) {
    for (const result of results) {
      if (batch.push(result) < BATCH_ROWS) continue;
      yield batch;
      batch = [];
    }
  }
  yield batch;
}

class ValueScanner {
  /** What is not yet taken, a character a byte: structure is ASCII, and places are the same in both. */
  private text = '';
  private at = 0;
  private line = 1;
  /** Where the last row began, and how many have begun on that line. */
  private lastLine = 0;
  private onLine = 0;
  private isFirst = true;
  private isFinal = false;
  /** Within an array. */
  private isOpen = false;
  /** Behind a row that was given up for its length. */
  private isSkipping = false;
  /** Characters that must be there before an unfinished value is looked at again. */
  private wanted = 0;

  push(chunk: Uint8Array): Generator<RowResult<RowFields>> {
    this.text = this.text.slice(this.at) + Buffer.from(chunk).toString('latin1');
    this.at = 0;
    return this.results();
  }

  finish(): Generator<RowResult<RowFields>> {
    this.isFinal = true;
    return this.results();
  }

  private *results(): Generator<RowResult<RowFields>> {
    if (!this.isFinal && this.text.length < this.wanted) return;
    this.wanted = 0;
    if (this.isSkipping) this.skip();
    while (this.toNextValue()) {
      const end = this.endOfValue();
      const size = (end ?? this.text.length) - this.at;
      if (size > LIMITS.rowBytes) {
        yield badRow(tooLarge(), this.line);
        this.skip();
      } else if (end === null) {
        this.wanted = 2 * size;
        return;
      } else {
        const bytes = Buffer.from(this.text.slice(this.at, end), 'latin1');
        yield this.placed(parseJsonlRow(bytes, this.line, (fields) => fields)!);
        this.advance(end);
      }
    }
    if (this.isFinal && this.isOpen) {
      yield badRow(new RowError('INVALID_JSON', 'the array is not closed: the file may be cut short'), this.line);
    }
  }

  /** Arrays are often written on one line: the second row that begins on a line is told from the first. */
  private placed(result: RowResult<RowFields>): RowResult<RowFields> {
    this.onLine = result.line === this.lastLine ? this.onLine + 1 : 1;
    this.lastLine = result.line;
    return result.row && this.onLine > 1 ? { ...result, place: `${result.line}.${this.onLine}` } : result;
  }

  /** Over whitespace and commas, and the brackets of the array; false at the end of what there is. */
  private toNextValue(): boolean {
    for (; this.at < this.text.length; this.advance(this.at + 1)) {
      const character = this.text[this.at];
      if (character === ',' || isSpace(character)) continue;
      if (character === '[' && this.isFirst) this.isOpen = true;
      else if (character === ']' && this.isOpen) this.isOpen = false;
      else return true;
      this.isFirst = false;
    }
    return false;
  }

  /** Where the value ends, or where reading goes on behind a damaged one; null where that is still to come. */
  private endOfValue(): number | null {
    this.isFirst = false;
    const { end, isWhole } = endOfJson(this.text, this.at);
    if (isWhole && (this.isFinal || end < this.text.length || this.text[end - 1] === '}')) return end;
    if (isWhole || (!this.isFinal && end + TAIL_CHARACTERS >= this.text.length)) return null;
    return this.nextStart();
  }

  /** The next brace that can begin a row: one on a new line, or else not behind a colon or a quote, and with a name in it. */
  private nextStart(): number | null {
    for (let at = this.text.indexOf('{', this.at + 1); at >= 0; at = this.text.indexOf('{', at + 1)) {
      let [before, after] = [at - 1, at + 1];
      while (before > this.at && isSpace(this.text[before]) && this.text[before] !== '\n') before--;
      while (isSpace(this.text[after])) after++;
      if (this.text[before] !== ':' && this.text[before] !== '"' && this.text[after] === '"') return at;
    }
    if (this.isFinal) this.isOpen = false; // what would close it is within the damaged value
    return this.isFinal ? this.text.length : null;
  }

  private skip(): void {
    const start = this.nextStart();
    this.isSkipping = start === null;
    this.advance(start ?? Math.max(this.at, this.text.length - TAIL_CHARACTERS));
  }

  private advance(to: number): void {
    for (; this.at < to; this.at++) if (this.text[this.at] === '\n') this.line++;
  }
}

const isSpace = (character: string): boolean =>
  character === ' ' || character === '\n' || character === '\r' || character === '\t';
