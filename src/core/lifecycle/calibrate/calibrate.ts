import { collectColumns } from '../../bytes/garbage.js';
import { type StagedOutput, withOptionalOutput } from '../../bytes/output.js';
import { type Abstention, abstentionWarnings, controlRisk } from '../../calibration/abstention.js';
import { asideIn } from '../../calibration/aside.js';
import {
  type CalibrationMethodId,
  type Calibrator,
  calibratorDocument,
  formatCalibrator,
} from '../../calibration/calibrator.js';
import { type Figures, type ResampleCounts, resampleCounts } from '../../calibration/figures.js';
import { type FitCalibratorOptions, type FittedCalibrator, fitCalibrator } from '../../calibration/fit-calibrator.js';
import { SHRINKAGE_CLUSTERS } from '../../calibration/group-fit.js';
import { CALIBRATION_METHODS } from '../../calibration/methods/registry.js';
import { SCALE_METHODS } from '../../calibration/methods/scale.js';
import { type ClusteredVotes, votesOf } from '../../calibration/pair-task.js';
import { madeForItems, madeForPairs, type Recipe } from '../../calibration/recipe.js';
import { type Reference, referenceWarnings } from '../../calibration/reference.js';
import { type ScoredItems, scoredItems } from '../../calibration/scale-task.js';
import { groupColumn } from '../../data/group-column.js';
import type { JoinedAbsolutes, JoinedPairs } from '../../data/join.js';
import { type JudgedRows, readJudgedScores, rowWarnings } from '../../data/judged-scores.js';
import type { LabelLayout } from '../../data/layouts/apply.js';
import { type ErrorRows, errorsOf, withErrorRows } from '../../data/row-files.js';
import { DEFAULT_GATE, DEFAULT_SEED, type Filled, filled } from '../../defaults.js';
import { HpsError } from '../../errors.js';
import type { Budget } from '../../gate/budget.js';
import type { GateLevel, GateReport } from '../../gate/report.js';
import { type RemoteFileOptions, withAddresses } from '../../hub/with-addresses.js';
import type { Decision } from '../../onnx/manifest.js';
import { startLineage } from '../../release/lineage.js';
import type { ReleasedModel } from '../../release/model-release.js';
import { type Run, runOf } from '../../run.js';
import { withBoundedThreads } from '../../runtime/bounded-threads.js';
import { TOOL } from '../../version.js';
import { Embedding } from './embed-calibrator.js';
import { readReference, referenceOf } from './reference-set.js';

export interface CalibrateOptions extends Run, LabelLayout {
  /** Scores of one model. */
  readonly scores: string;
  /** Human labels of what was scored. */
  readonly labels: string;
  /** Calibrator file to write; without it, there is a report only. */
  readonly out?: string | null;
  /** `auto` takes the simplest within one standard error of the best. */
  readonly method?: CalibrationMethodId | 'auto';
  /** Both orders of a pair are one judgement. */
  readonly symmetric?: boolean;
  /** No two scores get the same probability. */
  readonly strictlyMonotone?: boolean;
  /** Of the cross-validation, by cluster. */
  readonly folds?: number;
  /** Of clusters, behind each interval; 2000, or fewer for very many rows, where omitted. */
  readonly resamples?: number;
  /** `groups.NAME`, `NAME` or `task`. */
  readonly perGroup?: string;
  /** Largest share of votes against a decision: the margin under which none should be taken is looked for. */
  readonly risk?: number;
  /** Scores of the same model whose quantiles the calibrator keeps: results then say which share of them is lower. */
  readonly reference?: string;
  /** Take a reference of scores of another model, as of a quantized file of this one. */
  readonly allowOtherModel?: boolean;
  /** What the scores were decided by, where it is known. */
  readonly decision?: Decision;
  /** Also put the calibrator into the model that made the scores. */
  readonly embed?: { readonly model: string; readonly out: string };
  readonly gate?: GateLevel;
  readonly budget?: Budget;
  /** Accept NaN and infinities among the weights of the model. */
  readonly allowNonfinite?: boolean;
  readonly seed?: number;
  /** The cores by default. Results are the same whatever their number. */
  readonly threads?: number;
  /** Bytes that all of it should take: fewer threads compute at once where memory comes near that. */
  readonly maxMemory?: number;
  /** How files on other machines are reached, where an option names one: hf://, https://, s3://. */
  readonly remote?: RemoteFileOptions;
  /** Replace the files that are written. */
  readonly force?: boolean;
}

export const CALIBRATE_DEFAULTS = {
  method: 'auto',
  symmetric: true,
  strictlyMonotone: false,
  allowOtherModel: false,
  folds: 5,
  gate: DEFAULT_GATE,
  allowNonfinite: false,
  seed: DEFAULT_SEED,
  force: false,
} as const satisfies Partial<CalibrateOptions>;

type Settled = Filled<CalibrateOptions, typeof CALIBRATE_DEFAULTS>;

export interface CalibrateReport extends ResampleCounts {
  readonly kind: 'pair' | 'absolute';
  readonly method: CalibrationMethodId;
  readonly symmetric: boolean;
  readonly n: number;
  readonly clusters: number;
  readonly folds: number;
  readonly repeats: number;
  readonly before: Figures;
  readonly after: Figures;
  readonly reduction: Figures;
  readonly choice: FittedCalibrator['choice'];
  readonly parameters: Calibrator['parameters'];
  readonly groups: FittedCalibrator['groups'];
  /** Where a risk was asked for. */
  readonly abstention?: Abstention;
  /** Where a reference was given. */
  readonly reference?: Reference;
  readonly rows: JudgedRows;
  readonly warnings: readonly string[];
  /** Base name of the calibrator file; null where not written, as `model`, the one with the calibrator inside. */
  readonly out: string | null;
  readonly model: { readonly out: string; readonly sha256: string; readonly bytes: number } | null;
  readonly gate: GateReport | null;
}

/**
 * Fits a calibrator to labels and scores, writes it, and puts it into a model where asked to. Neither file changes unless both can
 * be written and the gate passed.
 *
 * @throws HpsError DATA_INVALID, TOO_FEW_CLUSTERS, USAGE for a method or group the rows do not have, MODELS_INCOMPARABLE,
 *   GATE_FAILED, and the OUTPUT_… codes
 */
export function calibrateFiles(given: CalibrateOptions): Promise<CalibrateReport> {
  return withAddresses(given, { files: ['scores', 'labels', 'reference'] }, calibrateLocally);
}

async function calibrateLocally(given: CalibrateOptions): Promise<CalibrateReport> {
  const options = filled(given, CALIBRATE_DEFAULTS);
  const { labels, scores, reference, embed, out, force } = options;
  const inputs = [labels, scores, ...(embed ? [embed.model] : []), ...(reference === undefined ? [] : [reference])];
  return withErrorRows(errorsOf(out ?? embed?.out), { force, inputs }, (refused) =>
    withOptionalOutput(out ?? undefined, { force, inputs }, async (output) => {
      const embedding = embed ? await Embedding.open({ ...options, ...embed, inputs }) : null;
      try {
        return await fitFiles(output, embedding, refused, inputs, options);
      } finally {
        await embedding?.close();
      }
    }),
  );
}

async function fitFiles(
  output: StagedOutput | null,
  embedding: Embedding | null,
  refused: ErrorRows,
  inputs: readonly string[],
  options: Settled,
): Promise<CalibrateReport> {
  const lineage = startLineage(
    { step: 'calibrate', options: lineageOptions(options) },
    inputs.map((path) => ({ path })),
    options.signal,
  );
  const { data, judged, modelSha256, abstention } = await readData(options, refused);
  const errors = await refused.finish();
  const rows: JudgedRows = { ...judged, ...(errors !== null && { errors }) };
  const read = options.reference === undefined ? undefined : await readReference(options.reference, options.signal);
  const [dataSha256, scoresSha256, ...more] = await lineage.hashes;
  const bound = boundModel(modelSha256, options.embed ? more[0] : null);
  const reference =
    read && referenceOf(read, { ...options, kind: data.kind, scoresSha256: more.at(-1)!, modelSha256: bound });
  const ofMemory: string[] = [];
  const onWarning = (warning: string): void => {
    ofMemory.push(warning);
    options.onWarning?.(warning);
  };
  const fitted = await fitRows(data, { ...options, onWarning });
  const calibrator = calibratorOf({ ...fitted, abstention, reference }, data, options, {
    dataSha256,
    scoresSha256,
    modelSha256: bound,
  });
  await output?.writeFile(output.name, formatCalibrator(calibrator));
  const { method, n, clusters, folds, repeats, before, after, reduction, choice, groups } = fitted;
  const report = (embedded: ReleasedModel | null): CalibrateReport => ({
    kind: data.kind,
    method: method as CalibrationMethodId,
    symmetric: calibrator.symmetric,
    n,
    clusters,
    folds,
    repeats,
    before,
    after,
    reduction,
    ...resampleCounts(Object.keys(before), n, options.resamples),
    choice,
    parameters: fitted.curve,
    groups,
    ...(abstention && { abstention }),
    ...(reference && { reference }),
    rows,
    warnings: [
      ...rowWarnings(rows),
      ...ofMemory,
      ...fitted.warnings,
      ...(abstention ? abstentionWarnings(abstention) : []),
      ...(reference ? referenceWarnings(reference, bound) : []),
    ],
    out: output?.name ?? null,
    model: embedded && { out: embedded.out, sha256: embedded.sha256, bytes: embedded.bytes },
    gate: embedded?.gate ?? null,
  });
  return embedding ? embedding.publish(calibrator, lineage, report) : report(null);
}

async function readData(options: Settled, refused: ErrorRows) {
  const { signal } = options;
  const { joined, rows: judged, modelSha256 } = await readJudgedScores(options, { signal, onRefused: refused.add });
  return { data: fitDataOf(joined, options), judged, modelSha256, abstention: riskOf(joined, options) };
}

/** What changes the fit, and nothing else. */
const lineageOptions = ({ method, symmetric, strictlyMonotone, folds, seed, risk }: Settled) => ({
  method,
  symmetric,
  strictlyMonotone,
  folds,
  seed,
  ...(risk === undefined ? {} : { risk }),
});

/** The margin that a risk asks for. @throws HpsError USAGE where these rows or options have none */
function riskOf(joined: JoinedPairs | JoinedAbsolutes, { risk, symmetric }: Settled): Abstention | undefined {
  if (risk === undefined) return undefined;
  const refuse = (rule: string, hint: string) =>
    new HpsError('USAGE', `\`risk\` ${risk}: ${rule}`, { hint, details: { risk } });
  if (!(risk > 0 && risk < 0.5))
    throw refuse('expected a number between 0 and 0.5', 'Write it as 0.1: one vote in ten.');
  if (joined.kind !== 'pair')
    throw refuse('these labels are scored items, which decide nothing', 'Give labels of pairs.');
  if (!symmetric) throw refuse('the margin is of both orders of a pair', 'Leave `symmetric` on.');
  return controlRisk(votesOf(joined), risk);
}

/** Rows to fit to, by what is told of them. Whatever else was read is given up: ids alone take as much again. */
type FitData = { readonly groups: FitCalibratorOptions['groups'] } & (
  | { readonly kind: 'pair'; readonly rows: ClusteredVotes }
  | { readonly kind: 'absolute'; readonly rows: ScoredItems }
);

function fitDataOf(joined: JoinedPairs | JoinedAbsolutes, { perGroup }: Settled): FitData {
  const groups = perGroup === undefined ? undefined : groupColumn(joined, perGroup);
  return joined.kind === 'pair'
    ? { kind: 'pair', rows: votesOf(joined), groups }
    : { kind: 'absolute', rows: scoredItems(joined), groups };
}

/** What a thread that fits takes for each row at its peak: rows in order, their copies by fold, and what is predicted of them. */
const ROW_BYTES = 120;

function fitRows(data: FitData, options: Settled): Promise<FittedCalibrator> {
  const { method, symmetric, strictlyMonotone, folds, seed, resamples, threads, maxMemory, signal, onWarning } =
    options;
  const { kind, groups, rows } = data;
  collectColumns(rows.logits.length);
  const recipe: Recipe = { kind, methods: methodsFor(data.kind, options), symmetric, strictlyMonotone };
  const bounds = { threads, maxMemory, rows: rows.logits.length, rowBytes: ROW_BYTES, signal, onWarning };
  return withBoundedThreads(bounds, (pool) => {
    const aside = pool ? asideIn(pool, recipe) : undefined;
    const fitting = { auto: method === 'auto', folds, seed, resamples, groups, aside, ...runOf(options) };
    if (data.kind === 'pair') {
      const made = madeForPairs(recipe);
      return fitCalibrator(made.task, data.rows, made.methods, fitting);
    }
    const made = madeForItems(recipe);
    return fitCalibrator(made.task, data.rows, made.methods, fitting);
  });
}

/** The method that is asked for, or all to choose among. @throws HpsError USAGE for one that is not for such rows */
function methodsFor(kind: FitData['kind'], { method, symmetric }: Settled): CalibrationMethodId[] {
  const known = (kind === 'pair' ? CALIBRATION_METHODS : SCALE_METHODS).map(({ id }) => id as CalibrationMethodId);
  // Seen from both sides, beta has the one parameter that temperature has.
  if (method === 'auto') return known.filter((id) => !(kind === 'pair' && symmetric && id === 'beta'));
  if (known.includes(method)) return [method];
  const what = kind === 'pair' ? 'pairs' : 'scored items';
  throw new HpsError('USAGE', `\`method\` ${method} is not for ${what}`, {
    hint: `These labels are ${what}: choose auto, ${known.join(', ')}.`,
    details: { method, known },
  });
}

/** The model a calibrator is bound to: the one that made the scores, which must be the one it is put into. */
function boundModel(scored: string | null, embedded: string | null): string | null {
  if (scored !== null && embedded !== null && scored !== embedded) {
    throw new HpsError('MODELS_INCOMPARABLE', 'the scores are of another model than the one to embed into', {
      hint: 'Score the labels with the model that gets the calibrator.',
      details: { scores: scored, model: embedded },
    });
  }
  return embedded ?? scored;
}

function calibratorOf(
  fitted: FittedCalibrator & { readonly abstention?: Abstention; readonly reference?: Reference },
  { kind, groups: grouped }: FitData,
  { symmetric, decision, seed }: Settled,
  hashes: Pick<Calibrator, 'dataSha256' | 'scoresSha256' | 'modelSha256'>,
): Calibrator {
  const { method, curve, band, n, clusters, folds, repeats, before, after, reduction, groups, abstention, reference } =
    fitted;
  return calibratorDocument.schema.parse({
    schema: abstention || reference ? 'hpsv3/calibrator@2' : 'hpsv3/calibrator@1',
    kind,
    method,
    symmetric: kind === 'pair' && (symmetric || method === 'none' || method === 'temperature'),
    decision: decision ?? null,
    parameters: curve,
    band,
    n,
    clusters,
    ...hashes,
    folds,
    repeats,
    seed,
    figures: { before, after, reduction },
    groups:
      grouped === undefined
        ? null
        : {
            name: grouped.name,
            shrinkageClusters: SHRINKAGE_CLUSTERS,
            values: groups.map(({ value, n, clusters, ownShare, curve: parameters, band }) => ({
              value,
              n,
              clusters,
              ownShare,
              parameters,
              band,
            })),
          },
    ...(abstention && { abstention }),
    ...(reference && { reference }),
    tool: TOOL,
  });
}
