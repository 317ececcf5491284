import { type ReadDocument, readDocument } from '../documents/define.js';
import { HpsError } from '../errors.js';
import { type Calibrator, calibratorDocument } from './calibrator.js';

/** Reads a calibrator file. @throws HpsError FILE_NOT_FOUND, FILE_UNREADABLE, CONFIG_INVALID, MADE_BY_NEWER */
export const readCalibrator = (path: string): ReadDocument<Calibrator> => readDocument(calibratorDocument, path);

/** @throws HpsError MODELS_INCOMPARABLE for scores of another model than the calibrator was fitted to */
export function assertSameModel({ modelSha256 }: Calibrator, scored: string | null): void {
  if (modelSha256 === null || scored === null || modelSha256 === scored) return;
  throw new HpsError('MODELS_INCOMPARABLE', 'the scores are of another model than the calibrator', {
    hint: 'Fit a calibrator to the scores of this model.',
    details: { calibrator: modelSha256, scores: scored },
  });
}
