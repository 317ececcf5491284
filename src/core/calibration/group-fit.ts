import { type CodedColumn, rowsByCode } from '../data/columns.js';
import type { Band, Curve } from '../onnx/curve.js';
import { type Run, startStage } from '../run.js';
import { bootstrapBand } from './band.js';
import { type FoldOptions, predictOutOfFold } from './cross-validation.js';
import { type BeforeAndAfter, compareFigures } from './figures.js';
import type { CalibrationTask, Candidate, ClusteredRows } from './task.js';

/**
 * How many clusters the rest of the data counts as when a group is fitted. A group of 50 clusters of its own is half itself and
 * half the whole; one of a few hundred is all but itself; one of none would be the whole.
 */
export const SHRINKAGE_CLUSTERS = 50;
/** A group of fewer clusters takes the curve of the whole: its own figures would be noise. */
export const LEAST_GROUP_CLUSTERS = 10;

/** The curve of one group. */
export interface GroupFit {
  readonly value: string;
  readonly n: number;
  readonly clusters: number;
  /** Share of the group's own clusters in what its curve was fitted to; 0 where it takes the curve of the whole. */
  readonly ownShare: number;
  readonly curve: Curve;
  readonly band: Band | null;
  /** Of the group's rows: raw scores and the group's curve, out-of-fold; null where the group is too small. */
  readonly figures: BeforeAndAfter | null;
}

export interface GroupFitOptions extends FoldOptions, Run {
  /** The calibrator of all rows. @see FittedCalibrator */
  readonly whole: { readonly curve: Curve; readonly band: Band | null; readonly predicted: Float64Array | null };
  readonly resamples?: number;
}

/** One curve a value of a column, each shrunk to the whole: fitted to all rows, with those of other groups counting less. */
export async function fitGroups<Rows extends ClusteredRows>(
  task: CalibrationTask<Rows>,
  rows: Rows,
  method: Candidate<Rows>,
  column: CodedColumn,
  options: GroupFitOptions,
): Promise<GroupFit[]> {
  const fits: GroupFit[] = [];
  for (const [code, members] of rowsByCode(column).entries()) {
    const value = column.names[code];
    startStage(options, `Group ${value}`);
    fits.push(await fitGroup(task, rows, method, { value, members }, options));
  }
  return fits;
}

async function fitGroup<Rows extends ClusteredRows>(
  task: CalibrationTask<Rows>,
  rows: Rows,
  method: Candidate<Rows>,
  { value, members }: { value: string; members: Int32Array },
  { folds, seed, repeats, whole, resamples, signal }: GroupFitOptions,
): Promise<GroupFit> {
  const own = task.select(rows, members);
  const clusters = own.cluster.names.length;
  const base = { value, n: members.length, clusters };
  if (clusters < LEAST_GROUP_CLUSTERS) {
    return { ...base, ownShare: 0, curve: whole.curve, band: whole.band, figures: null };
  }
  const isMember = new Uint8Array(rows.logits.length);
  for (const row of members) isMember[row] = 1;
  const shrunk = (training: Rows, which: Int32Array): Rows => {
    const mine = Uint8Array.from(which, (row) => isMember[row]);
    return task.reweight(training, shrinkageWeights(training, mine));
  };
  const weighted = shrunk(rows, Int32Array.from(rows.logits.keys()));
  const curve = method.fit(weighted);
  const band =
    whole.band && (await bootstrapBand(task, weighted, method, curve, { seed: `${seed}/${value}`, resamples, signal }));
  const predicted =
    whole.predicted &&
    (await predictOutOfFold(task, rows, (training) => method.fit(shrunk(training.rows(), training.which)), {
      folds,
      seed,
      repeats,
      signal,
    }));
  const figures = await compareFigures(
    task.statistics(own, null),
    task.statistics(own, predicted && Float64Array.from(members, (row) => predicted[row])),
    ['ece', 'eceDebiased', 'nll', 'rmse'],
    { of: own.cluster.codes, count: clusters },
    { seed: `${seed}/${value}`, resamples, signal },
  );
  return { ...base, ownShare: clusters / (clusters + SHRINKAGE_CLUSTERS), curve, band, figures };
}

/** Members count once; the others together as many clusters as `SHRINKAGE_CLUSTERS`. */
function shrinkageWeights({ cluster: { codes } }: ClusteredRows, isMember: Uint8Array): Float64Array {
  const others = new Set(codes.filter((_, row) => isMember[row] === 0)).size;
  const factor = others > SHRINKAGE_CLUSTERS ? SHRINKAGE_CLUSTERS / others : 1;
  return Float64Array.from(isMember, (member) => (member === 1 ? 1 : factor));
}
