import { HpsError } from '../errors.js';
import { startStage } from '../run.js';
import { type ModelProcess, withModelProcess } from '../runtime/child.js';
import type { Outputs } from './compare.js';
import { orderBias } from './decisions.js';
import { type DivergenceResult, findDivergence } from './divergence.js';
import { readGolden, readProbes } from './golden.js';
import type { GateCheck } from './invariances.js';
import { defaultLevel, type GateSession, load } from './load.js';
import { combineOutputs } from './members.js';
import { type ModelFacts, readFacts } from './model.js';
import { reportOff } from './off.js';
import { budgetOf, type GateOptions, type GateReference, progressOf, seedOf } from './options.js';
import { makeProbes, type Probes } from './probes.js';
import type { GateReport } from './report.js';
import { batchFeeds, firstRows, fixedBatch, inBatches, range, rowRunner } from './rows.js';
import { COMPARED_BATCH, INVARIANCE_ROWS, tryInvariances, tryLevels } from './trials.js';
import { judgeGolden, judgeSource, type Verdict } from './verdict.js';

export type { GateOptions, GateReference } from './options.js';

const REPORTED_REFERENCE = { golden: 'golden', model: 'source', ensemble: 'members', none: 'none' } as const;

/** Rows compared with a source: 24 items make 276 pairs. A pair model decides one a row. */
const COMPARED_ROWS = { quick: { item: 8, pair: 16 }, full: { item: 24, pair: 48 } } as const;

/**
 * Judges a model by its decisions: against golden outputs or another model, and against itself under other batches,
 * neighbours and levels of optimisation. A "no" is a report with `passed: false`, never an error.
 *
 * @throws HpsError for what keeps it from judging: a file that cannot be read, run or compared (MODELS_INCOMPARABLE,
 * TENSOR_NOT_FOUND, INPUTS_INVALID, MODEL_TIMEOUT and the like)
 */
export async function runGate(options: GateOptions): Promise<GateReport> {
  if (options.level === 'off') return reportOff(options);
  const candidate = await readFacts(options.candidate);
  const sources = await sourcesOf(options.reference);
  for (const { facts } of sources) assertComparable(facts, candidate);
  const expected = sources.length > 0 ? await runSources(sources, candidate, options) : null;
  const judged = await withModelProcess(childOptions(options), (child) =>
    judgeCandidate(child, candidate, expected, options),
  );
  const { verdict, invariances } = judged;
  const checks = [...(verdict?.checks ?? []), ...invariances];
  const source = options.reference.kind === 'model' ? sources[0].facts : null;
  const divergence =
    source && expected && verdict?.firstMoved && options.locate !== false
      ? await locate(source, candidate, expected, verdict, options)
      : null;
  return {
    passed: checks.every(({ passed }) => passed),
    level: options.level,
    reference: REPORTED_REFERENCE[options.reference.kind],
    ...(expected
      ? {
          comparedOn: {
            rows: expected.probes.rows,
            origin: options.inputs ? ('inputs' as const) : ('probes' as const),
          },
        }
      : {}),
    budget: budgetOf(options),
    seed: seedOf(options),
    ...decisionFigures(verdict),
    ...(verdict?.table ? { decisions: verdict.table } : {}),
    ...(judged.orderBias === undefined ? {} : { orderBias: judged.orderBias }),
    checks,
    notes:
      divergence && 'note' in divergence ? [`The first value inside the graph that moved: ${divergence.note}.`] : [],
    parity: {
      golden: expected ? null : (verdict?.parity ?? null),
      source: expected ? (verdict?.parity ?? null) : null,
    },
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

const childOptions = ({ limits, signal }: GateOptions) => ({ limits, signal });

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

async function probesFor(session: GateSession, model: ModelFacts, rows: number, options: GateOptions): Promise<Probes> {
  const { manifest, file } = model;
  const { inputs } = session;
  if (options.inputs) return readProbes(options.inputs.tensors, { file: options.inputs.file, manifest, inputs });
  return makeProbes(inputs, manifest, { rows, seed: seedOf(options), file });
}

/** A model the candidate is compared with, and how often its outputs count. */
interface Source {
  readonly facts: ModelFacts;
  readonly coefficient: number;
}

async function sourcesOf(reference: GateReference): Promise<Source[]> {
  if (reference.kind === 'model') return [{ facts: await readFacts(reference.path), coefficient: 1 }];
  if (reference.kind !== 'ensemble') return [];
  return Promise.all(
    reference.members.map(async ({ path, coefficient }) => ({ facts: await readFacts(path), coefficient })),
  );
}

interface Expected {
  readonly probes: Probes;
  readonly outputs: Outputs;
  readonly batch: number;
}

/** What the sources give for the same probes: the one as it is, the members of an ensemble combined. */
async function runSources(sources: readonly Source[], candidate: ModelFacts, options: GateOptions): Promise<Expected> {
  const [first, ...others] = sources;
  const expected = await runSource(first.facts, candidate, options);
  if (options.reference.kind !== 'ensemble') return expected;
  const parts = [{ outputs: expected.outputs, coefficient: first.coefficient }];
  for (const { facts, coefficient } of others) {
    const { outputs } = await runSource(facts, candidate, options, expected.probes);
    parts.push({ outputs, coefficient });
  }
  return { ...expected, outputs: combineOutputs(parts) };
}

/**
 * What a source gives for the probes, in a process of its own so that no two models need to fit at once.
 *
 * @param given - probes made for another source
 */
async function runSource(
  source: ModelFacts,
  candidate: ModelFacts,
  options: GateOptions,
  given?: Probes,
): Promise<Expected> {
  return withModelProcess(childOptions(options), async (child) => {
    const session = await load(child, source, defaultLevel(source), options);
    const contract = source.manifest ? source : { ...source, manifest: candidate.manifest };
    const rows = COMPARED_ROWS[options.level === 'quick' ? 'quick' : 'full'];
    const isPair = session.outputs.some(({ name }) => name === 'pair_logit');
    const probes = given ?? (await probesFor(session, contract, isPair ? rows.pair : rows.item, options));
    const batch = fixedBatch(session) ?? COMPARED_BATCH;
    const run = rowRunner(session, probes, progressOf(options, 'source'));
    const outputs = firstRows(await run(inBatches(range(probes.rows), batch)), probes.rows);
    return { probes, outputs, batch };
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
  const session = await load(child, model, defaultLevel(model), options);
  const { verdict, outputs } = await judgeReference(session, model, expected, options);
  const probes = expected?.probes ?? (await probesFor(session, model, INVARIANCE_ROWS, options));
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
  session: GateSession,
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
  await assertSameInputs(session, expected, model, options);
  const { probes, batch } = expected;
  const run = rowRunner(session, probes, progressOf(options, 'candidate'));
  const actual = firstRows(await run(inBatches(range(probes.rows), batch)), probes.rows);
  return { verdict: judgeSource(expected.outputs, actual, budget), outputs: actual };
}

async function assertSameInputs(
  session: GateSession,
  { probes }: Expected,
  model: ModelFacts,
  { reference }: GateOptions,
): Promise<void> {
  const wanted = session.inputs.map(({ name, dtype }) => `${name} ${dtype}`).sort();
  const given = Array.from(probes.feeds, ([name, { dtype }]) => `${name} ${dtype}`).sort();
  const [source] = await sourcesOf(reference);
  if (wanted.join() === given.join() || source === undefined) return;
  throw incomparable(
    source.facts,
    model,
    `inputs are ${given.join(', ')} in one and ${wanted.join(', ')} in the other`,
  );
}

/** Looks for the place inside the graph where the models part, on the first batch; a note where it cannot be told. */
async function locate(
  source: ModelFacts,
  candidate: ModelFacts,
  { probes, batch }: Expected,
  { tolerance }: Verdict,
  options: GateOptions,
): Promise<DivergenceResult> {
  startStage(options, 'Gate, first divergence');
  const [first] = inBatches(range(probes.rows), batch);
  return findDivergence(source, candidate, {
    feeds: batchFeeds(probes, first),
    tolerance,
    child: childOptions(options),
    threads: options.threads,
  });
}
