import type { KnotCurve } from '../../onnx/curve.js';
import { type FittedPoints, fitIsotonicTo } from '../../stats/isotonic.js';
import { concatenate } from '../../stats/outcomes.js';
import { type JudgedLogits, votedRows } from '../judged.js';
import { withPriorVotes } from '../prior-votes.js';
import { representable, singlePrecision, type YRange } from '../representable.js';
import type { CalibrationMethod, FitOptions } from './method.js';

/** Isotonic regression of the votes on the logits; equal logits are averaged first. */
function regress({ logits, outcomes: { positive, negative } }: JudgedLogits): FittedPoints {
  return fitIsotonicTo(
    logits,
    (row) => positive[row] / (positive[row] + negative[row]),
    (row) => positive[row] + negative[row],
  );
}

/** As `regress` of the favoured sides. */
function regressFavoured({ logits, outcomes: { positive, negative } }: JudgedLogits): FittedPoints {
  return fitIsotonicTo(
    logits.map(Math.abs),
    (row) => (logits[row] < 0 ? negative[row] : positive[row]) / (positive[row] + negative[row]),
    (row) => positive[row] + negative[row],
  );
}

/**
 * The fit to both orders of every pair. It is antisymmetric, so its half x >= 0 is all of it; and that half is the isotonic
 * regression of the votes for the favoured side, held at one half or more.
 */
function regressMirrored(data: JudgedLogits): FittedPoints {
  const { x, y, weights } = regressFavoured(data);
  const from = x[0] === 0 ? 1 : 0; // at 0 neither side is favoured
  const after = (first: number, rest: Float64Array) => concatenate(Float64Array.of(first), rest.subarray(from));
  return {
    x: after(0, x),
    y: after(
      0.5,
      y.map((value) => Math.max(0.5, value)),
    ),
    weights: after(from === 1 ? weights[0] : 0, weights),
  };
}

/** The isotonic regression before it is made representable: x >= 0 only where it is mirrored. */
export const isotonicPoints = (data: JudgedLogits, symmetric: boolean): FittedPoints =>
  symmetric ? regressMirrored(data) : regress(data);

/** Probabilities no vote could have ruled out: as far from 0 and 1 as n rows allow (Laplace's rule). */
const yRange = (rows: number): YRange => ({ low: 1 / (rows + 2), high: 1 - 1 / (rows + 2) });

function fit(data: JudgedLogits, { symmetric, strictlyMonotone }: FitOptions): KnotCurve {
  // By itself it is kept from certainty by its range alone; votes that a refit imagines are told to it.
  const { logits, outcomes } = data.prior ? withPriorVotes(data, symmetric) : data;
  const points = isotonicPoints({ logits: singlePrecision(logits), outcomes }, symmetric);
  return representable(points, { range: yRange(votedRows(data)), mirrored: symmetric, strictlyMonotone });
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
