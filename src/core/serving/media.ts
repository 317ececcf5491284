import { inlineMedia, isInline } from '../samples/inline-media.js';
import type { MediaBytes } from '../samples/resolve.js';

/** Bytes of a request as a part of an item. */
export const mediaNamed = (bytes: Uint8Array, name: string): MediaBytes => ({ bytes, name });

/** A picture, recording or clip in base64, or as a `data:` URL. @throws HpsError DATA_INVALID */
export function base64Media(text: string, name: string): MediaBytes {
  const { bytes } = inlineMedia(isInline(text) ? text : `data:;base64,${text.replace(/\s+/g, '')}`);
  return { bytes, name };
}
