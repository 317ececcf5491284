import type { Band, Curve } from '../onnx/curve.js';
import { interpolate } from '../stats/isotonic.js';
import { sigmoid, softplus } from '../stats/logistic.js';

/**
 * The calibrated value of a logit: a probability, or a place on the human scale for a curve that was fitted to one.
 * Antisymmetric curves give p(x) + p(-x) = 1 exactly.
 */
export function applyCurve(curve: Curve, logit: number): number {
  switch (curve.kind) {
    case 'sigmoid':
      return sigmoid(curve.slope * logit + curve.intercept);
    case 'beta':
      return sigmoid(curve.b * softplus(logit) - curve.a * softplus(-logit) + curve.c);
    case 'knots':
      // 1 - p is exact for p in [0.5, 1].
      if (curve.mirrored && logit < 0) return 1 - interpolate(curve, -logit);
      return interpolate(curve, logit);
    case 'line':
      return curve.slope * logit + curve.intercept;
  }
}

/** Whether p(x) = 1 - p(-x) holds by the curve's form. */
export function isAntisymmetric(curve: Curve): boolean {
  return (curve.kind === 'sigmoid' && curve.intercept === 0) || (curve.kind === 'knots' && curve.mirrored);
}

/**
 * The lower end of the band for the side that wins: how probable it is at least. Null without a band, and for a tie.
 *
 * @param probability - what the band's curve is at `logit`
 */
export function confidenceOf(band: Band | null, antisymmetric: boolean, logit: number, probability: number) {
  if (band === null || probability === 0.5) return null;
  const lower = { x: band.x, y: band.lower };
  if (antisymmetric) return interpolate(lower, Math.abs(logit));
  return probability > 0.5 ? interpolate(lower, logit) : 1 - interpolate({ x: band.x, y: band.upper }, logit);
}
