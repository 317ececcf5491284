import type { Random } from '../bytes/random.js';
import type { CodedColumn } from '../data/columns.js';
import type { Curve } from '../onnx/curve.js';
import type { Statistic } from '../stats/statistic.js';

/** Rows of one scorer, with the cluster each is in. What else a row holds is the task's. */
export interface ClusteredRows {
  /** Pair logits, or utility logits of items. Finite. */
  readonly logits: Float64Array;
  readonly cluster: CodedColumn;
}

/** A way to fit, by name. */
export interface Candidate<Rows> {
  readonly id: string;
  fit(rows: Rows): Curve;
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
   * Prepares the rows for many refits: each call gives them with new weights, neighbouring logits gathered to at most `cells`, and
   * with what is imagined beside them drawn from `random`.
   */
  prepareResample(rows: Rows, cells: number): (weights: Float64Array, random: Random) => Rows;
  /** Weight of each row, and its loss times that weight. */
  losses(rows: Rows, predicted: Float64Array): { readonly weights: Float64Array; readonly losses: Float64Array };
  /** What these rows cannot tell, whatever is fitted to them: one sentence each. */
  cautions(rows: Rows): readonly string[];
  /** The figures of a report. @param predicted - null for the logits as they are, uncalibrated */
  statistics(rows: Rows, predicted: Float64Array | null): NamedStatistic[];
}
