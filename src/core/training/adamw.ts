/** Settings of one AdamW step (Loshchilov and Hutter, 2019), under the names of torch.optim.AdamW. */
export interface AdamWStep {
  readonly lr: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  /** Decoupled: the parameter shrinks by lr times this. */
  readonly weightDecay: number;
  /** How often these parameters have been updated, this step included: 1 for the first. */
  readonly step: number;
}

/** A vector of parameters and its moments. */
export interface OptimizerState {
  readonly parameters: Float32Array;
  readonly firstMoment: Float32Array;
  readonly secondMoment: Float32Array;
}

/**
 * One AdamW step in place, by torch.optim.AdamW's formula (amsgrad off).
 * @param scale - of the gradient, such as the factor of clipping
 */
export function adamW(state: OptimizerState, gradient: Float32Array, settings: AdamWStep, scale = 1): void {
  const { parameters, firstMoment, secondMoment } = state;
  const { lr, beta1, beta2, epsilon, weightDecay, step } = settings;
  const stepSize = lr / (1 - beta1 ** step);
  const correction = 1 / Math.sqrt(1 - beta2 ** step);
  const shrink = 1 - lr * weightDecay;
  for (let i = 0; i < parameters.length; i++) {
    const g = gradient[i] * scale;
    const m = firstMoment[i] + (1 - beta1) * (g - firstMoment[i]);
    const v = beta2 * secondMoment[i] + (1 - beta2) * g * g;
    firstMoment[i] = m;
    secondMoment[i] = v;
    parameters[i] = parameters[i] * shrink - (stepSize * m) / (Math.sqrt(v) * correction + epsilon);
  }
}

/** Euclidean norm of several vectors taken as one. */
export function globalNorm(vectors: Iterable<Float32Array>): number {
  let sum = 0;
  for (const vector of vectors) for (let i = 0; i < vector.length; i++) sum += vector[i] * vector[i];
  return Math.sqrt(sum);
}

/** Factor that brings a gradient's norm down to `maxNorm` (torch.nn.utils.clip_grad_norm_); 1 where it is below, or no bound is set. */
export const clipFactor = (norm: number, maxNorm: number): number =>
  maxNorm > 0 ? Math.min(1, maxNorm / (norm + 1e-6)) : 1;
