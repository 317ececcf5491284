import { assertFinite, assertLength } from './outcomes.js';
import type { Statistic } from './statistic.js';

function prepareError(
  predicted: Float64Array,
  actual: Float64Array,
  loss: (error: number) => number,
  ofMean: (mean: number) => number,
): Statistic {
  assertLength('actual', actual, predicted.length);
  assertFinite('prediction', predicted);
  assertFinite('value', actual);
  const losses = predicted.map((value, i) => loss(value - actual[i]));
  return (weights) => {
    let sum = 0;
    let total = 0;
    for (let i = 0; i < losses.length; i++) {
      const weight = weights === undefined ? 1 : weights[i];
      sum += weight * losses[i];
      total += weight;
    }
    return total > 0 ? ofMean(sum / total) : null;
  };
}

/** Root mean squared error. @throws RangeError if a number is not finite */
export const prepareRmse = (predicted: Float64Array, actual: Float64Array): Statistic =>
  prepareError(predicted, actual, (error) => error * error, Math.sqrt);

/** Mean absolute error. @throws RangeError if a number is not finite */
export const prepareMae = (predicted: Float64Array, actual: Float64Array): Statistic =>
  prepareError(predicted, actual, Math.abs, (mean) => mean);
