import { formatShape } from '../tensor/shape.js';
import type { TensorInfo } from '../tensor/tensor.js';
import type { TensorInfos } from './architecture.js';

/** A size and what shows it, for messages. */
export interface Reading<T = number> {
  readonly value: T;
  readonly from: string;
}

export const describeTensor = (tensor: TensorInfo): string => `${tensor.name} ${formatShape(tensor.shape)}`;

/** The size of one axis of a tensor; undefined where the tensor or the axis is absent. */
export function axisOf(tensors: TensorInfos, name: string, axis: number): Reading | undefined {
  const tensor = tensors.get(name);
  return tensor && axis < tensor.shape.length ? { value: tensor.shape[axis], from: describeTensor(tensor) } : undefined;
}

/** Number of consecutive modules `PREFIX0.`, `PREFIX1.`, … that hold at least one tensor. */
export function countModules(tensors: TensorInfos, prefix: string): number {
  const indices = new Set<number>();
  for (const name of tensors.keys()) {
    const index = name.startsWith(prefix) ? /^(\d{1,4})\./.exec(name.slice(prefix.length))?.[1] : undefined;
    if (index !== undefined) indices.add(Number(index));
  }
  let count = 0;
  while (indices.has(count)) count++;
  return count;
}

export const modulesOf = (tensors: TensorInfos, prefix: string): Reading => ({
  value: countModules(tensors, prefix),
  from: `the modules ${prefix}*`,
});
