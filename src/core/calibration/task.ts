import type { Random } from '../bytes/random.js';
import type { Curve } from '../onnx/curve.js';
import type { Clusters, Statistic } from '../stats/statistic.js';
import type { NamedClusters } from './cluster-names.js';

/** Rows of one scorer, with the cluster each is in. What else a row holds is the task's. */
export interface ClusteredRows {
  /** Pair logits, or utility logits of items. Finite. */
  readonly logits: Float64Array;
  readonly cluster: NamedClusters;
}

/** A way to fit, by name. */
export interface Candidate<Rows> {
  readonly id: string;
  fit(rows: Rows): Curve;
}

/** A candidate, with the number of clusters it needs. */
export interface BoundedCandidate<Rows> extends Candidate<Rows> {
  readonly minClusters: { readonly refused: number; readonly warned: number };
}

/** A statistic under the key that reports have it under. */
export interface NamedStatistic {
  readonly id: string;
  readonly statistic: Statistic;
}

/** What is calibrated, as far as choosing, cross-validating and resampling must know it: pairs, or items on a human scale. */
export interface CalibrationTask<Rows extends ClusteredRows> {
  readonly kind: 'pair' | 'absolute';
  /** Lowest and highest value of a calibrated prediction. */
  readonly range: readonly [number, number];
  /** The given rows; clusters without a row are dropped. */
  select(rows: Rows, which: Int32Array): Rows;
  /** Every row counting `weights[row]` times more. */
  reweight(rows: Rows, weights: Float64Array): Rows;
  /**
   * Prepares the rows for many refits: each call gives them with the rows of each of `clusters` counting `draws` times, neighbouring
   * logits gathered to at most `cells`, and with what is imagined beside them drawn from `random`.
   */
  prepareResample(rows: Rows, clusters: Clusters, cells: number): (draws: Float64Array, random: Random) => Rows;
  /** Prepares the rows for fits to some of them: each call gives the rows `which`, neighbouring logits gathered to at most `cells`. */
  prepareGather(rows: Rows, cells: number): (which: Int32Array) => Rows;
  /** How much each row counts. */
  weights(rows: Rows): Float64Array;
  /** Replaces what is predicted of each row by its loss times its weight. */
  toLosses(rows: Rows, predicted: Float64Array): void;
  /** What these rows cannot tell, whatever is fitted to them: one sentence each. */
  cautions(rows: Rows): readonly string[];
  /** The figures of a report. @param predicted - null for the logits as they are, uncalibrated */
  statistics(rows: Rows, predicted: Float64Array | null): NamedStatistic[];
}
