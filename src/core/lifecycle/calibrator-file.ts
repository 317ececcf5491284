import { type Calibrator, parseCalibrator } from '../calibration/calibrator.js';
import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import { withSource } from './judged-scores.js';

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
