/** log(1 + exp(x)), finite for every finite x. */
export const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));

/** log(sigmoid(x)), finite for every finite x. */
export const logSigmoid = (x: number): number => -softplus(-x);

/**
 * 1 / (1 + exp(-x)). sigmoid(x) + sigmoid(-x) is 1 exactly: the side below one half is computed, and the other taken from it.
 */
export function sigmoid(x: number): number {
  const small = Math.exp(-Math.abs(x));
  const smaller = small / (1 + small);
  return x < 0 ? smaller : 1 - smaller;
}

/** log(p / (1 - p)); infinite at 0 and 1. */
export const logit = (p: number): number => Math.log(p) - Math.log1p(-p);
