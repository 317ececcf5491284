import { basename } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { hashFile } from '../bytes/hash.js';
import { readDocument } from '../documents/define.js';
import { HpsError } from '../errors.js';
import { MODEL_VARIANT } from './names.js';
import { type Profile, profileDocument, type Setting } from './schema.js';

/** Reads a profile. @throws HpsError FILE_NOT_FOUND, FILE_UNREADABLE, CONFIG_INVALID, MADE_BY_NEWER */
export const readProfile = (path: string): Profile => readDocument(profileDocument, path).document;

/**
 * How a profile says to run a model over many rows: by what was measured with one thread where it was, as that is what each session
 * of a scorer has.
 * @throws HpsError MODELS_INCOMPARABLE for a profile of other files; CONFIG_INVALID for one where no setting ran
 */
export async function recommendedSetting(profilePath: string, modelPath: string): Promise<Setting> {
  const profile = readProfile(profilePath);
  const { sha256 } = await hashFile(modelPath);
  const file = basename(profilePath);
  const variant =
    profile.model.sha256 === sha256 ? MODEL_VARIANT : profile.variants.find((one) => one.sha256 === sha256)?.name;
  if (variant === undefined) {
    throw new HpsError('MODELS_INCOMPARABLE', `${file}: is a profile of ${profile.model.file} with other bytes`, {
      hint: 'Profile this model: another one is fastest with another setting.',
      details: { file, profiled: profile.model.sha256, model: sha256 },
    });
  }
  const { recommended, settings } = profile.sweep;
  const ran = settings.filter(
    ({ setting, samplesPerSecond }) => setting.variant === variant && samplesPerSecond !== null,
  );
  const single = ran.filter(({ setting }) => setting.threads === 1);
  const usable = single.length > 0 ? single : ran;
  const chosen = usable.find(({ setting }) => isDeepStrictEqual(setting, recommended?.throughput));
  if (chosen) return chosen.setting;
  const [best] = usable.toSorted((a, b) => b.samplesPerSecond! - a.samplesPerSecond!);
  if (best) return best.setting;
  throw new HpsError('CONFIG_INVALID', `${file}: no setting of ${variant} ran`, { hint: 'Profile the model again.' });
}
