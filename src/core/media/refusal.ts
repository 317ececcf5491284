import { HpsError } from '../errors.js';

/** A picture, text, recording or clip that cannot be read (MEDIA_INVALID). `rule` continues the sentence `FILE: …`. */
export function invalidMedia(name: string, rule: string, hint: string, cause?: unknown): HpsError {
  return new HpsError('MEDIA_INVALID', `${name}: ${rule}`, { hint, details: { file: name, rule }, cause });
}
