/** Row-major strides, in elements, of a contiguous tensor. */
export function contiguousStrides(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length);
  let step = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = step;
    step *= shape[axis];
  }
  return strides;
}

/** Number of elements; 1 for a scalar. NaN-free and exact, or null where a dimension is bad or the product passes 2^53. */
export function checkedNumel(shape: readonly number[]): number | null {
  if (!shape.every((dim) => Number.isSafeInteger(dim) && dim >= 0)) return null;
  if (shape.includes(0)) return 0;
  const numel = shape.reduce((product, dim) => product * dim, 1);
  return Number.isSafeInteger(numel) ? numel : null;
}

/** Number of elements of a shape already known to be good. */
export const numel = (shape: readonly number[]): number => shape.reduce((product, dim) => product * dim, 1);

export const formatShape = (shape: readonly (number | string)[]): string => `[${shape.join(', ')}]`;
