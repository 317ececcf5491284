import { rowView, type TensorValue } from '../runtime/value.js';

/** The inputs or the outputs of one row, by name: each has one row. */
export interface Row extends Iterable<[string, TensorValue]> {
  get(name: string): TensorValue | undefined;
  has(name: string): boolean;
  keys(): Iterable<string>;
  values(): Iterable<TensorValue>;
}

/** One row of the outputs of a batch: views of them, each made when it is asked for. */
export class BatchRow implements Row {
  constructor(
    private readonly batch: ReadonlyMap<string, TensorValue>,
    private readonly at: number,
  ) {}

  get(name: string): TensorValue | undefined {
    const value = this.batch.get(name);
    return value && rowView(value, this.at);
  }

  has(name: string): boolean {
    return this.batch.has(name);
  }

  keys(): Iterable<string> {
    return this.batch.keys();
  }

  *values(): Generator<TensorValue> {
    for (const value of this.batch.values()) yield rowView(value, this.at);
  }

  *[Symbol.iterator](): Generator<[string, TensorValue]> {
    for (const [name, value] of this.batch) yield [name, rowView(value, this.at)];
  }
}

/** One value. */
export class ValueRow implements Row {
  constructor(
    private readonly name: string,
    private readonly value: TensorValue,
  ) {}

  get(name: string): TensorValue | undefined {
    return name === this.name ? this.value : undefined;
  }

  has(name: string): boolean {
    return name === this.name;
  }

  keys(): Iterable<string> {
    return [this.name];
  }

  values(): Iterable<TensorValue> {
    return [this.value];
  }

  [Symbol.iterator](): Iterator<[string, TensorValue]> {
    const entries: [string, TensorValue][] = [[this.name, this.value]];
    return entries[Symbol.iterator]();
  }
}

/** The same with memory of its own: for what is kept longer than its batch. */
export const ownRow = (row: Row): Row =>
  new Map(Array.from(row, ([name, value]) => [name, { ...value, data: value.data.slice() }]));

/** Equal for rows that can share a batch. */
export function shapeKey(row: Row): string {
  let key = '';
  for (const [name, { shape }] of row) {
    key += name;
    for (const size of shape) key += `,${size}`;
    key += ' ';
  }
  return key;
}
