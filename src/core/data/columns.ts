import { Interner } from './interner.js';

const FIRST_CAPACITY = 1024;
/** Numbers of a part of a column: parts are put together once, so that no column is held at two sizes while it grows. */
const PART = 2 ** 16;

/** Numbers whose count is not known beforehand. */
export class NumberColumn {
  private readonly full: Float64Array[] = [];
  private part = new Float64Array(FIRST_CAPACITY);
  private count = 0;

  push(value: number): void {
    if (this.count === this.part.length) this.grow();
    this.part[this.count++] = value;
  }

  /** Has at least so many values, the missing ones all the same. */
  fillTo(count: number, value: number): void {
    while (this.full.length * PART + this.count < count) this.push(value);
  }

  /** All of them, in memory that threads share. */
  finish(): Float64Array {
    const bytes = (this.full.length * PART + this.count) * Float64Array.BYTES_PER_ELEMENT;
    const values = new Float64Array(new SharedArrayBuffer(bytes));
    for (const [i, part] of this.full.entries()) values.set(part, i * PART);
    values.set(this.part.subarray(0, this.count), this.full.length * PART);
    return values;
  }

  private grow(): void {
    if (this.count < PART) {
      const larger = new Float64Array(2 * this.count);
      larger.set(this.part);
      this.part = larger;
      return;
    }
    this.full.push(this.part);
    this.part = new Float64Array(PART);
    this.count = 0;
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
    const codes = new Int32Array(new SharedArrayBuffer(rows * Int32Array.BYTES_PER_ELEMENT)).fill(-1);
    codes.set(this.codes.subarray(0, rows));
    return { names: this.interner.texts(), codes };
  }
}

/** The rows of each name, in their order. */
export function rowsByCode({ names, codes }: CodedColumn): Int32Array[] {
  const sizes = new Int32Array(names.length);
  for (const code of codes) if (code >= 0) sizes[code]++;
  const rows = names.map((_, code) => new Int32Array(sizes[code]));
  sizes.fill(0);
  for (let row = 0; row < codes.length; row++) if (codes[row] >= 0) rows[codes[row]][sizes[codes[row]]++] = row;
  return rows;
}

/**
 * The rows `keep` of a column, its codes numbered anew in order of first sight, so that no code is without a row.
 */
export function selectCoded({ names, codes }: CodedColumn, keep: Int32Array): CodedColumn {
  const selected = renumber(codes, names.length, keep);
  return { names: Array.from(selected.kept, (code) => names[code]), codes: selected.codes };
}

/**
 * The codes of some rows, numbered anew in order of first sight; -1 stays.
 *
 * @param count - of codes there are
 * @returns `kept`: what each new number was before
 */
export function renumber(
  codes: Int32Array,
  count: number,
  rows: Int32Array,
): { readonly codes: Int32Array; readonly kept: Int32Array } {
  const numbers = new Int32Array(count).fill(-1);
  const kept = new Int32Array(count);
  const renumbered = new Int32Array(rows.length);
  let used = 0;
  for (let i = 0; i < rows.length; i++) {
    const code = codes[rows[i]];
    if (code >= 0 && numbers[code] < 0) {
      numbers[code] = used;
      kept[used++] = code;
    }
    renumbered[i] = code < 0 ? -1 : numbers[code];
  }
  return { codes: renumbered, kept: kept.subarray(0, used) };
}
