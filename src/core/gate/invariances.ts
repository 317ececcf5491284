import type { Random } from '../bytes/random.js';
import type { OptimizationLevel } from '../runtime/session.js';
import { compareOutputs, firstMoved, formatDiff, nonFiniteOutputs, type Outputs, worst } from './compare.js';
import { firstRows, inBatches, type RowRunner, range, selectRows } from './rows.js';

/** One question that was asked of a model, with its answer in a sentence. */
export interface GateCheck {
  readonly name: string;
  readonly passed: boolean;
  /** Largest difference found, where the question is about one. */
  readonly maxAbsDiff?: number;
  /** The same of each output that moved, for levels of optimisation. */
  readonly outputs?: Readonly<Record<string, number>>;
  readonly detail: string;
}

/**
 * Rounding that may differ between two ways of computing the same: by how much, for an output whose largest value is `scale`.
 * fp32 sums of a few thousand terms differ by some 1e-6 of their size; float16 keeps 11 bits.
 */
export type Tolerance = (scale: number) => number;
export const ROUNDING: Tolerance = (scale) => 1e-5 * Math.max(1, scale);
export const HALF_ROUNDING: Tolerance = (scale) => 5e-3 * Math.max(1, scale);

/** Batch sizes that must give the same rows: one, even, odd, and one wide enough for vector code. */
export const BATCH_SIZES = [1, 2, 3, 8] as const;
const NEIGHBOURS_BATCH = 3;

/** Passes where every output of `actual` equals that of `expected` up to rounding. */
export function sameOutputs(
  name: string,
  what: string,
  expected: Outputs,
  actual: Outputs,
  tolerance: Tolerance,
): GateCheck {
  const diffs = compareOutputs(expected, actual);
  const missing = [...expected.keys()].filter((output) => !actual.has(output));
  const moved = firstMoved(diffs, tolerance);
  const maxAbsDiff = worst(diffs);
  if (missing.length > 0)
    return { name, passed: false, maxAbsDiff, detail: `${what}: ${missing.join(', ')} has another shape.` };
  if (!moved)
    return { name, passed: true, maxAbsDiff, detail: `${what}: equal within rounding (${formatDiff(maxAbsDiff)}).` };
  const { note } = diffs.get(moved.output)!;
  return {
    name,
    passed: false,
    maxAbsDiff,
    detail: `${what}: ${moved.output} differs by ${formatDiff(moved.maxAbsDiff)}${note ? ` (${note})` : ''}.`,
  };
}

/** Every row alone must equal the row in a batch of `size`. @param alone - outputs of rows 0 to n - 1 in batches of one */
export async function checkBatchSize(
  run: RowRunner,
  size: number,
  rows: number,
  alone: Promise<Outputs>,
  tolerance: Tolerance,
): Promise<GateCheck> {
  const [single, batched] = await Promise.all([alone, run(inBatches(range(rows), size))]);
  const what = `Rows in batches of ${size} against one by one`;
  return sameOutputs(`batch-${size}`, what, single, firstRows(batched, rows), tolerance);
}

/** A row must not depend on the rows beside it, nor on its place among them: batches of the same size, rows shuffled. */
export async function checkNeighbours(
  run: RowRunner,
  rows: number,
  random: Random,
  tolerance: Tolerance,
  size = NEIGHBOURS_BATCH,
): Promise<GateCheck> {
  const order = random.permutation(rows);
  const runs = await Promise.all([run(inBatches(range(rows), size)), run(inBatches(order, size))]);
  const [natural, shuffled] = runs.map((outputs) => firstRows(outputs, rows));
  return sameOutputs(
    'neighbours',
    'Rows with other neighbours, at other places',
    selectRows(natural, order),
    shuffled,
    tolerance,
  );
}

/** A level of graph optimisation must not change results. Both run the same batches. */
export function checkOptimization(
  level: OptimizationLevel,
  baseline: Outputs,
  actual: Outputs,
  tolerance: Tolerance,
): GateCheck {
  const what = `Optimisation level ${level} against all`;
  const check = sameOutputs(`optimization-${level}`, what, baseline, actual, tolerance);
  if (check.passed || [...baseline.keys()].some((output) => !actual.has(output))) return check;
  const moved = [...compareOutputs(baseline, actual)].filter(
    ([, { maxAbsDiff, scale }]) => maxAbsDiff > tolerance(scale),
  );
  return { ...check, outputs: Object.fromEntries(moved.map(([name, { maxAbsDiff }]) => [name, maxAbsDiff])) };
}

export function checkFinite(outputs: Outputs): GateCheck {
  const bad = nonFiniteOutputs(outputs);
  const detail = bad.length === 0 ? 'Every output is finite.' : `NaN or infinity in ${bad.join(', ')}.`;
  return { name: 'finite', passed: bad.length === 0, detail };
}
