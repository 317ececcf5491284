import { floatsOf, rowView, shapeKeyOf, type TensorValue } from '../runtime/value.js';

/** The inputs or the outputs of one row, by name: each has one row. */
export interface Row extends Iterable<[string, TensorValue]> {
  get(name: string): TensorValue | undefined;
  has(name: string): boolean;
  keys(): Iterable<string>;
  values(): Iterable<TensorValue>;
  /** As `shapeKey` gives it, where it is known beforehand. */
  readonly shapeKey?: string;
}

/** Equal for rows that can share a batch. */
export const shapeKey = (row: Row): string => row.shapeKey ?? shapeKeyOf(row);

/** The outputs of a batch, each with as many rows as it has. */
export class BatchOutputs {
  private key: string | undefined;

  constructor(readonly values: ReadonlyMap<string, TensorValue>) {}

  row(at: number): BatchRow {
    return new BatchRow(this, at);
  }

  /** That of each of its rows. */
  get shapeKey(): string {
    this.key ??= shapeKeyOf(this.row(0));
    return this.key;
  }
}

/** One row of the outputs of a batch, whose memory it shares: views of them, each made when it is asked for. */
export class BatchRow implements Row {
  constructor(
    private readonly batch: BatchOutputs,
    private readonly at: number,
  ) {}

  get shapeKey(): string {
    return this.batch.shapeKey;
  }

  get(name: string): TensorValue | undefined {
    const value = this.batch.values.get(name);
    return value && rowView(value, this.at);
  }

  has(name: string): boolean {
    return this.batch.values.has(name);
  }

  keys(): Iterable<string> {
    return this.batch.values.keys();
  }

  *values(): Generator<TensorValue> {
    for (const value of this.batch.values.values()) yield rowView(value, this.at);
  }

  *[Symbol.iterator](): Generator<[string, TensorValue]> {
    for (const [name, value] of this.batch.values) yield [name, rowView(value, this.at)];
  }

  /** As `numberOf`. */
  number(name: string, column: number): number | undefined {
    const value = this.batch.values.get(name);
    if (!(value?.data instanceof Float32Array)) return undefined;
    const { shape, data } = value;
    const stride = data.length / shape[0];
    return column < stride ? data[this.at * stride + column] : undefined;
  }

  /** Bytes of its values. */
  get byteLength(): number {
    let sum = 0;
    for (const { shape, data } of this.batch.values.values()) sum += data.byteLength / shape[0];
    return sum;
  }
}

/** Two rows as one: the values of each under the names that its side has. */
export class JoinedRow implements Row {
  constructor(
    private readonly sides: readonly [Row, Row],
    private readonly places: JoinedPlaces,
    readonly shapeKey: string,
  ) {}

  get(name: string): TensorValue | undefined {
    const place = this.places.get(name);
    return place && this.sides[place.side].get(place.name);
  }

  has(name: string): boolean {
    const place = this.places.get(name);
    return place !== undefined && this.sides[place.side].has(place.name);
  }

  *keys(): Generator<string> {
    for (const name of this.places.keys()) if (this.has(name)) yield name;
  }

  *values(): Generator<TensorValue> {
    for (const [, value] of this) yield value;
  }

  *[Symbol.iterator](): Generator<[string, TensorValue]> {
    for (const name of this.keys()) yield [name, this.get(name)!];
  }
}

/** Where the values of a joined row are: in which of its two, and by which name. */
export type JoinedPlaces = ReadonlyMap<string, { readonly side: 0 | 1; readonly name: string }>;

/** A number of one of the values as float32; undefined where there is none. */
export function numberOf(row: Row, name: string, column = 0): number | undefined {
  const number = row instanceof BatchRow ? row.number(name, column) : undefined;
  if (number !== undefined) return number;
  const value = row.get(name);
  return value && floatsOf(value)[column];
}

/** The same with memory of its own: for what is kept longer than its batch. */
export const ownRow = (row: Row): Row =>
  new Map(Array.from(row, ([name, value]) => [name, { ...value, data: value.data.slice() }]));

export function byteLength(row: Row): number {
  if (row instanceof BatchRow) return row.byteLength;
  let sum = 0;
  for (const { data } of row.values()) sum += data.byteLength;
  return sum;
}
