import { HpsError } from '../errors.js';
import { DTYPES } from '../tensor/dtype.js';
import { formatShape } from '../tensor/shape.js';
import type { TensorInfo } from '../tensor/tensor.js';

export interface ExpectedTensor {
  readonly name: string;
  /** NaN fits any size: the tensor that would tell it is missing, and is reported itself. */
  readonly shape: readonly number[];
}

const fits = (expected: readonly number[], actual: readonly number[]): boolean =>
  expected.length === actual.length && expected.every((size, axis) => Number.isNaN(size) || size === actual[axis]);

/** Most tensors named in one message; the rest are counted there and listed whole in `details`. */
const NAMED = 8;

function listed(label: string, names: readonly string[]): string[] {
  if (names.length === 0) return [];
  const rest = names.length > NAMED ? `, and ${names.length - NAMED} more` : '';
  return [`${label} ${names.slice(0, NAMED).join(', ')}${rest}`];
}

/**
 * Compares a checkpoint's tensors with those a model needs.
 * @param optional - whether a tensor that is not expected may be there
 * @throws HpsError TENSORS_MISMATCH with every missing, unexpected, mis-shaped and non-float tensor at once
 */
export function checkTensors(
  tensors: ReadonlyMap<string, TensorInfo>,
  expected: readonly ExpectedTensor[],
  optional: (name: string) => boolean,
): void {
  const names = new Set(expected.map(({ name }) => name));
  const missing = expected.filter(({ name }) => !tensors.has(name)).map(({ name }) => name);
  const unexpected = [...tensors.keys()].filter((name) => !names.has(name) && !optional(name));
  const misshaped = expected.flatMap(({ name, shape }) => {
    const actual = tensors.get(name)?.shape;
    return actual && !fits(shape, actual) ? [{ name, expected: shape, actual }] : [];
  });
  const notFloat = expected.flatMap(({ name }) => {
    const dtype = tensors.get(name)?.dtype;
    return dtype && DTYPES[dtype].kind !== 'float' ? [`${name} (${dtype})`] : [];
  });
  if (missing.length + unexpected.length + misshaped.length + notFloat.length === 0) return;
  const problems = [
    ...listed('missing', missing),
    ...listed('unexpected', unexpected),
    ...listed(
      'mis-shaped',
      misshaped.map((each) => `${each.name} (expected ${formatShape(each.expected)}, got ${formatShape(each.actual)})`),
    ),
    ...listed('not of a float type', notFloat),
  ];
  throw new HpsError('TENSORS_MISMATCH', `the checkpoint does not hold this architecture: ${problems.join('; ')}`, {
    hint: 'See what it holds with `hpsv3 inspect`; choose another state dict in it with `key`.',
    details: { missing, unexpected, misshaped, notFloat },
  });
}
