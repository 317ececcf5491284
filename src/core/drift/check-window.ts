import { cellOf } from './betting.js';
import { type CalibrationDrift, type JudgedProbabilities, refitCalibration, testCalibration } from './calibration.js';
import { type Comparison, compareSamples } from './compare.js';
import { type IdentityChange, identityChanges } from './identity.js';
import type { CheckSettings } from './options.js';
import { type DriftReference, sampleOf } from './reference.js';
import type { Sample } from './sample.js';
import { fitsScoreMap } from './score-map.js';
import type { Rows, Window } from './window.js';

/** What was found of a window; null for what was not asked. */
export interface WindowFindings {
  readonly identity: readonly IdentityChange[];
  /** Null where there are too few rows, or what scores is not what it was. */
  readonly comparison: Comparison | null;
  readonly calibration: CalibrationDrift | null;
}

export interface CheckWindowOptions {
  readonly settings: CheckSettings;
  /** Labels of rows; null without. */
  readonly judged: JudgedProbabilities | null;
  /** Whether probabilities are said to be calibrated. */
  readonly claimed: boolean;
  /** Whether both orders of a pair get probabilities that sum to 1, by the calibrator. */
  readonly symmetric: boolean;
  /** Whether to say what fitting the calibrator again would change. */
  readonly refit: boolean;
  readonly signal?: AbortSignal;
}

/** Whether a window is what its reference is: the same model first, and then inputs, scores and calibration. */
export async function checkWindow(
  reference: DriftReference,
  window: Window,
  { settings, judged, claimed, symmetric, refit, signal }: CheckWindowOptions,
): Promise<WindowFindings> {
  const identity = [
    ...identityChanges(reference.identity, window.identity),
    ...scoreMapChange(reference.scoreMap, window.rows),
  ];
  if (identity.length > 0) return { identity, comparison: null, calibration: null };
  // Scores that follow from logits move with them: asking twice would only weaken the answers.
  const sample = reference.scoreMap === null ? window.sample : without(window.sample, 'score');
  const { least, alpha, floors, seed } = settings;
  const tests = judged && testCalibration(judged, symmetric);
  const stored = sampleOf(reference);
  const before = reference.scoreMap === null ? stored : without(stored, 'score');
  const comparison =
    sample.rows >= least.rows && sample.clusters >= least.clusters
      ? compareSamples(before, sample, settings, tests && claimed ? [tests.pValue] : [])
      : null;
  if (!tests) return { identity, comparison, calibration: null };
  const holm = comparison?.others[0] ?? tests.pValue;
  const floor = floors.calibration;
  return {
    identity,
    comparison,
    calibration: {
      ...tests,
      holm,
      floor,
      claimed,
      moved: claimed && holm <= alpha && tests.ece >= floor,
      refit: refit ? await refitCalibration(judged, { symmetric, seed, signal }) : null,
    },
  };
}

const without = (sample: Sample, feature: string): Sample => ({
  ...sample,
  features: new Map([...sample.features].filter(([name]) => name !== feature)),
});

/** Whether scores still follow from logits as they did: a calibrator that was swapped shows in a single row. */
function scoreMapChange(scoreMap: DriftReference['scoreMap'], rows: Rows): IdentityChange[] {
  if (scoreMap === null) return [];
  const knots = Float64Array.from(scoreMap.logits);
  for (let row = 0; row < rows.count; row++) {
    const [logit, score] = [rows.logit[row], rows.score[row]];
    if (Number.isNaN(score) || fitsScoreMap(scoreMap, knots, logit, score)) continue;
    const nearest = scoreMap.scores[Math.max(0, cellOf(knots, logit) - 1)];
    const at = `at a logit of ${logit.toPrecision(4)}`;
    return [
      {
        field: 'score-map',
        reference: [`a score near ${nearest.toPrecision(4)} ${at}`],
        window: [`a score of ${score.toPrecision(4)} ${at}, in row ${row + 1}`],
      },
    ];
  }
  return [];
}
