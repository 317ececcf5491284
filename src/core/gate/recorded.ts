import { hashFile } from '../bytes/hash.js';
import { type DocumentOf, defineDocument } from '../documents/define.js';
import { positive, sha256 } from '../documents/parts.js';
import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import { type ModelLimits, withModelProcess } from '../runtime/child.js';
import { CPU, type Device, formatDevice } from '../runtime/device.js';
import { runtimeVersion } from '../runtime/runtime-version.js';
import { OPTIMIZATION_LEVELS, type OptimizationLevel } from '../runtime/session.js';
import * as z from '../zod.js';
import { type Budget, GOLDEN_ATOL } from './budget.js';
import { compareDecisions, type DecisionDiff, type Scores, scoresOf } from './decisions.js';
import { defaultLevel } from './load.js';
import { type ModelFacts, readFacts } from './model.js';
import { makeProbes, probesSha256 } from './probes.js';
import { firstRows, fixedBatch, inBatches, range, rowRunner } from './rows.js';

/** Rows that are recorded: enough for a flip to show, few enough for every start of a server. */
const RECORDED_ROWS = 16;
const RECORDED_BATCH = 4;

const fields = z
  .strictObject({
    model: z.strictObject({ file: z.string(), sha256 }),
    /** What the inputs are drawn from, and their hash: another version that draws others must not be taken for skew. */
    seed: z.string(),
    rows: positive.max(RECORDED_ROWS),
    inputsSha256: sha256,
    /** What computed the scores. */
    runtime: z.strictObject({
      version: z.string().describe('Of onnxruntime'),
      device: z.string(),
      threads: positive.nullable().describe('Null for the cores of the machine'),
      optimization: z.enum(OPTIMIZATION_LEVELS),
      machine: z.string().describe('Operating system and processor'),
    }),
    /** The output that is decided by, and its value of each row. */
    output: z.string(),
    kind: z.enum(['pair', 'item']),
    scores: z.array(z.number()).max(RECORDED_ROWS),
    tool: z.string(),
  })
  .refine(({ rows, scores }) => scores.length === rows, { path: ['scores'], error: 'must be one a row' });

/** Scores of seeded inputs as they were where the file was made: what another runtime, device or thread count is held to. */
export const recordedDocument = defineDocument('hpsv3/recorded@1', fields, {
  what: 'recorded scores',
  made: 'hpsv3 verify',
  limit: LIMITS.configBytes,
});
export type RecordedScores = DocumentOf<typeof recordedDocument>;

export interface RunSettings {
  readonly device?: Device;
  /** Inside one operator; the cores where omitted. */
  readonly threads?: number;
  readonly optimization?: OptimizationLevel;
  readonly limits?: ModelLimits;
  readonly signal?: AbortSignal;
}

interface Computed {
  readonly facts: ModelFacts;
  readonly scores: Scores;
  readonly inputsSha256: string;
  readonly runtime: RecordedScores['runtime'];
}

async function compute(
  path: string,
  { seed, rows }: Pick<RecordedScores, 'seed' | 'rows'>,
  settings: RunSettings,
): Promise<Computed> {
  const { device, threads, limits, signal } = settings;
  const facts = await readFacts(path);
  const optimization = settings.optimization ?? defaultLevel(facts);
  return withModelProcess({ limits, signal }, async (child) => {
    const options = { device, threads, optimization, config: facts.manifest?.session };
    const session = await child.load(path, options, facts.bytes);
    const probes = makeProbes(session.inputs, facts.manifest, { rows, seed, file: facts.file });
    const batch = fixedBatch(session) ?? RECORDED_BATCH;
    const outputs = firstRows(await rowRunner(session, probes)(inBatches(range(rows), batch)), rows);
    return {
      facts,
      scores: scoresOf(outputs),
      inputsSha256: probesSha256(probes),
      runtime: {
        version: runtimeVersion(),
        device: formatDevice(device ?? CPU),
        threads: threads ?? null,
        optimization,
        machine: `${process.platform}-${process.arch}`,
      },
    };
  });
}

/** Scores of a model as they are here. @throws HpsError SCORE_NONFINITE; as `openOnnx` and `ModelProcess.load` */
export async function recordScores(
  path: string,
  { seed, tool, ...settings }: RunSettings & { readonly seed: string; readonly tool: string },
): Promise<RecordedScores> {
  const { facts, scores, inputsSha256, runtime } = await compute(path, { seed, rows: RECORDED_ROWS }, settings);
  if (!scores.values.every(Number.isFinite)) {
    throw new HpsError('SCORE_NONFINITE', `${facts.file}: a score to be recorded is not finite`, {
      hint: 'Look at the weights: `hpsv3 verify`.',
      details: { output: scores.output },
    });
  }
  return {
    schema: 'hpsv3/recorded@1',
    model: { file: facts.file, sha256: (await hashFile(path, { signal: settings.signal })).sha256 },
    seed,
    rows: RECORDED_ROWS,
    inputsSha256,
    runtime,
    output: scores.output,
    kind: scores.kind,
    scores: [...scores.values],
    tool,
  };
}

/** How scores here differ from those that were recorded. */
export interface Skew extends DecisionDiff {
  readonly passed: boolean;
  readonly budget: Budget;
  readonly recordedBy: RecordedScores['runtime'];
  readonly computedBy: RecordedScores['runtime'];
}

/**
 * Computes recorded scores again, under what runs here.
 *
 * @param recordedIn - base name of the file, for errors
 * @throws HpsError MODELS_INCOMPARABLE for another model, or inputs that this version draws otherwise
 */
export async function compareRecorded(
  path: string,
  recorded: RecordedScores,
  recordedIn: string,
  { budget = {}, ...settings }: RunSettings & { readonly budget?: Budget } = {},
): Promise<Skew> {
  const { sha256: actual } = await hashFile(path, { signal: settings.signal });
  if (actual !== recorded.model.sha256) {
    throw incomparable(
      recordedIn,
      `is of the model ${recorded.model.sha256.slice(0, 12)}…, not of this one (${actual.slice(0, 12)}…)`,
    );
  }
  const { facts, scores, inputsSha256, runtime } = await compute(path, recorded, settings);
  if (inputsSha256 !== recorded.inputsSha256 || scores.output !== recorded.output) {
    throw incomparable(recordedIn, `was made by ${recorded.tool}, which drew other inputs`);
  }
  const before = { kind: recorded.kind, output: recorded.output, values: Float64Array.from(recorded.scores) };
  const due: Budget = { flips: 0, score: GOLDEN_ATOL[facts.half ? 'fp16' : 'fp32'], ...budget };
  const difference = compareDecisions(before, scores, due.score);
  const passed =
    difference.flips <= (due.flips ?? Number.POSITIVE_INFINITY) &&
    difference.flipRate <= (due.flipRate ?? 1) &&
    difference.maxScoreDiff <= (due.score ?? Number.POSITIVE_INFINITY) &&
    (due.kendall === undefined || (difference.kendall ?? 1) >= due.kendall);
  return { ...difference, passed, budget: due, recordedBy: recorded.runtime, computedBy: runtime };
}

const incomparable = (file: string, rule: string): HpsError =>
  new HpsError('MODELS_INCOMPARABLE', `${file}: ${rule}`, {
    hint: 'Give the scores that were recorded of this file, or record them again with `record`.',
    details: { file },
  });

/** What runs differently here, in a few words; empty where nothing does. */
export function runtimeDifferences({ recordedBy, computedBy }: Pick<Skew, 'recordedBy' | 'computedBy'>): string[] {
  const keys = Object.keys(computedBy) as (keyof typeof computedBy)[];
  return keys.flatMap((key) =>
    recordedBy[key] === computedBy[key]
      ? []
      : [`${key} ${recordedBy[key] ?? 'of the machine'} then, ${computedBy[key] ?? 'of the machine'} now`],
  );
}
