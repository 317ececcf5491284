import { Interner } from './interner.js';

const FIRST_CAPACITY = 1024;

/** Numbers whose count is not known beforehand. */
export class NumberColumn {
  private values = new Float64Array(FIRST_CAPACITY);
  private count = 0;

  push(value: number): void {
    if (this.count === this.values.length) {
      const larger = new Float64Array(2 * this.count);
      larger.set(this.values);
      this.values = larger;
    }
    this.values[this.count++] = value;
  }

  /** Has at least so many values, the missing ones all the same. */
  fillTo(count: number, value: number): void {
    while (this.count < count) this.push(value);
  }

  finish(): Float64Array {
    return this.values.subarray(0, this.count);
  }
}

/** One name a row, as codes into its distinct names. */
export interface CodedColumn {
  /** Distinct names, in order of first sight. */
  readonly names: readonly string[];
  /** Index into `names`; -1 where the row has none. */
  readonly codes: Int32Array;
}

/** A coded column as it is read; rows that are not set have no name. */
export class CodedColumnBuilder {
  private readonly interner = new Interner();
  private codes = new Int32Array(FIRST_CAPACITY).fill(-1);

  set(row: number, bytes: Uint8Array, start: number, end: number): void {
    if (row >= this.codes.length) {
      const larger = new Int32Array(Math.max(2 * this.codes.length, row + 1)).fill(-1, this.codes.length);
      larger.set(this.codes);
      this.codes = larger;
    }
    this.codes[row] = this.interner.codeOf(bytes, start, end);
  }

  finish(rows: number): CodedColumn {
    const codes = new Int32Array(rows).fill(-1);
    codes.set(this.codes.subarray(0, rows));
    return { names: this.interner.texts(), codes };
  }
}

/**
 * The rows `keep` of a column, its codes numbered anew in order of first sight, so that no code is without a row.
 */
export function selectCoded(column: CodedColumn, keep: Int32Array): CodedColumn {
  const renumbered = new Int32Array(column.names.length).fill(-1);
  const names: string[] = [];
  const codes = new Int32Array(keep.length);
  for (let i = 0; i < keep.length; i++) {
    const code = column.codes[keep[i]];
    if (code >= 0 && renumbered[code] < 0) renumbered[code] = names.push(column.names[code]) - 1;
    codes[i] = code < 0 ? -1 : renumbered[code];
  }
  return { names, codes };
}
