import type { Curve } from '../../onnx/curve.js';
import { fitIsotonic } from '../../stats/isotonic.js';
import { representable, singlePrecision } from '../representable.js';
import type { ScoredItems } from '../scale-task.js';
import { type CalibrationMethod, FEW_PARAMETERS } from './method.js';

/** A way to turn utility logits into places on a human scale. */
export type ScaleMethod = Pick<CalibrationMethod, 'id' | 'label' | 'source' | 'minClusters'> & {
  fit(items: ScoredItems, options: { readonly strictlyMonotone: boolean }): Curve;
};

/** The least-squares line; level where the scores fall as the logit rises, or where the logits are all equal. */
function fitLine({ logits, scores, weights }: ScoredItems): Curve {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const mean = (values: Float64Array) => values.reduce((sum, value, i) => sum + weights[i] * value, 0) / total;
  const size = logits.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
  const x = logits.map((value) => value / size); // so that squares of large logits do not overflow
  const [meanX, meanY] = [mean(x), mean(scores)];
  let covariance = 0;
  let variance = 0;
  for (let i = 0; i < x.length; i++) {
    covariance += weights[i] * (x[i] - meanX) * (scores[i] - meanY);
    variance += weights[i] * (x[i] - meanX) ** 2;
  }
  const slope = variance > 0 ? Math.max(0, covariance / variance) : 0;
  return { kind: 'line', slope: slope / size, intercept: meanY - slope * meanX };
}

function fitScaleIsotonic({ logits, scores, weights }: ScoredItems, strictlyMonotone: boolean): Curve {
  const points = fitIsotonic(singlePrecision(logits), scores, weights);
  const range = { low: points.y[0], high: points.y[points.y.length - 1] };
  return representable(points, { range, mirrored: false, strictlyMonotone });
}

/** From the simplest to the most flexible. */
export const SCALE_METHODS: readonly ScaleMethod[] = [
  {
    id: 'linear',
    label: 'Linear',
    source: 'least squares, never falling; sklearn.linear_model.LinearRegression',
    minClusters: FEW_PARAMETERS,
    fit: fitLine,
  },
  {
    id: 'isotonic',
    label: 'Isotonic',
    source: 'sklearn.isotonic.IsotonicRegression on the human scale, made representable',
    minClusters: { refused: 30, warned: 100 },
    fit: (items, { strictlyMonotone }) => fitScaleIsotonic(items, strictlyMonotone),
  },
];
