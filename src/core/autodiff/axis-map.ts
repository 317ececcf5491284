import type { Emitter } from './emitter.js';
import type { Operand } from './types.js';

/** A linear map along one axis: row `out` holds the weights of the elements that make element `out` of the result. */
export type AxisMap = readonly (readonly { readonly index: number; readonly weight: number }[])[];

/** The map that takes element `indices[out]` for each `out`; -1 for none. */
export const selection = (indices: readonly number[]): AxisMap =>
  indices.map((index) => (index < 0 ? [] : [{ index, weight: 1 }]));

/** How often each element of an axis of `size` is repeated where that is all the map does, else undefined. */
function repeats(map: AxisMap, size: number): number | undefined {
  const count = map.length / size;
  const alike = map.every(
    (row, out) => row.length === 1 && row[0].weight === 1 && row[0].index === Math.floor(out / count),
  );
  return Number.isInteger(count) && alike ? count : undefined;
}

/** The transpose of a map applied to an axis of g: every element of an axis of `size` collects, with its weights, where it went. */
export function collectAlong(graph: Emitter, g: Operand, axis: number, map: AxisMap, size: number): Operand {
  const count = repeats(map, size);
  if (count === 1) return g;
  if (count !== undefined) {
    const parted = graph.reshape(g, [...g.shape.slice(0, axis), size, count, ...g.shape.slice(axis + 1)]);
    return graph.reduce('ReduceSum', parted, [axis + 1], false);
  }
  const matrix = new Float32Array(map.length * size);
  for (const [out, row] of map.entries()) for (const { index, weight } of row) matrix[out * size + index] += weight;
  const weights = graph.floats(g.dtype, [map.length, size], matrix);
  const last = g.shape.length - 1;
  const order = [...g.shape.keys()].map((each) => (each === axis ? last : each === last ? axis : each)); // its own inverse
  return graph.transpose(graph.matmul(graph.transpose(g, order), weights), order);
}
