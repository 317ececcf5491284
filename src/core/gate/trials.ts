import { Random } from '../bytes/random.js';
import type { ModelProcess } from '../runtime/child.js';
import type { Outputs } from './compare.js';
import {
  BATCH_SIZES,
  checkBatchSize,
  checkFinite,
  checkNeighbours,
  checkOptimization,
  type GateCheck,
  HALF_ROUNDING,
  ROUNDING,
  type Tolerance,
} from './invariances.js';
import { defaultLevel, type GateSession, isLarge, load, segmentBytesOf } from './load.js';
import type { ModelFacts } from './model.js';
import { type GateOptions, progressOf, seedOf } from './options.js';
import type { Probes } from './probes.js';
import { fixedBatch, inBatches, type RowRunner, range, rowRunner } from './rows.js';

/** Rows that the invariances are tried on, at most; a model too heavy for it is tried on fewer. */
export const INVARIANCE_ROWS = 8;
const FEW_ROWS = 3;
/** Above this a row takes long enough on a CPU that eight of them in every batch would cost minutes. */
const HEAVY_BYTES = 128 * 1024 * 1024;
/** The batch that models are compared in, where they take any. */
export const COMPARED_BATCH = 8;
const DEFAULT_LEVELS = ['disabled', 'basic'] as const;

export interface Tried {
  readonly checks: readonly GateCheck[];
  /** Outputs of the tried rows at the default level, and the batches they were run in. */
  readonly outputs: Outputs;
  readonly batches: readonly number[][];
  readonly tolerance: Tolerance;
}

/** Asks whether rows depend on their batch. */
export async function tryInvariances(
  session: GateSession,
  probes: Probes,
  model: ModelFacts,
  options: GateOptions,
): Promise<Tried> {
  const half = model.half || [...session.inputs, ...session.outputs].some(({ dtype }) => dtype === 'F16');
  const tolerance = half ? HALF_ROUNDING : ROUNDING;
  const run = rowRunner(session, probes, progressOf(options, 'invariances'));
  const few = options.level === 'quick' || model.bytes > HEAVY_BYTES;
  const rows = Math.min(probes.rows, few ? FEW_ROWS : INVARIANCE_ROWS);
  const fixed = fixedBatch(session);
  const batches = inBatches(range(rows), fixed ?? (few ? FEW_ROWS : COMPARED_BATCH));
  // Asked for at once: in segments, all go through each of them together.
  const [outputs, checks] = await Promise.all([
    run(batches),
    fixed === null
      ? tryBatches(run, rows, tolerance, options)
      : tryFixedBatch(run, rows, fixed, tolerance, options).then((check) => [check]),
  ]);
  return { checks: [checkFinite(outputs), ...checks], outputs, batches, tolerance };
}

async function tryBatches(
  run: RowRunner,
  rows: number,
  tolerance: Tolerance,
  options: GateOptions,
): Promise<GateCheck[]> {
  const alone = run(inBatches(range(rows), 1));
  if (options.level === 'quick') return [await checkBatchSize(run, FEW_ROWS, rows, alone, tolerance)];
  return Promise.all([
    ...BATCH_SIZES.filter((size) => size > 1).map((size) => checkBatchSize(run, size, rows, alone, tolerance)),
    checkNeighbours(run, rows, new Random(`${seedOf(options)}/order`), tolerance),
  ]);
}

/** A model made for one batch size can still be asked whether rows see their neighbours. */
async function tryFixedBatch(
  run: RowRunner,
  rows: number,
  size: number,
  tolerance: Tolerance,
  options: GateOptions,
): Promise<GateCheck> {
  if (size > 1) return checkNeighbours(run, rows, new Random(`${seedOf(options)}/order`), tolerance, size);
  return {
    name: 'batch-fixed',
    passed: true,
    detail: 'The model takes one row at a time: other batch sizes were not tried.',
  };
}

/** Asks whether the other levels of optimisation give the same, on the batches of `tried`. */
export async function tryLevels(
  child: ModelProcess,
  model: ModelFacts,
  probes: Probes,
  tried: Tried,
  options: GateOptions,
): Promise<GateCheck[]> {
  const segmentBytes = segmentBytesOf(model, options);
  if (segmentBytes !== null) {
    const detail = `The model was run in segments of ${segmentBytes} bytes of weights, at optimisation level ${defaultLevel(model)} only.`;
    return [{ name: 'in-segments', passed: true, detail }];
  }
  if (isLarge(model)) {
    const detail = 'The model may take over half of the memory: it was run at optimisation level basic only.';
    return [{ name: 'optimization-basic-only', passed: true, detail }];
  }
  const checks: GateCheck[] = [];
  for (const level of options.levels ?? DEFAULT_LEVELS) {
    const session = await load(child, model, level, options);
    const outputs = await rowRunner(session, probes, progressOf(options, `optimisation level ${level}`))(tried.batches);
    await session.release();
    checks.push(checkOptimization(level, tried.outputs, outputs, tried.tolerance));
  }
  return checks;
}
