import { type ReadDocument, readDocument } from '../documents/define.js';
import { HpsError } from '../errors.js';
import { type Calibrator, calibratorDocument } from './calibrator.js';

/** Reads a calibrator file. @throws HpsError FILE_NOT_FOUND, FILE_UNREADABLE, CONFIG_INVALID, MADE_BY_NEWER */
export const readCalibrator = (path: string): ReadDocument<Calibrator> => readDocument(calibratorDocument, path);

/** Whether a calibrator was fitted on these very labels, by the sha256 of their file: they then say nothing of how it does on others. */
export const isFittedOn = ({ dataSha256 }: Pick<Calibrator, 'dataSha256'>, labelsSha256: string): boolean =>
  dataSha256 === labelsSha256;

/** What to say of figures of a calibrator on the labels it was fitted on. */
export const FITTED_ON_THESE_LABELS =
  'The calibrator was fitted on these labels: log loss, Brier score and calibration errors look better than they would on others. Split the labels first (`hpsv3 data split`), fit on one part and judge by another.';

/** @throws HpsError MODELS_INCOMPARABLE for scores of another model than the calibrator was fitted to */
export function assertSameModel({ modelSha256 }: Calibrator, scored: string | null): void {
  if (modelSha256 === null || scored === null || modelSha256 === scored) return;
  throw new HpsError('MODELS_INCOMPARABLE', 'the scores are of another model than the calibrator', {
    hint: 'Fit a calibrator to the scores of this model.',
    details: { calibrator: modelSha256, scores: scored },
  });
}
