import { parseJson } from '../bytes/json.js';
import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import { type Profile, profileSchema } from './schema.js';

/** The file's text. */
export const formatProfile = (profile: Profile): string => `${JSON.stringify(profileSchema.parse(profile), null, 2)}\n`;

/**
 * Reads a profile.
 * @param name - what errors call it
 * @throws HpsError CONFIG_INVALID for a file that is no profile, or of a later version
 */
export function parseProfile(bytes: Uint8Array, name: string): Profile {
  const parsed = profileSchema.safeParse(parseJson(bytes, { name, maxBytes: LIMITS.profileBytes }));
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const place = issue.path.join('.') || 'the root';
  throw new HpsError('CONFIG_INVALID', `${name}: not a profile: ${place}: ${issue.message}`, {
    hint: 'Give a file that `hpsv3 profile` wrote.',
    details: { file: name, at: place },
  });
}
