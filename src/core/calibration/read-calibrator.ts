import { withSource } from '../bytes/source.js';
import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import { type Calibrator, parseCalibrator } from './calibrator.js';

/** Reads a calibrator file. @throws HpsError FILE_NOT_FOUND, FILE_UNREADABLE, CONFIG_INVALID */
export function readCalibrator(path: string): Promise<Calibrator> {
  return withSource(path, async (source) => {
    if (source.byteLength > LIMITS.calibratorBytes) {
      throw new HpsError('CONFIG_INVALID', `${source.name}: ${source.byteLength} bytes are no calibrator`, {
        hint: 'Give a file that `hpsv3 calibrate` wrote.',
        details: { file: source.name, limit: LIMITS.calibratorBytes },
      });
    }
    return parseCalibrator(source.readSync(0, source.byteLength), source.name);
  });
}

/** @throws HpsError MODELS_INCOMPARABLE for scores of another model than the calibrator was fitted to */
export function assertSameModel({ modelSha256 }: Calibrator, scored: string | null): void {
  if (modelSha256 === null || scored === null || modelSha256 === scored) return;
  throw new HpsError('MODELS_INCOMPARABLE', 'the scores are of another model than the calibrator', {
    hint: 'Fit a calibrator to the scores of this model.',
    details: { calibrator: modelSha256, scores: scored },
  });
}
