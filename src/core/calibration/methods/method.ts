import type { Curve } from '../../onnx/curve.js';
import type { JudgedLogits } from '../judged.js';

export interface FitOptions {
  /** Both orders of every pair are one judgement: p(a over b) = 1 - p(b over a), exactly. */
  readonly symmetric: boolean;
  /** No two scores in the range of the data get the same probability, where the method could do that. */
  readonly strictlyMonotone: boolean;
}

/** A way to turn pair logits into probabilities. Every curve is never decreasing, so no winner changes but by an intercept. */
export interface CalibrationMethod {
  readonly id: string;
  readonly label: string;
  /** What it does and where the definition is from. */
  readonly source: string;
  /** Parameters it fits: how the one-standard-error rule tells which is simpler. */
  freedom(symmetric: boolean): number;
  /** Fewest clusters it is fitted to, and fewest it is fitted to without a warning. */
  readonly minClusters: { readonly refused: number; readonly warned: number };
  /** Defined for every data set with a vote: one class, one row, equal logits, separable votes. */
  fit(data: JudgedLogits, options: FitOptions): Curve;
}

/** What a method of few parameters asks of the number of clusters: enough for two folds. */
export const FEW_PARAMETERS = { refused: 2, warned: 10 } as const;
