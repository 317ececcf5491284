import type { TensorValue } from '../runtime/value.js';
import { formatShape } from '../tensor/shape.js';

/** The inputs or the outputs of one row, by name: each has one row. */
export type Row = ReadonlyMap<string, TensorValue>;

/** Equal for rows that can share a batch. */
export const shapeKey = (row: Row): string =>
  Array.from(row, ([name, { shape }]) => `${name}${formatShape(shape)}`).join(' ');
