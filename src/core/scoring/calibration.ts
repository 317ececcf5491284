import { applyCurve, confidenceOf, isAntisymmetric } from '../calibration/curve.js';
import { HpsError } from '../errors.js';
import type { Band, Curve } from '../onnx/curve.js';
import type { Decision } from '../onnx/manifest.js';

/** A fitted map from pair logits to probabilities, wherever it is stored. */
export interface Calibrator {
  readonly decision: Decision;
  readonly curve: Curve;
  readonly band: Band | null;
}

/** Calibrators by task; the one under null is for rows without a task of their own. */
export type Calibrators = ReadonlyMap<string | null, Calibrator>;

export interface CalibratedProbability {
  readonly probability: number;
  /** Lower end of the band for the winner's side; null without a band, and for a tie. */
  readonly confidence: number | null;
}

/** The probability of a pair logit, with the calibrator of its task; null where there is none for it. */
export function calibrate(
  calibrators: Calibrators,
  logit: number,
  task: string | undefined,
): CalibratedProbability | null {
  const calibrator = calibrators.get(task ?? null) ?? calibrators.get(null);
  if (!calibrator) return null;
  const { curve, band } = calibrator;
  const probability = applyCurve(curve, logit);
  return { probability, confidence: confidenceOf(band, isAntisymmetric(curve), logit, probability) };
}

/**
 * A calibrator belongs to the decision it was fitted on.
 * @throws HpsError MODELS_INCOMPARABLE
 */
export function assertSameDecision(calibrators: Calibrators, decision: Decision, file: string): void {
  for (const calibrator of calibrators.values()) {
    if (calibrator.decision === decision) continue;
    throw new HpsError(
      'MODELS_INCOMPARABLE',
      `${file}: was fitted on decisions by ${calibrator.decision}, and the model decides by ${decision}`,
      {
        hint: 'Fit a calibrator on scores of this model.',
        details: { file, calibrator: calibrator.decision, model: decision },
      },
    );
  }
}
