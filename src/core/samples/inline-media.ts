import { HpsError } from '../errors.js';

const DATA_URL = /^data:([^,;]{0,100})(;[^,]{0,200})?,/i;
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

/** Whether an item holds its bytes itself, as a `data:` URL. */
export const isInline = (content: string): boolean => /^data:/i.test(content);

/**
 * The bytes of a `data:` URL (RFC 2397) in base64.
 * @throws HpsError DATA_INVALID for one that is none, or is not in base64; it never repeats the bytes
 */
export function inlineMedia(url: string): { readonly bytes: Uint8Array; readonly name: string } {
  const [start = '', type = '', parameters = ''] = DATA_URL.exec(url) ?? [];
  const encoded = url.slice(start.length);
  if (start === '' || !/;base64$/i.test(parameters)) throw invalid('is no data: URL in base64');
  if (encoded.length === 0 || encoded.length % 4 !== 0 || !BASE64.test(encoded)) throw invalid('is not valid base64');
  return { bytes: Buffer.from(encoded, 'base64'), name: `an inline ${type === '' ? 'item' : type}` };
}

const invalid = (rule: string): HpsError =>
  new HpsError('DATA_INVALID', `an inline item ${rule}`, {
    hint: 'Write it as {"base64":"…"}, or as data:image/png;base64,…',
    details: { rule },
  });
