import { assertFinite, assertLength } from './outcomes.js';
import { mapStatistic, ratioOfSums, type Statistic } from './statistic.js';

function prepareMeanLoss(predicted: Float64Array, actual: Float64Array, loss: (error: number) => number): Statistic {
  assertLength('actual', actual, predicted.length);
  assertFinite('prediction', predicted);
  assertFinite('value', actual);
  const losses = predicted.map((value, i) => loss(value - actual[i]));
  return ratioOfSums(losses, new Float64Array(losses.length).fill(1));
}

/** Root mean squared error. @throws RangeError if a number is not finite */
export const prepareRmse = (predicted: Float64Array, actual: Float64Array): Statistic =>
  mapStatistic(
    prepareMeanLoss(predicted, actual, (error) => error * error),
    Math.sqrt,
  );

/** Mean absolute error. @throws RangeError if a number is not finite */
export const prepareMae = (predicted: Float64Array, actual: Float64Array): Statistic =>
  prepareMeanLoss(predicted, actual, Math.abs);
