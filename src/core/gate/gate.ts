import { totalmem } from 'node:os';
import { Random } from '../bytes/random.js';
import { HpsError } from '../errors.js';
import { type ModelLimits, type ModelProcess, type RemoteSession, withModelProcess } from '../runtime/child.js';
import type { OptimizationLevel } from '../runtime/session.js';
import type { Tensor } from '../tensor/tensor.js';
import { type Budget, type BudgetKind, withDefaults } from './budget.js';
import type { Outputs } from './compare.js';
import { orderBias } from './decisions.js';
import { type DivergenceResult, findDivergence } from './divergence.js';
import { readGolden, readProbes } from './golden.js';
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
import { type ModelFacts, readFacts } from './model.js';
import { makeProbes, type Probes } from './probes.js';
import type { GateLevel, GateReport } from './report.js';
import { batchFeeds, fixedBatch, inBatches, type RowRunner, range, rowRunner } from './rows.js';
import { judgeGolden, judgeSource, type Verdict } from './verdict.js';

export type GateReference =
  /** Outputs of the reference implementation; `atol` by the checkpoint's dtype (GOLDEN_ATOL). */
  | {
      readonly kind: 'golden';
      readonly file: string;
      readonly tensors: ReadonlyMap<string, Tensor>;
      readonly atol: number;
    }
  /** Another model that must decide alike. */
  | { readonly kind: 'model'; readonly path: string }
  | { readonly kind: 'none' };

export interface GateProgress {
  readonly step: string;
  /** Batches run so far in this step. */
  readonly done: number;
}

export interface GateOptions {
  /** Path of the model that is judged. */
  readonly candidate: string;
  readonly reference: GateReference;
  readonly level: GateLevel;
  /** What replaces the defaults of `budgetKind`. */
  readonly budget?: Budget;
  /** `source` by default for a model, `golden` and `none` for those. */
  readonly budgetKind?: BudgetKind;
  /** Of the probes; the same seed gives the same probes. Default `0`. */
  readonly seed?: string;
  /** Inputs of the user's own instead of probes. */
  readonly inputs?: { readonly file: string; readonly tensors: ReadonlyMap<string, Tensor> };
  /** 1 for results that do not depend on the number of cores. */
  readonly threads?: number;
  readonly limits?: ModelLimits;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: GateProgress) => void;
}

/** Rows compared with a source: 24 items make 276 pairs. A pair model decides one a row. */
const COMPARED_ROWS = { quick: { item: 8, pair: 16 }, full: { item: 24, pair: 48 } } as const;
/** Rows that the invariances are tried on. */
const INVARIANCE_ROWS = { quick: 3, full: 8 } as const;
const COMPARED_BATCH = 8;
const QUICK_BATCH = 3;
/** Memory a loaded model takes, by the size of its files: its weights once more while they are packed (measured: up to 2.6). */
const MEMORY_FACTOR = 3;

/**
 * Judges a model by its decisions: against golden outputs or another model, and against itself under other batches,
 * neighbours and levels of optimisation. A "no" is a report with `passed: false`, never an error.
 *
 * @throws HpsError for what keeps it from judging: a file that cannot be read, run or compared (MODELS_INCOMPARABLE,
 * TENSOR_NOT_FOUND, INPUTS_INVALID, MODEL_TIMEOUT and the like)
 */
export async function runGate(options: GateOptions): Promise<GateReport> {
  if (options.level === 'off') return reportOff(options);
  const candidate = readFacts(options.candidate);
  const source = options.reference.kind === 'model' ? readFacts(options.reference.path) : null;
  if (source) assertComparable(source, candidate);
  const expected = source ? await runSource(source, candidate, options) : null;
  const judged = await withModelProcess(childOptions(options), (child) =>
    judgeCandidate(child, candidate, expected, options),
  );
  const { verdict, invariances } = judged;
  const checks = [...(verdict?.checks ?? []), ...invariances];
  const divergence =
    source && expected && verdict?.firstMoved ? await locate(source, candidate, expected, verdict, options) : null;
  return {
    passed: checks.every(({ passed }) => passed),
    level: options.level,
    reference: source ? 'source' : options.reference.kind === 'golden' ? 'golden' : 'none',
    budget: budgetOf(options),
    seed: seedOf(options),
    ...decisionFigures(verdict),
    ...(judged.orderBias === undefined ? {} : { orderBias: judged.orderBias }),
    checks,
    notes:
      divergence && 'note' in divergence ? [`The first value inside the graph that moved: ${divergence.note}.`] : [],
    parity: { golden: source ? null : (verdict?.parity ?? null), source: source ? (verdict?.parity ?? null) : null },
    ...(verdict?.firstMoved ? { firstMoved: verdict.firstMoved } : {}),
    ...(divergence && 'found' in divergence ? { firstDivergence: divergence.found } : {}),
    peakRssBytes: judged.peakRssBytes,
    loadMs: judged.loadMs,
    runMs: judged.runMs,
  };
}

function decisionFigures(
  verdict: Verdict | null,
): Pick<GateReport, 'pairs' | 'flips' | 'flipRate' | 'kendall' | 'maxScoreDiff'> {
  const { pairs = null, flips = null, flipRate = null, kendall = null, maxScoreDiff = null } = verdict?.decisions ?? {};
  return { pairs, flips, flipRate, kendall, maxScoreDiff };
}

/** Nothing was asked, so nothing failed; `level` and `reference` say that nothing is known either. */
function reportOff(options: GateOptions): GateReport {
  const unknown = {
    ...decisionFigures(null),
    parity: { golden: null, source: null },
    peakRssBytes: 0,
    loadMs: 0,
    runMs: 0,
  };
  return {
    passed: true,
    level: 'off',
    reference: 'none',
    budget: budgetOf(options),
    seed: seedOf(options),
    checks: [],
    notes: [],
    ...unknown,
  };
}

const seedOf = ({ seed = '0' }: GateOptions): string => seed;
const childOptions = ({ limits, signal }: GateOptions) => ({ limits, signal });

function budgetOf({ reference, budgetKind, budget }: GateOptions): Budget {
  return withDefaults(budgetKind ?? (reference.kind === 'model' ? 'source' : reference.kind), budget);
}

function assertComparable(source: ModelFacts, candidate: ModelFacts): void {
  for (const key of ['modality', 'mode', 'decision'] as const) {
    const [was, is] = [source.manifest?.[key], candidate.manifest?.[key]];
    if (was === undefined || is === undefined || was === is) continue;
    throw incomparable(source, candidate, `${key} is ${was} in one and ${is} in the other`);
  }
}

function incomparable(source: ModelFacts, candidate: ModelFacts, problem: string): HpsError {
  return new HpsError('MODELS_INCOMPARABLE', `${source.file} and ${candidate.file} cannot be compared: ${problem}`, {
    hint: 'Compare two files of the same modality and mode, with the same inputs.',
    details: { files: [source.file, candidate.file], problem },
  });
}

/** Over half of the machine's memory, packed copies of the weights are avoided: level basic, and no second level. */
const isLarge = ({ bytes }: ModelFacts): boolean => bytes * MEMORY_FACTOR > totalmem() / 2;
const defaultLevel = (model: ModelFacts): OptimizationLevel => (isLarge(model) ? 'basic' : 'all');

function load(
  child: ModelProcess,
  model: ModelFacts,
  optimization: OptimizationLevel,
  threads?: number,
): Promise<RemoteSession> {
  return child.load(model.path, { optimization, threads, config: model.manifest?.session }, model.bytes);
}

async function probesFor(
  session: RemoteSession,
  model: ModelFacts,
  rows: number,
  options: GateOptions,
): Promise<Probes> {
  if (options.inputs)
    return readProbes(options.inputs.tensors, {
      file: options.inputs.file,
      manifest: model.manifest,
      inputs: session.inputs,
    });
  return makeProbes(session.inputs, model.manifest, { rows, seed: seedOf(options), file: model.file });
}

const tick = ({ onProgress }: GateOptions, step: string): (() => void) => {
  let done = 0;
  return () => onProgress?.({ step, done: ++done });
};

interface Expected {
  readonly probes: Probes;
  readonly outputs: Outputs;
  readonly batch: number;
}

/** What the source gives for the probes, in a process of its own so that both models need not fit at once. */
async function runSource(source: ModelFacts, candidate: ModelFacts, options: GateOptions): Promise<Expected> {
  return withModelProcess(childOptions(options), async (child) => {
    const session = await load(child, source, defaultLevel(source), options.threads);
    const contract = source.manifest ? source : { ...source, manifest: candidate.manifest };
    const rows = COMPARED_ROWS[options.level === 'quick' ? 'quick' : 'full'];
    const isPair = session.outputs.some(({ name }) => name === 'pair_logit');
    const probes = await probesFor(session, contract, isPair ? rows.pair : rows.item, options);
    const batch = fixedBatch(session) ?? COMPARED_BATCH;
    const run = rowRunner(session, probes, tick(options, 'source'));
    return { probes, outputs: await run(inBatches(range(probes.rows), batch)), batch };
  });
}

interface Judged {
  readonly verdict: Verdict | null;
  readonly invariances: readonly GateCheck[];
  readonly orderBias: number | undefined;
  readonly peakRssBytes: number;
  readonly loadMs: number;
  readonly runMs: number;
}

async function judgeCandidate(
  child: ModelProcess,
  model: ModelFacts,
  expected: Expected | null,
  options: GateOptions,
): Promise<Judged> {
  const session = await load(child, model, defaultLevel(model), options.threads);
  const { verdict, outputs } = await judgeReference(session, model, expected, options);
  const probes = expected?.probes ?? (await probesFor(session, model, INVARIANCE_ROWS.full, options));
  const tried = await tryInvariances(session, probes, model, options);
  const { loadMs, runMs } = session;
  await session.release();
  const levels = options.level === 'full' ? await tryLevels(child, model, probes, tried, options) : [];
  return {
    verdict,
    invariances: [...tried.checks, ...levels],
    orderBias: orderBias(outputs ?? tried.outputs),
    peakRssBytes: child.peakRssBytes,
    loadMs,
    runMs,
  };
}

async function judgeReference(
  session: RemoteSession,
  model: ModelFacts,
  expected: Expected | null,
  options: GateOptions,
): Promise<{ verdict: Verdict | null; outputs: Outputs | null }> {
  const { reference } = options;
  const budget = budgetOf(options);
  if (reference.kind === 'golden') {
    const { inputs, outputs } = session;
    const golden = await readGolden(reference.tensors, {
      file: reference.file,
      manifest: model.manifest,
      inputs,
      outputs,
    });
    const actual = await session.run(golden.inputs);
    return { verdict: judgeGolden(golden.outputs, actual, reference.atol, budget), outputs: actual };
  }
  if (!expected) return { verdict: null, outputs: null };
  assertSameInputs(session, expected, model, options);
  const run = rowRunner(session, expected.probes, tick(options, 'candidate'));
  const actual = await run(inBatches(range(expected.probes.rows), expected.batch));
  return { verdict: judgeSource(expected.outputs, actual, budget), outputs: actual };
}

function assertSameInputs(
  session: RemoteSession,
  { probes }: Expected,
  model: ModelFacts,
  { reference }: GateOptions,
): void {
  const wanted = session.inputs.map(({ name, dtype }) => `${name} ${dtype}`).sort();
  const given = Array.from(probes.feeds, ([name, { dtype }]) => `${name} ${dtype}`).sort();
  if (wanted.join() === given.join() || reference.kind !== 'model') return;
  throw incomparable(
    readFacts(reference.path),
    model,
    `inputs are ${given.join(', ')} in one and ${wanted.join(', ')} in the other`,
  );
}

interface Tried {
  readonly checks: readonly GateCheck[];
  /** Outputs of the tried rows at the default level, and the batches they were run in. */
  readonly outputs: Outputs;
  readonly batches: readonly number[][];
  readonly tolerance: Tolerance;
}

async function tryInvariances(
  session: RemoteSession,
  probes: Probes,
  model: ModelFacts,
  options: GateOptions,
): Promise<Tried> {
  const half = model.half || [...session.inputs, ...session.outputs].some(({ dtype }) => dtype === 'F16');
  const tolerance = half ? HALF_ROUNDING : ROUNDING;
  const run = rowRunner(session, probes, tick(options, 'invariances'));
  const rows = Math.min(probes.rows, INVARIANCE_ROWS[options.level === 'quick' ? 'quick' : 'full']);
  const fixed = fixedBatch(session);
  const batches = inBatches(range(rows), fixed ?? (options.level === 'quick' ? QUICK_BATCH : COMPARED_BATCH));
  const outputs = await run(batches);
  const checks = [checkFinite(outputs)];
  if (fixed === null) checks.push(...(await tryBatches(run, rows, tolerance, options)));
  else checks.push(await tryFixedBatch(run, rows, fixed, tolerance, options));
  return { checks, outputs, batches, tolerance };
}

async function tryBatches(
  run: RowRunner,
  rows: number,
  tolerance: Tolerance,
  options: GateOptions,
): Promise<GateCheck[]> {
  const alone = await run(inBatches(range(rows), 1));
  if (options.level === 'quick') return [await checkBatchSize(run, QUICK_BATCH, rows, alone, tolerance)];
  const checks: GateCheck[] = [];
  for (const size of BATCH_SIZES) if (size > 1) checks.push(await checkBatchSize(run, size, rows, alone, tolerance));
  checks.push(await checkNeighbours(run, rows, new Random(`${seedOf(options)}/order`), tolerance));
  return checks;
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

async function tryLevels(
  child: ModelProcess,
  model: ModelFacts,
  probes: Probes,
  tried: Tried,
  options: GateOptions,
): Promise<GateCheck[]> {
  if (isLarge(model)) {
    const detail = 'The model may take over half of the memory: it was run at optimisation level basic only.';
    return [{ name: 'optimization-basic-only', passed: true, detail }];
  }
  const checks: GateCheck[] = [];
  for (const level of ['disabled', 'basic'] as const) {
    const session = await load(child, model, level, options.threads);
    const outputs = await rowRunner(session, probes, tick(options, `optimisation level ${level}`))(tried.batches);
    await session.release();
    checks.push(checkOptimization(level, tried.outputs, outputs, tried.tolerance));
  }
  return checks;
}

/** Looks for the place inside the graph where the models part, on the first batch; a note where it cannot be told. */
async function locate(
  source: ModelFacts,
  candidate: ModelFacts,
  { probes, batch }: Expected,
  { tolerance }: Verdict,
  options: GateOptions,
): Promise<DivergenceResult> {
  options.onProgress?.({ step: 'first divergence', done: 0 });
  const [first] = inBatches(range(probes.rows), batch);
  return findDivergence(source, candidate, {
    feeds: batchFeeds(probes.feeds, first),
    tolerance,
    child: childOptions(options),
    threads: options.threads,
  });
}
