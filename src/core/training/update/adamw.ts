import { runKernel } from './optimizer-kernel.js';

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
 * One AdamW step in place, by torch.optim.AdamW's formula (amsgrad off) and in float32, as there: with
 * m = beta1 m + (1 - beta1) g and v = beta2 v + (1 - beta2) g^2,
 * p = p (1 - lr weightDecay) - lr / (1 - beta1^step) m / (sqrt(v / (1 - beta2^step)) + epsilon).
 * @param scale - of the gradient, such as the factor of clipping
 */
export function adamW(state: OptimizerState, gradient: Float32Array, settings: AdamWStep, scale = 1): void {
  const { parameters, firstMoment, secondMoment } = state;
  const { lr, beta1, beta2, epsilon, weightDecay, step } = settings;
  const stepSize = lr / (1 - beta1 ** step);
  const correction = 1 / Math.sqrt(1 - beta2 ** step);
  const shrink = 1 - lr * weightDecay;
  runKernel(
    'adamw',
    [parameters, firstMoment, secondMoment],
    [gradient],
    [scale, 1 - beta1, beta2, 1 - beta2, stepSize, correction, epsilon, shrink],
  );
}

/** Exponential average of weights in place, at the n-th update. */
export function average(into: Float32Array, values: Float32Array, decay: number, updates: number): void {
  const d = averageShare(decay, updates);
  runKernel('blend', [into], [values], [d, 1 - d]);
}

/** Euclidean norm of several vectors taken as one. */
export function globalNorm(vectors: Iterable<Float32Array>): number {
  let sum = 0;
  for (const vector of vectors) sum += sumOfSquares(vector);
  return Math.sqrt(sum);
}

/** By four sums, none of which waits for another: twice as fast as by one. */
function sumOfSquares(vector: Float32Array): number {
  const whole = vector.length - (vector.length % 4);
  let [a, b, c, d] = [0, 0, 0, 0];
  for (let i = 0; i < whole; i += 4) {
    a += vector[i] * vector[i];
    b += vector[i + 1] * vector[i + 1];
    c += vector[i + 2] * vector[i + 2];
    d += vector[i + 3] * vector[i + 3];
  }
  for (let i = whole; i < vector.length; i++) a += vector[i] * vector[i];
  return a + b + c + d;
}

/** Factor that brings a gradient's norm down to `maxNorm` (torch.nn.utils.clip_grad_norm_); 1 where it is below, or no bound is set. */
export const clipFactor = (norm: number, maxNorm: number): number =>
  maxNorm > 0 ? Math.min(1, maxNorm / (norm + 1e-6)) : 1;

/** Share of an exponential average that stays at its n-th update; less in the first, so that the start is soon forgotten. */
export const averageShare = (decay: number, updates: number): number => Math.min(decay, (1 + updates) / (10 + updates));
