import { basename, dirname, resolve } from 'node:path';
import { collectColumns } from '../../bytes/garbage.js';
import { hashFile } from '../../bytes/hash.js';
import { withOptionalOutput } from '../../bytes/output.js';
import {
  type Figures,
  figuresOf,
  type ResampleCounts,
  resampleCounts,
  resamplesOf,
} from '../../calibration/figures.js';
import {
  assertSameModel,
  FITTED_ON_THESE_LABELS,
  isFittedOn,
  readCalibrator,
} from '../../calibration/read-calibrator.js';
import { groupColumn } from '../../data/group-column.js';
import type { JoinedAbsolutes, JoinedPairs } from '../../data/join.js';
import {
  type JudgedRows,
  type ReadJudgedOptions,
  readJudgedScores,
  readScoresFor,
  rowWarnings,
} from '../../data/judged-scores.js';
import type { LabelLayout } from '../../data/layouts/apply.js';
import { type RowsReport, rowsWarnings } from '../../data/row-counts.js';
import { type ErrorRows, errorsOf, withErrorRows } from '../../data/row-files.js';
import { type ScoreRow, winnerOf } from '../../data/rows.js';
import { writeScoreFile } from '../../data/write-scores.js';
import { DEFAULT_SEED, type Filled, filled } from '../../defaults.js';
import { formatReport } from '../../documents/reports.js';
import { HpsError } from '../../errors.js';
import { judgingIn } from '../../evaluation/aside.js';
import { type AuxReport, type JudgedHeads, judgeHeads } from '../../evaluation/auxiliary.js';
import { type BaselineReport, compareWithBaseline } from '../../evaluation/baseline.js';
import { type BestOfReport, bestOfSizes, bestOfWarnings, judgeBestOf } from '../../evaluation/best-of.js';
import { type DiagnosisReport, diagnose, diagnosisWarnings } from '../../evaluation/diagnose.js';
import { type Distributions, distributionsOf } from '../../evaluation/distributions.js';
import { compareWithRest, type GroupsReport, judgeGroups } from '../../evaluation/groups.js';
import { type Predictions, predict } from '../../evaluation/predictions.js';
import { readPairSides } from '../../evaluation/prompt-items.js';
import { type ReliabilityBin, reliabilityOf } from '../../evaluation/reliability.js';
import { judgeSuite, type SuiteReport, suiteWarnings } from '../../evaluation/suite.js';
import { readSuite } from '../../evaluation/suite-file.js';
import { type RemoteFileOptions, withAddresses } from '../../hub/with-addresses.js';
import { type Run, runOf, startStage } from '../../run.js';
import { withBoundedThreads } from '../../runtime/bounded-threads.js';
import { type BootstrapOptions, DEFAULT_RESAMPLES } from '../../stats/bootstrap.js';
import { prepareVoteCeiling } from '../../stats/pairwise-accuracy.js';
import { weighted } from '../../stats/statistic.js';
import { TOOL } from '../../version.js';
import { type LabelScoring, type ScoredLabels, withScoresOf } from './score-labels.js';

export interface EvaluateOptions extends Run, LabelLayout {
  /** Scores of one model; with `model`, where they are written. */
  readonly scores?: string;
  /** A model to score the labelled rows with, instead of scores that are there; without `scores` they are not kept. */
  readonly model?: string;
  readonly scoring?: LabelScoring;
  /** Human labels of what was scored. */
  readonly labels: string;
  /** Calibrator file of this model; without it the probability is sigmoid(logit). */
  readonly calibrator?: string;
  /** `groups.NAME` or `NAME`, one a column. */
  readonly by?: readonly string[];
  /** Scores of another model to compare with, row by row. */
  readonly baseline?: string;
  /** A benchmark's protocol: a YAML file, see `suiteSchema`. */
  readonly suite?: string;
  /** Numbers of items of a prompt: what the one that the scorer picks among as many is worth. */
  readonly bestOf?: readonly number[];
  /** Look for what the score depends on beyond what people do: length, format, side, resolution and the like. */
  readonly diagnose?: boolean;
  /** Folder that paths of media in the labels are taken from, for `diagnose`; that of the labels by default. */
  readonly mediaRoot?: string;
  /** The report as JSON. */
  readonly out?: string;
  /** Probabilities row by row, as JSONL. */
  readonly outScores?: string;
  /** Fewest rows of a group that is shown. */
  readonly minGroup?: number;
  /** Of clusters, behind each interval; 2000, or fewer for very many rows, where omitted. */
  readonly resamples?: number;
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

export const EVALUATE_DEFAULTS = {
  by: [],
  minGroup: 30,
  seed: DEFAULT_SEED,
  force: false,
} as const satisfies Partial<EvaluateOptions>;

type Settled = Filled<EvaluateOptions & { readonly scores: string }, typeof EVALUATE_DEFAULTS>;

/** A file that a report was made from. */
export interface ReportInput {
  /** Base name. */
  readonly name: string;
  readonly sha256: string;
}

export interface EvaluateReport extends GroupsReport, ResampleCounts {
  readonly kind: 'pair' | 'absolute';
  readonly n: number;
  readonly clusters: number;
  /** False where probabilities are sigmoid(logit), and predictions the utility. */
  readonly calibrated: boolean;
  /** Whether the calibrator was fitted on these very labels: its probabilities are then not judged by held-out ones. */
  readonly fittedOnTheseLabels: boolean;
  readonly overall: Figures;
  /** How often one vote agrees with another of its row: what accuracy could be. Null for items. */
  readonly ceiling: Figures[string] | null;
  readonly baseline?: BaselineReport & { readonly file: string; readonly rows: RowsReport };
  /** What the items that the scorer picks are worth. */
  readonly bestOf?: BestOfReport;
  /** A benchmark's own figures, by its protocol. */
  readonly suite?: SuiteReport;
  /** What the model's auxiliary heads are worth, where labels and scores have `aux`. */
  readonly aux?: AuxReport;
  /** What the score depends on that it should not. */
  readonly diagnosis?: DiagnosisReport;
  /** What the model says against what raters said: of the raw scores, where these are predictions, and of the calibrated ones. */
  readonly reliability: {
    readonly before: readonly ReliabilityBin[] | null;
    readonly after: readonly ReliabilityBin[] | null;
  };
  readonly distributions: Distributions;
  readonly minGroup: number;
  /** sha256 of the model whose scores they are; null where they name none. */
  readonly modelSha256: string | null;
  /** What the figures can be computed from again, with the options. */
  readonly inputs: {
    readonly scores: ReportInput;
    readonly labels: ReportInput;
    readonly calibrator: ReportInput | null;
    readonly baseline: ReportInput | null;
    /** What the rows were scored with here; absent where scores were given. */
    readonly model?: ReportInput;
  };
  readonly options: {
    readonly by: readonly string[];
    readonly bestOf?: readonly number[];
    readonly diagnose?: true;
    readonly resamples: number | null;
    readonly seed: number;
  };
  readonly tool: string;
  readonly rows: JudgedRows;
  readonly warnings: readonly string[];
  /** Base names of what was written; null where nothing was. */
  readonly out: string | null;
  readonly outScores: string | null;
}

/**
 * Judges a model by human labels: overall, by group, and against a baseline.
 *
 * @throws HpsError as `runBatch` for a `model`; DATA_INVALID, USAGE for a group the labels do not have, CONFIG_INVALID and MODELS_INCOMPARABLE for a calibrator
 *   that is none or of another model, and the OUTPUT_… codes
 */
export function evaluateFiles(given: EvaluateOptions): Promise<EvaluateReport> {
  return withAddresses(given, { files: ['scores', 'labels', 'calibrator', 'baseline'] }, (options) => {
    const { model, scores } = options;
    if (model !== undefined) return withScoresOf({ ...options, model }, evaluateLocally);
    if (scores !== undefined) return evaluateLocally({ ...options, scores });
    throw new HpsError('USAGE', 'there are no scores to judge', { hint: 'Give `scores` FILE, or `model` FILE.onnx.' });
  });
}

function evaluateLocally(
  given: EvaluateOptions & { readonly scores: string },
  scored: ScoredLabels = { failures: [], model: null },
): Promise<EvaluateReport> {
  const options = filled(given, EVALUATE_DEFAULTS);
  const { out, outScores, force, labels, scores } = options;
  const inputs = [labels, scores, options.calibrator, options.baseline, options.suite].filter(
    (path) => path !== undefined,
  );
  const output = { force, inputs };
  // Both or neither: the report is moved into place when the scores are.
  return withErrorRows(errorsOf(out), output, (refused) =>
    withOptionalOutput(out, output, (reportOutput) =>
      withOptionalOutput(outScores, output, async (scoresOutput) => {
        const { report, joined, predictions } = await evaluate(options, refused, scored);
        await reportOutput?.writeFile(reportOutput.name, formatReport('evaluation', report));
        // One for each judged row, in the order of the labels.
        if (scoresOutput) await writeScoreFile(scoresOutput, joined.count, (row) => scoreRow(joined, predictions, row));
        return report;
      }),
    ),
  );
}

interface Evaluated {
  readonly report: EvaluateReport;
  readonly joined: JoinedPairs | JoinedAbsolutes;
  readonly predictions: Predictions;
}

/** What a thread that computes figures takes for each row at its peak. */
const ROW_BYTES = 80;

async function evaluate(options: Settled, refused: ErrorRows, { failures, model }: ScoredLabels): Promise<Evaluated> {
  const { seed } = options;
  const sizes = options.bestOf && bestOfSizes(options.bestOf);
  const protocol = options.suite === undefined ? null : readSuite(options.suite);
  const inputs = hashInputs(options);
  inputs.catch(() => undefined); // awaited below
  const calibrator = options.calibrator === undefined ? null : readCalibrator(options.calibrator).document;
  const reading = { signal: options.signal, onRefused: refused.add };
  const { joined, rows: judged, labels, modelSha256 } = await readRows(options, reading);
  if (calibrator) assertSameModel(calibrator, modelSha256);
  const columns = options.by.map((flag) => groupColumn(joined, flag));
  const predictions = predict(joined, calibrator);
  collectColumns(joined.count);
  const bootstrap = { seed: `${seed}`, resamples: options.resamples, signal: options.signal };
  startStage(options, 'Overall');
  const bounds = { ...options, rows: joined.count, rowBytes: ROW_BYTES };
  const ofGroups = { ...bootstrap, minRows: options.minGroup, ...runOf(options) };
  const { overall, judgedGroups } = await withBoundedThreads(bounds, async (pool) => {
    const judgeRows = judgingIn(pool, joined, predictions);
    const judging = judgeRows(null, bootstrap);
    if (!pool) await judging;
    judging.catch(() => undefined); // awaited below
    const judgedGroups = await judgeGroups(joined, columns, { ...ofGroups, judgeRows, inThreads: pool !== null });
    return { overall: (await judging).figures, judgedGroups };
  });
  const groups = await compareWithRest(joined, predictions, judgedGroups, ofGroups);
  const { baseline } = options;
  const other = baseline === undefined || labels === null ? null : await readBaseline(labels, { ...reading, baseline });
  const compared = other && { ...other.stated, ...(await compareWithBaseline(joined, other.joined, bootstrap)) };
  if (sizes) startStage(options, 'Best of N');
  const bestOf = sizes && (await picks(options, joined, other?.joined, sizes, bootstrap));
  const suite = protocol && (await scored(options, protocol, joined, bootstrap));
  // Only items have labels of heads, and a file of pairs without any need not be read once more.
  const mayHaveAux = joined.kind === 'absolute' || judged.labels.otherKind > 0;
  const aux = mayHaveAux ? await judgeHeads(options, { ...bootstrap, seed: `${seed}/aux` }) : null;
  if (options.diagnose) startStage(options, 'Diagnosis');
  const diagnosis = options.diagnose && (await diagnose(joined, { ...bootstrap, ...placesOf(options) }));
  for (const failure of failures) refused.add(failure, basename(options.labels));
  const errors = await refused.finish();
  const rows: JudgedRows = {
    ...judged,
    failed: judged.failed + (compared?.rows.badRows ?? 0) + failures.length,
    ...(errors !== null && { errors }),
  };
  startStage(options, 'Reliability');
  const hashed = await inputs;
  const fittedOnTheseLabels = predictions.calibrated && isFittedOn(calibrator!, hashed.labels.sha256);
  const report: EvaluateReport = {
    kind: joined.kind,
    n: joined.count,
    clusters: joined.clusterCount,
    calibrated: predictions.calibrated,
    fittedOnTheseLabels,
    overall,
    ceiling: joined.kind === 'pair' ? await ceilingOf(joined, bootstrap) : null,
    ...groups,
    ...(compared ? { baseline: compared } : {}),
    ...(bestOf ? { bestOf } : {}),
    ...(suite ? { suite } : {}),
    ...(aux && Object.keys(aux.heads).length > 0 ? { aux: aux.heads } : {}),
    ...(diagnosis ? { diagnosis } : {}),
    reliability: await reliability(joined, predictions, bootstrap),
    distributions: distributionsOf(joined, predictions.values, columns, options.minGroup),
    minGroup: options.minGroup,
    modelSha256,
    inputs: { ...hashed, ...(model ? { model } : {}) },
    options: {
      by: columns.map(({ name }) => name),
      ...(sizes ? { bestOf: sizes } : {}),
      ...(options.diagnose ? { diagnose: true } : {}),
      resamples: options.resamples ?? null,
      seed,
    },
    tool: TOOL,
    ...resampleCounts(Object.keys(overall), joined.count, options.resamples),
    rows,
    warnings: [
      ...rowWarnings(rows),
      ...(compared ? rowsWarnings('Baseline', compared.rows) : []),
      ...(bestOf ? bestOfWarnings(bestOf) : []),
      ...(suite ? suiteWarnings(suite) : []),
      ...(diagnosis ? diagnosisWarnings(diagnosis) : []),
      ...(aux ? unscoredWarnings(aux) : []),
      ...(fittedOnTheseLabels ? [FITTED_ON_THESE_LABELS] : []),
    ],
    out: options.out === undefined ? null : basename(options.out),
    outScores: options.outScores === undefined ? null : basename(options.outScores),
  };
  return { report, joined, predictions };
}

/** The rows with their ids where anything asks for those: they take as much memory as all that figures are computed from. */
async function readRows(options: Settled, reading: ReadJudgedOptions) {
  const read = await readJudgedScores(options, reading);
  const { outScores, baseline, suite, bestOf, diagnose } = options;
  if (outScores ?? baseline ?? suite ?? bestOf ?? diagnose) return read;
  const idAt = (): never => {
    throw new RangeError('the ids of rows were given up');
  };
  return { ...read, joined: { ...read.joined, idAt }, labels: null };
}

const unscoredWarnings = ({ unscored }: JudgedHeads): string[] =>
  Object.entries(unscored).map(
    ([head, count]) => `${count} items have a label ${head} and no score of such a head: they judge nothing.`,
  );

async function scored(
  { labels, signal, layout, map }: Settled,
  protocol: ReturnType<typeof readSuite>,
  joined: JoinedPairs | JoinedAbsolutes,
  { seed, ...bootstrap }: BootstrapOptions,
): Promise<SuiteReport> {
  if (joined.kind !== 'pair') {
    throw new HpsError('USAGE', `${protocol.name} is a suite of pairs, the labels are scored items`, {
      hint: 'Give labels of pairs.',
    });
  }
  const sides = await readPairSides(labels, joined, { signal, layout, map });
  return judgeSuite(protocol, joined, sides, { ...bootstrap, seed: `${seed}/suite` });
}

async function hashInputs(files: Settled): Promise<EvaluateReport['inputs']> {
  const input = async (path: string): Promise<ReportInput> => ({
    name: basename(path),
    sha256: (await hashFile(path, { signal: files.signal })).sha256,
  });
  const given = (path: string | undefined) => (path === undefined ? null : input(path));
  return {
    scores: await input(files.scores),
    labels: await input(files.labels),
    calibrator: await given(files.calibrator),
    baseline: await given(files.baseline),
  };
}

/** A utility that nothing calibrated is on no human scale: there is nothing to hold it against. */
async function reliability(
  joined: JoinedPairs | JoinedAbsolutes,
  { values, calibrated }: Predictions,
  { seed, resamples, signal }: BootstrapOptions,
): Promise<EvaluateReport['reliability']> {
  const bootstrap = {
    seed: `${seed}/reliability`,
    resamples:
      resamples === undefined ? resamplesOf('reliability', joined.count) : Math.min(resamples, DEFAULT_RESAMPLES),
    signal,
  };
  const binsOf = (predicted: Float64Array) => reliabilityOf(joined, predicted, bootstrap);
  return {
    before: joined.kind === 'pair' ? await binsOf(predict(joined, null).values) : null,
    after: calibrated ? await binsOf(values) : null,
  };
}

async function ceilingOf(joined: JoinedPairs, bootstrap: BootstrapOptions) {
  const { votesLeft, votesRight, cluster, clusterCount, weight } = joined;
  // Agreement is of the votes that were cast, however much their row counts.
  const cast = (votes: Float64Array) => (weight ? votes.map((count, row) => count / weight[row]) : votes);
  const ceiling = prepareVoteCeiling({
    positive: cast(votesLeft),
    negative: cast(votesRight),
    ties: cast(joined.ties),
  });
  const statistic = weight ? weighted(ceiling, weight) : ceiling;
  const clusters = { of: cluster, count: clusterCount };
  return (await figuresOf([{ id: 'ceiling', statistic }], clusters, bootstrap))['ceiling'];
}

async function readBaseline(
  labels: Parameters<typeof readScoresFor>[0],
  { baseline, ...reading }: ReadJudgedOptions & { readonly baseline: string },
) {
  const { joined, report } = await readScoresFor(labels, baseline, reading);
  const file = basename(baseline);
  if (joined.count === 0) {
    throw new HpsError('DATA_INVALID', `${file}: scores none of the judged rows`, {
      hint: 'Rows are matched by id: check that the baseline scored these samples.',
      details: { file, report },
    });
  }
  return { joined, stated: { file, rows: report } };
}

const placesOf = ({ labels, mediaRoot = dirname(resolve(labels)), layout, map }: Settled) => ({
  labels,
  mediaRoot,
  layout,
  map,
});

async function picks(
  { labels, signal, layout, map }: Settled,
  joined: JoinedPairs | JoinedAbsolutes,
  baseline: JoinedPairs | JoinedAbsolutes | undefined,
  sizes: readonly number[],
  { seed, ...bootstrap }: BootstrapOptions,
): Promise<BestOfReport> {
  const sides = joined.kind === 'pair' ? await readPairSides(labels, joined, { signal, layout, map }) : null;
  return judgeBestOf({ joined, sides, baseline }, sizes, { ...bootstrap, seed: `${seed}/best-of` });
}

/** A row as `hpsv3 batch` writes it (DESIGN: Data formats). */
function scoreRow(
  joined: JoinedPairs | JoinedAbsolutes,
  { values, confidence, calibrated }: Predictions,
  row: number,
): ScoreRow {
  const id = joined.idAt(row);
  const logit = joined.logit[row];
  const value = values[row];
  if (joined.kind === 'absolute') {
    return { id, logit, score: Math.tanh(logit), ...(calibrated ? { calibrated: value } : {}) };
  }
  const sure = confidence === null || Number.isNaN(confidence[row]) ? {} : { confidence: confidence[row] };
  return { id, logit, score: value, winner: winnerOf(value), ...sure, calibrated };
}
