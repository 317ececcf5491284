import type { KnotCurve } from '../../onnx/curve.js';
import { fitIsotonic, type Knots } from '../../stats/isotonic.js';
import { concatenate, shareAndWeight } from '../../stats/outcomes.js';
import { favouredSide, type JudgedLogits, votedRows } from '../judged.js';
import { representable, type YRange } from '../representable.js';
import type { CalibrationMethod, FitOptions } from './method.js';

/** Beyond this a float32 graph would overflow; no score is that large. */
const LARGEST_LOGIT = 1e30;

/** Logits as far out as a graph in float32 can take them. */
export const boundedLogits = (logits: Float64Array): Float64Array =>
  logits.map((logit) => Math.min(Math.max(logit, -LARGEST_LOGIT), LARGEST_LOGIT));

/** Isotonic regression of the votes on the logits; equal logits are averaged first. */
function regress({ logits, outcomes }: JudgedLogits): Knots {
  const { share, weight } = shareAndWeight(outcomes);
  return fitIsotonic(boundedLogits(logits), share, weight);
}

/**
 * The fit to both orders of every pair. It is antisymmetric, so its half x >= 0 is all of it; and that half is the isotonic
 * regression of the votes for the favoured side, held at one half or more.
 */
function regressMirrored(data: JudgedLogits): Knots {
  const { x, y } = regress(favouredSide(data));
  const from = x[0] === 0 ? 1 : 0; // at 0 neither side is favoured
  return {
    x: concatenate(Float64Array.of(0), x.subarray(from)),
    y: concatenate(
      Float64Array.of(0.5),
      y.subarray(from).map((value) => Math.max(0.5, value)),
    ),
  };
}

/** The exact isotonic map, before it is made representable: x >= 0 only where it is mirrored. */
export const isotonicKnots = (data: JudgedLogits, symmetric: boolean): Knots =>
  symmetric ? regressMirrored(data) : regress(data);

/** Probabilities no vote could have ruled out: as far from 0 and 1 as n rows allow (Laplace's rule). */
const yRange = (rows: number): YRange => ({ low: 1 / (rows + 2), high: 1 - 1 / (rows + 2) });

function fit(data: JudgedLogits, { symmetric, strictlyMonotone }: FitOptions): KnotCurve {
  const knots = isotonicKnots(data, symmetric);
  return representable(knots, { range: yRange(votedRows(data)), mirrored: symmetric, strictlyMonotone });
}

/** Isotonic regression by pooling adjacent violators, linear between its knots. */
export const isotonic: CalibrationMethod = {
  id: 'isotonic',
  label: 'Isotonic',
  source: 'Zadrozny and Elkan (2002), linear between knots; sklearn.isotonic.IsotonicRegression, made representable',
  freedom: () => Number.POSITIVE_INFINITY, // grows with the data
  minClusters: { refused: 30, warned: 100 },
  fit,
};
