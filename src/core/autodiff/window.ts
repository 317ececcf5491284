import { intOf, intsOf, stringOf } from '../onnx/model.js';
import type { GradientContext } from './rule.js';

/** How a convolution or a pool moves over its spatial axes; one number an axis. */
export interface Window {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly before: readonly number[];
  readonly after: readonly number[];
}

/**
 * The window of a node, padding that it leaves to `auto_pad` worked out.
 * @param input - spatial sizes of what it moves over
 * @param output - spatial sizes of what comes out
 */
export function windowOf(
  { node }: GradientContext,
  kernel: readonly number[],
  input: readonly number[],
  output: readonly number[],
): Window {
  const ones = kernel.map(() => 1);
  const strides = intsOf(node, 'strides') ?? ones;
  const dilations = intsOf(node, 'dilations') ?? ones;
  const auto = stringOf(node, 'auto_pad', 'NOTSET');
  if (auto === 'NOTSET') {
    const pads = intsOf(node, 'pads') ?? [...ones, ...ones].map(() => 0);
    return { kernel, strides, dilations, before: pads.slice(0, kernel.length), after: pads.slice(kernel.length) };
  }
  const needed = kernel.map((size, i) =>
    auto === 'VALID' ? 0 : Math.max(0, (output[i] - 1) * strides[i] + dilations[i] * (size - 1) + 1 - input[i]),
  );
  const small = needed.map((size) => Math.floor(size / 2));
  const large = needed.map((size, i) => size - small[i]);
  const lower = auto === 'SAME_LOWER';
  return { kernel, strides, dilations, before: lower ? large : small, after: lower ? small : large };
}

/** Pads as ONNX lists them. */
export const padsOf = ({ before, after }: Pick<Window, 'before' | 'after'>): number[] => [...before, ...after];

export const groupOf = ({ node }: GradientContext): number => intOf(node, 'group', 1);
