import { isUtf8 } from 'node:buffer';
import { LIMITS } from '../limits.js';
import type { BadRow } from './rows.js';

const NEWLINE = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const QUOTE = 0x22;

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A record in one piece, with its quotes taken off. */
export interface CsvRecord {
  /** 1-based number of the line it begins on. */
  readonly line: number;
  /** Null stands for a cell that is not valid UTF-8. */
  readonly cells: readonly (string | null)[];
}

export interface CsvDialect {
  /** One byte of ASCII. */
  readonly delimiter: number;
  /** A lone carriage return ends a line, as in files of old spreadsheets. A newline ends one always. */
  readonly carriageReturns: boolean;
}

/** The end of a record, damage at this place, or the need for more bytes. */
type Scan = { readonly next: number; readonly damage?: string } | null;

/**
 * Splits bytes into the records of RFC 4180, in bounded memory. Every line is part of a record that is read, or is reported
 * once: where a quote is misplaced or never closed, only the line that the record begins on is given up, and reading goes on
 * with the line after it, so that damage to one row takes no other with it. Lines without any character are stepped over.
 *
 * Lines are thus read twice behind an open quote, and no oftener: a record that runs over lines ends at the latest on the
 * next line with an odd number of quotes, and no line with an even number opens one.
 */
export class CsvScanner {
  private buffer: Buffer = Buffer.alloc(0);
  private start = 0;
  private filled = 0;
  private line = 1;
  private isFinal = false;
  /** Whether the bytes to be scanned are valid UTF-8: cells are then decoded without a second look. */
  private isValid = true;
  /** Within a line whose record was given up. */
  private skipping = false;
  /** Bytes that must be there before an unfinished record is scanned again: small pieces would cost a scan each. */
  private wanted = 0;
  private cells: (string | null)[] = [];

  constructor(private readonly dialect: CsvDialect) {}

  push(chunk: Uint8Array): Generator<CsvRecord | BadRow> {
    const kept = this.filled - this.start;
    const needed = kept + chunk.byteLength;
    const target = needed > this.buffer.byteLength ? Buffer.allocUnsafeSlow(2 * needed) : this.buffer;
    this.buffer.copy(target, 0, this.start, this.filled);
    target.set(chunk, kept);
    this.buffer = target;
    this.start = 0;
    this.filled = needed;
    return this.records();
  }

  finish(): Generator<CsvRecord | BadRow> {
    this.isFinal = true;
    return this.records();
  }

  private *records(): Generator<CsvRecord | BadRow> {
    if (this.skipping) this.skipLine();
    if (!this.isFinal && this.filled - this.start < this.wanted) return;
    this.wanted = 0;
    this.isValid = isUtf8(this.buffer.subarray(this.start, this.isFinal ? this.filled : this.lastLineEnd()));
    while (this.start < this.filled) {
      const scan = this.scan();
      const size = (scan?.next ?? this.filled) - this.start;
      if (size > LIMITS.rowBytes) yield this.giveUp('ROW_TOO_LARGE', TOO_LONG);
      else if (scan === null) {
        this.wanted = 2 * size;
        return;
      } else if (scan.damage !== undefined) yield this.giveUp('INVALID_CSV', scan.damage);
      else {
        if (!this.isBlank()) yield { line: this.line, cells: this.cells };
        this.line += this.countLines(this.start, scan.next);
        this.start = scan.next;
      }
    }
  }

  /** Reads one record from `start` into `cells`. */
  private scan(): Scan {
    const { buffer, filled } = this;
    const { delimiter } = this.dialect;
    this.cells = [];
    for (let at = this.start; ; at++) {
      const isQuoted = at < filled && buffer[at] === QUOTE;
      const end = isQuoted ? this.closingQuote(at) : this.endOfPlainCell(at);
      if (end < 0 && this.isFinal) return { next: filled, damage: this.unclosed(at) };
      const after = isQuoted ? this.pastReturn(end + 1) : end;
      if (!this.isFinal && (end < 0 || after === filled)) return null;
      this.cells.push(isQuoted ? this.quotedCell(at + 1, end) : this.text(at, this.withoutReturn(at, end)));
      at = after;
      if (at === filled) return { next: filled };
      if (this.endsLine(buffer[at])) return { next: at + 1 };
      if (buffer[at] === delimiter) continue;
      const cell = this.cells.length;
      const damage = isQuoted
        ? `text follows the closing quote of cell ${cell}`
        : `a quote stands within cell ${cell}, which does not begin with one`;
      return { next: at, damage };
    }
  }

  /** Whether the record is a line without any character. */
  private isBlank(): boolean {
    return this.cells.length === 1 && this.cells[0] === '' && this.buffer[this.start] !== QUOTE;
  }

  /** Where the quote is that closes a cell, or -1; a doubled quote stands for one in the text. */
  private closingQuote(open: number): number {
    for (let at = open + 1; ; at += 2) {
      at = this.buffer.indexOf(QUOTE, at);
      if (at < 0 || at >= this.filled) return -1;
      if (at + 1 === this.filled) return this.isFinal ? at : -1; // another quote may follow
      if (this.buffer[at + 1] !== QUOTE) return at;
    }
  }

  /** At the delimiter, line end or (misplaced) quote after a cell without quotes, or at the end of what there is. */
  private endOfPlainCell(start: number): number {
    const { buffer, filled } = this;
    const { delimiter } = this.dialect;
    let at = start;
    while (at < filled && buffer[at] !== delimiter && buffer[at] !== QUOTE && !this.endsLine(buffer[at])) at++;
    return at;
  }

  private endsLine(byte: number): boolean {
    return byte === NEWLINE || (byte === CARRIAGE_RETURN && this.dialect.carriageReturns);
  }

  /** Over the carriage return of a line end in two characters. */
  private pastReturn(at: number): number {
    if (at >= this.filled || this.buffer[at] !== CARRIAGE_RETURN || this.dialect.carriageReturns) return at;
    return at + 1 === this.filled || this.buffer[at + 1] === NEWLINE ? at + 1 : at;
  }

  /** The end of a plain cell without the carriage return of a line end. */
  private withoutReturn(start: number, end: number): number {
    const isLineEnd = end === this.filled || this.buffer[end] === NEWLINE;
    return isLineEnd && end > start && this.buffer[end - 1] === CARRIAGE_RETURN ? end - 1 : end;
  }

  private quotedCell(start: number, end: number): string | null {
    return this.text(start, end)?.replaceAll('""', '"') ?? null;
  }

  private text(start: number, end: number): string | null {
    if (this.isValid) return this.buffer.toString('utf8', start, end);
    try {
      return UTF8.decode(this.buffer.subarray(start, end));
    } catch {
      return null;
    }
  }

  private unclosed(open: number): string {
    const line = this.line + this.countLines(this.start, open);
    return `the quote that opens cell ${this.cells.length + 1} on line ${line} is never closed`;
  }

  private giveUp(code: BadRow['code'], message: string): BadRow {
    const { line } = this;
    this.skipping = true;
    this.skipLine();
    return { line, code, message };
  }

  /** To the end of the line, or of what there is of it. */
  private skipLine(): void {
    let at = this.start;
    while (at < this.filled && !this.endsLine(this.buffer[at])) at++;
    this.start = Math.min(at + 1, this.filled);
    if (at === this.filled) return;
    this.line++;
    this.skipping = false;
  }

  private countLines(from: number, to: number): number {
    let count = 0;
    for (let at = from; at < to; at++) if (this.endsLine(this.buffer[at])) count++;
    return count;
  }

  private lastLineEnd(): number {
    const bytes = this.buffer.subarray(0, this.filled);
    const newline = bytes.lastIndexOf(NEWLINE);
    return (
      Math.max(newline, this.dialect.carriageReturns ? bytes.lastIndexOf(CARRIAGE_RETURN) : -1, this.start - 1) + 1
    );
  }
}

const TOO_LONG = `longer than ${LIMITS.rowBytes} bytes; perhaps a quote in it is never closed`;
