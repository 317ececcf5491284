/** Largest log-odds of one member: its probability has long been 0 or 1, and a sum of many stays finite. */
const MAX_LOGIT = 1e300;

/**
 * Log-odds of one row: the sum of each member's logit times its coefficient. A member without a score (NaN) says nothing, as a logit
 * of 0 does. Finite whatever the finite logits.
 *
 * @param coefficients - by member, finite
 */
export function combineLogits(coefficients: ArrayLike<number>, logits: readonly Float64Array[], row: number): number {
  let sum = 0;
  for (let m = 0; m < logits.length; m++) {
    const logit = logits[m][row];
    if (coefficients[m] === 0 || Number.isNaN(logit)) continue;
    sum += Math.min(MAX_LOGIT, Math.max(-MAX_LOGIT, coefficients[m] * logit));
  }
  return sum;
}

/**
 * How far the members are from one answer: the share of them, by influence, on the side that fewer take. 0 where all name the same
 * winner, 0.5 where they are evenly split; a logit of 0 counts half on either side, and members without a score do not count.
 *
 * @param shares - influence of each member; they sum to 1
 */
export function disagreementAt(shares: ArrayLike<number>, logits: readonly Float64Array[], row: number): number {
  let left = 0;
  let all = 0;
  for (let m = 0; m < logits.length; m++) {
    const logit = logits[m][row];
    if (Number.isNaN(logit)) continue;
    left += (shares[m] * (Math.sign(logit) + 1)) / 2;
    all += shares[m];
  }
  return all > 0 ? Math.min(left, all - left) / all : 0;
}
