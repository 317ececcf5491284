import { floatsOf, type TensorValue } from '../runtime/value.js';
import { formatShape } from '../tensor/shape.js';

export type Outputs = ReadonlyMap<string, TensorValue>;

/**
 * Stands for a difference that is not a number or not finite. JSON has no Infinity, and `null` compares as 0 where a
 * script checks `maxAbsDiff <= 1e-4`; this fails every threshold.
 */
export const NOT_FINITE = Number.MAX_VALUE;

export interface OutputDiff {
  /** Largest |a - b|; NOT_FINITE where a value of either is NaN or infinite, or where the shapes differ. */
  readonly maxAbsDiff: number;
  /** Largest |a|, finite values only: what rounding is measured against. */
  readonly scale: number;
  /** In words, where `maxAbsDiff` is NOT_FINITE. */
  readonly note?: string;
}

/** Compares two values element by element; `a` is the reference. */
export function compareValues(a: TensorValue, b: TensorValue): OutputDiff {
  if (formatShape(a.shape) !== formatShape(b.shape)) {
    return {
      maxAbsDiff: NOT_FINITE,
      scale: 0,
      note: `shape ${formatShape(b.shape)} instead of ${formatShape(a.shape)}`,
    };
  }
  const left = floatsOf(a);
  const right = floatsOf(b);
  let maxAbsDiff = 0;
  let scale = 0;
  let nonFinite = 0;
  for (let i = 0; i < left.length; i++) {
    const diff = Math.abs(left[i] - right[i]);
    if (!Number.isFinite(diff)) nonFinite++;
    else maxAbsDiff = Math.max(maxAbsDiff, diff);
    if (Number.isFinite(left[i])) scale = Math.max(scale, Math.abs(left[i]));
  }
  if (nonFinite > 0)
    return { maxAbsDiff: NOT_FINITE, scale, note: `${nonFinite} of ${left.length} values are not finite` };
  return { maxAbsDiff, scale };
}

/** Differences of the outputs that both have, in the order of `actual`. */
export function compareOutputs(reference: Outputs, actual: Outputs): Map<string, OutputDiff> {
  const diffs = new Map<string, OutputDiff>();
  for (const [name, value] of actual) {
    const expected = reference.get(name);
    if (expected) diffs.set(name, compareValues(expected, value));
  }
  return diffs;
}

export const worst = (diffs: ReadonlyMap<string, OutputDiff>): number =>
  Math.max(0, ...Array.from(diffs.values(), (diff) => diff.maxAbsDiff));

export interface MovedOutput {
  readonly output: string;
  readonly maxAbsDiff: number;
}

/** The first output, in the order of the graph, that moved by more than `tolerance(scale)`. */
export function firstMoved(
  diffs: ReadonlyMap<string, OutputDiff>,
  tolerance: (scale: number) => number,
): MovedOutput | undefined {
  for (const [output, { maxAbsDiff, scale }] of diffs) if (maxAbsDiff > tolerance(scale)) return { output, maxAbsDiff };
  return undefined;
}

/** Names of outputs that hold a value which is NaN or infinite. */
export function nonFiniteOutputs(outputs: Outputs): string[] {
  return [...outputs].filter(([, value]) => !floatsOf(value).every(Number.isFinite)).map(([name]) => name);
}

/** A difference in a sentence. */
export const formatDiff = (diff: number): string => (diff === NOT_FINITE ? 'not finite' : diff.toPrecision(3));
