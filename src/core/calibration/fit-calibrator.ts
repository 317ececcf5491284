import { collectColumns } from '../bytes/garbage.js';
import type { CodedColumn } from '../data/columns.js';
import { HpsError } from '../errors.js';
import type { Band, Curve } from '../onnx/curve.js';
import { type Run, runOf, startStage } from '../run.js';
import type { Aside } from './aside.js';
import { bootstrapBand } from './band.js';
import { type CandidateLoss, choose, type FoldOptions, predictByChoice } from './cross-validation.js';
import { type BeforeAndAfter, beforeAndAfter, replicatesOf } from './figures.js';
import { fitGroups, type GroupFit } from './group-fit.js';
import type { BoundedCandidate, CalibrationTask, ClusteredRows } from './task.js';

export interface FitCalibratorOptions extends FoldOptions, Run {
  /** Computes part of it beside. */
  readonly aside?: Aside;
  /** The methods to choose among, from the simplest to the most flexible: one, or all for `auto`. */
  readonly auto: boolean;
  readonly resamples?: number;
  /** One more curve for each value of this column. */
  readonly groups?: { readonly name: string; readonly column: CodedColumn };
}

/** A curve, how sure it is, and what it does to rows it was not fitted to. */
export interface FittedCalibrator extends BeforeAndAfter {
  readonly method: string;
  readonly curve: Curve;
  /** Null where nothing was fitted. */
  readonly band: Band | null;
  readonly n: number;
  readonly clusters: number;
  /** Folds that were used: no more than there are clusters. */
  readonly folds: number;
  /** Divisions into folds whose predictions were averaged. */
  readonly repeats: number;
  /** How the candidates did, where there was a choice. */
  readonly choice: readonly CandidateLoss[];
  readonly groups: readonly GroupFit[];
  readonly warnings: readonly string[];
}

/** Errors whose fall is reported. */
const REDUCED = ['ece', 'eceMass', 'eceDebiased', 'smece', 'brier', 'nll', 'rmse'];

/** Scores of a few hundred rows often tie, and one division into folds moves whole ties across the edges of bins. */
const REPEATS = 5;
/** Above this one division is steady enough. */
const REPEATED_UP_TO_ROWS = 20_000;

/** A method that fits nothing: its curve needs no band, and its figures no folds. */
const FITS_NOTHING = 'none';

/**
 * Chooses and fits a calibrator. All figures are out-of-fold: each row is predicted by a curve, and under `auto` by a choice of
 * method, that has not seen its cluster.
 *
 * @throws HpsError DATA_INVALID without rows; TOO_FEW_CLUSTERS where the method, or cross-validation, needs more
 */
export async function fitCalibrator<Rows extends ClusteredRows>(
  task: CalibrationTask<Rows>,
  rows: Rows,
  methods: readonly BoundedCandidate<Rows>[],
  options: FitCalibratorOptions,
): Promise<FittedCalibrator> {
  const n = rows.logits.length;
  const clusters = rows.cluster.names.length;
  if (n === 0) throw new HpsError('DATA_INVALID', 'no row has both a judgement and a score', { hint: MATCH_HINT });
  const warnings: string[] = [];
  const candidates = options.auto
    ? affordable(methods, clusters, warnings)
    : [refuseTooFew(methods[0], clusters, warnings)];
  const folds = Math.min(options.folds, clusters);
  if (folds < options.folds) warnings.push(`${clusters} clusters allow ${folds} folds, not ${options.folds}.`);
  const { signal, aside } = options;
  const folding = { folds, seed: options.seed, signal };
  const repeats = n <= REPEATED_UP_TO_ROWS ? REPEATS : 1;
  const fitsNothing = candidates.length === 1 && candidates[0].id === FITS_NOTHING;
  const predicting = fitsNothing ? undefined : aside?.predict(rows, candidates, { ...folding, repeats });
  predicting?.catch(() => undefined); // awaited below

  startStage(options, 'Choosing');
  const { chosen: method, losses } = await choose(task, rows, candidates, folding);
  collectColumns(n);
  const curve = method.fit(rows);
  startStage(options, 'Band');
  const seed = `${options.seed}`;
  const band =
    method.id === FITS_NOTHING
      ? null
      : await bootstrapBand(task, rows, method, curve, { seed: `${seed}/band`, resamples: options.resamples, signal });
  startStage(options, 'Cross-validation');
  const predicted = fitsNothing
    ? null
    : await (predicting ?? predictByChoice(task, rows, candidates, { ...folding, repeats }));
  startStage(options, 'Intervals');
  collectColumns(n);
  const ofClusters = { of: rows.cluster.codes, count: clusters };
  const resampling = { seed: `${seed}/figures`, resamples: options.resamples };
  const replicating = aside?.replicates(rows, predicted, resampling);
  replicating?.catch(() => undefined); // awaited below
  const replicatesHere = (values: Float64Array | null) =>
    replicatesOf(task.statistics(rows, values), ofClusters, { ...resampling, signal });
  const before = await replicatesHere(null);
  const after = await (replicating ?? replicatesHere(predicted));
  const figures = beforeAndAfter(before, after, REDUCED, ofClusters);
  const groups = options.groups
    ? await fitGroups(task, rows, method, options.groups.column, {
        ...folding,
        repeats,
        whole: { curve, band, predicted },
        resamples: options.resamples,
        ...runOf(options),
      })
    : [];
  if (options.auto && method.id === FITS_NOTHING) {
    warnings.push('Calibration did not help: no method beats the raw score by more than one standard error.');
  }
  if (method.id !== FITS_NOTHING) warnings.push(...task.cautions(rows), ...curveWarnings(curve));
  return { method: method.id, curve, band, n, clusters, folds, repeats, choice: losses, groups, warnings, ...figures };
}

const MATCH_HINT = 'Check that the score file is of these labels: rows are matched by id.';

function affordable<Rows>(
  methods: readonly BoundedCandidate<Rows>[],
  clusters: number,
  warnings: string[],
): BoundedCandidate<Rows>[] {
  const kept = methods.filter(({ minClusters }) => clusters >= minClusters.warned);
  for (const { id, minClusters } of methods) {
    if (clusters < minClusters.warned)
      warnings.push(`${id} was not tried: it needs ${minClusters.warned} clusters, there are ${clusters}.`);
  }
  if (kept.length > 1 || methods.every(({ id }) => kept.some((one) => one.id === id))) return kept;
  throw tooFewClusters('auto', clusters, Math.min(...methods.slice(1).map(({ minClusters }) => minClusters.warned)));
}

function refuseTooFew<Rows>(
  method: BoundedCandidate<Rows>,
  clusters: number,
  warnings: string[],
): BoundedCandidate<Rows> {
  const { refused, warned } = method.minClusters;
  if (clusters < refused) throw tooFewClusters(method.id, clusters, refused);
  if (clusters < warned) {
    warnings.push(
      `${method.id} is unsure with ${clusters} clusters: ${warned} or more are advised. See the intervals.`,
    );
  }
  return method;
}

function tooFewClusters(method: string, clusters: number, needed: number): HpsError {
  const simpler = method === 'isotonic' && clusters >= 2 ? 'Use `method` temperature or platt, or label' : 'Label';
  return new HpsError('TOO_FEW_CLUSTERS', `${method} needs ${needed} clusters (prompts), there are ${clusters}`, {
    hint: `${simpler} ${needed - clusters} more prompts; rows of one prompt_id count once.`,
    details: { method, clusters, needed },
  });
}

function curveWarnings(curve: Curve): string[] {
  const level =
    curve.kind === 'knots'
      ? curve.y[0] === curve.y[curve.y.length - 1]
      : curve.kind === 'beta'
        ? curve.a === 0 && curve.b === 0
        : curve.slope === 0;
  return level
    ? ['The curve is level: the score says nothing of what raters prefer, or the opposite. Look at the accuracy.']
    : [];
}
