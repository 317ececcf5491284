import { HpsError } from '../errors.js';

/** A file whose bytes break its format's rules (CHECKPOINT_CORRUPT, exit 5). `rule` continues the sentence `FILE: …`. */
export function corruptFile(
  file: string,
  rule: string,
  hint = 'The file is damaged or incomplete: get it again, or save it again.',
): HpsError {
  return new HpsError('CHECKPOINT_CORRUPT', `${file}: ${rule}`, { hint, details: { file, rule } });
}

/** A file that asks for something a weights file never needs (CHECKPOINT_UNSAFE, exit 5). */
export function unsafeFile(
  file: string,
  rule: string,
  hint = 'Do not load this file with other tools; get it again from a source you trust.',
): HpsError {
  return new HpsError('CHECKPOINT_UNSAFE', `${file}: ${rule}`, { hint, details: { file, rule } });
}
