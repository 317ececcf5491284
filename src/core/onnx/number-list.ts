import { bytesOf } from '../tensor/values.js';
import type { ScalarKind } from './schema.js';

type Numbers = Float32Array | Float64Array | Int32Array | BigInt64Array | BigUint64Array;

const ARRAYS = {
  float: Float32Array,
  double: Float64Array,
  int32: Int32Array,
  bigint64: BigInt64Array,
  biguint64: BigUint64Array,
} as const;

type NumberKind = keyof typeof ARRAYS;

/** A typed array that grows: repeated numbers may come one at a time, in several runs, or both. */
export class NumberList {
  private values: Numbers;
  private length = 0;

  constructor(kind: ScalarKind) {
    this.values = new ARRAYS[kind as NumberKind](4);
  }

  static holds(kind: ScalarKind): boolean {
    return Object.hasOwn(ARRAYS, kind);
  }

  push(value: number | bigint): void {
    this.reserve(1);
    this.values[this.length++] = value as never;
  }

  /** Little-endian values, a whole number of them. */
  pushBytes(bytes: Uint8Array): void {
    const count = bytes.byteLength / this.values.BYTES_PER_ELEMENT;
    this.reserve(count);
    bytesOf(this.values).set(bytes, this.length * this.values.BYTES_PER_ELEMENT);
    this.length += count;
  }

  finish(): Numbers {
    return this.length === this.values.length ? this.values : this.values.slice(0, this.length);
  }

  private reserve(count: number): void {
    if (this.length + count <= this.values.length) return;
    const Numbers = this.values.constructor as new (length: number) => Numbers;
    const grown = new Numbers(Math.max(this.length + count, 2 * this.values.length));
    bytesOf(grown).set(bytesOf(this.values));
    this.values = grown;
  }
}
