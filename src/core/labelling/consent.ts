import { sha256Hex } from '../bytes/hash.js';

/** The text that raters agree to before they begin. Its version is of its words: whoever agreed to others is asked again. */
export interface Consent {
  readonly version: string;
  readonly text: string;
}

export const consentOf = (text: string): Consent => ({
  version: `c${sha256Hex(Buffer.from(text)).slice(0, 12)}`,
  text,
});
