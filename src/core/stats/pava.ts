import { assertLength } from './outcomes.js';

/**
 * The non-decreasing sequence closest to `y` in weighted least squares, by pooling adjacent violators: O(n).
 *
 * @param weights - positive and finite; 1 when absent
 * @throws RangeError if a value is not finite or a weight is not positive
 * @see Ayer et al. (1955); scipy.optimize.isotonic_regression
 */
export function poolAdjacentViolators(y: ArrayLike<number>, weights?: ArrayLike<number>): Float64Array {
  const n = y.length;
  if (weights !== undefined) assertLength('weights', weights, n);
  const fit = new Float64Array(n); // block b has its mean in fit[b] until the end
  const blockWeights = new Float64Array(n);
  const blockEnds = new Uint32Array(n);
  let blocks = 0;
  for (let i = 0; i < n; i++) {
    let mean = y[i];
    let weight = weights === undefined ? 1 : weights[i];
    if (!Number.isFinite(mean)) throw new RangeError(`value ${i} is ${mean}`);
    if (!(weight > 0 && weight < Number.POSITIVE_INFINITY))
      throw new RangeError(`weight ${i} is ${weight}, not positive`);
    // Only a strict violation is pooled, so that a sequence in order comes back bit for bit.
    for (; blocks > 0 && fit[blocks - 1] > mean; blocks--) {
      const pooled = blockWeights[blocks - 1] + weight;
      mean = (fit[blocks - 1] * blockWeights[blocks - 1] + mean * weight) / pooled;
      weight = pooled;
    }
    fit[blocks] = mean;
    blockWeights[blocks] = weight;
    blockEnds[blocks] = i + 1;
    blocks++;
  }
  // From the last block down: a block's mean lies at or before its rows, so nothing is overwritten before it is read.
  for (let block = blocks - 1; block >= 0; block--) {
    fit.fill(fit[block], block === 0 ? 0 : blockEnds[block - 1], blockEnds[block]);
  }
  return fit;
}
