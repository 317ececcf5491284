import { type Calibrated, type Calibrator, calibrate } from '../calibration/calibrator.js';
import type { JoinedAbsolutes, JoinedPairs } from '../data/join.js';
import { HpsError } from '../errors.js';
import { sigmoid } from '../stats/logistic.js';

/** What each row's score says, once it is calibrated or stands as it is. */
export interface Predictions {
  /** P(left preferred), or the place on the human scale; uncalibrated sigmoid of the logit, or the utility. */
  readonly values: Float64Array;
  /** NaN where there is none, null where there is none of any row. Never written: `null` stands for it in results. */
  readonly confidence: Float64Array | null;
  readonly calibrated: boolean;
}

/** @throws HpsError MODELS_INCOMPARABLE for a calibrator of the other kind of rows */
export function predict(joined: JoinedPairs | JoinedAbsolutes, calibrator: Calibrator | null): Predictions {
  const { logit, count } = joined;
  if (calibrator === null) {
    return { values: logit.map(joined.kind === 'pair' ? sigmoid : Math.tanh), confidence: null, calibrated: false };
  }
  if (calibrator.kind !== joined.kind) throw otherKind(calibrator.kind, joined.kind);
  const values = new Float64Array(count);
  const confidence = new Float64Array(count).fill(Number.NaN);
  const groupOf = groupReader(joined, calibrator);
  for (let row = 0; row < count; row++) {
    const said: Calibrated = calibrate(calibrator, logit[row], groupOf(row));
    values[row] = said.value;
    if (said.confidence !== null) confidence[row] = said.confidence;
  }
  // A method that fits nothing leaves the score as it was.
  return { values, confidence, calibrated: calibrator.method !== 'none' };
}

/** The value of the calibrator's group column in each row. */
function groupReader(
  joined: JoinedPairs | JoinedAbsolutes,
  { groups }: Calibrator,
): (row: number) => string | undefined {
  if (!groups) return () => undefined;
  const column = joined.groups.get(groups.name) ?? (groups.name === 'task' ? joined.task : undefined);
  return (row) => (column && column.codes[row] >= 0 ? column.names[column.codes[row]] : undefined);
}

function otherKind(calibrator: Calibrator['kind'], rows: Calibrator['kind']): HpsError {
  const words = { pair: 'pairs', absolute: 'scored items' };
  return new HpsError(
    'MODELS_INCOMPARABLE',
    `the calibrator is of ${words[calibrator]}, the labels are ${words[rows]}`,
    {
      hint: 'Fit a calibrator to labels of this kind.',
      details: { calibrator, rows },
    },
  );
}
