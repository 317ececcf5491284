import { HpsError } from '../../errors.js';
import { LIMITS } from '../../limits.js';

/** An address in a row, taken apart. */
export type Location =
  | { readonly kind: 'https'; readonly url: URL; readonly name: string }
  | { readonly kind: 's3'; readonly bucket: string; readonly key: string; readonly name: string };

const SCHEME = /^([a-z][a-z0-9+.-]+):\/{1,2}/i;

/** The scheme of what looks like an address, in lower case; null for a path or a text. */
export const schemeOf = (text: string): string | null => SCHEME.exec(text)?.[1].toLowerCase() ?? null;

/**
 * Takes an address apart. What errors and logs call it (`name`) holds neither credentials nor a query, which may be a signature.
 * @throws HpsError DATA_INVALID for another scheme, or an address that is none; REMOTE_REFUSED for credentials or `..` in it
 */
export function parseLocation(text: string): Location {
  const scheme = schemeOf(text);
  if (scheme === 'https') return parseHttps(text);
  if (scheme === 's3') return parseS3(text);
  throw new HpsError('DATA_INVALID', `${scheme}://…: is an address that is not fetched`, {
    hint: 'Give a path, or an https:// or s3:// address.',
    details: { scheme },
  });
}

function parseHttps(text: string): Location {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || text.length > LIMITS.remoteAddressLength) throw notAnAddress('https');
  if (url.username !== '' || url.password !== '')
    throw refused(`an item at ${url.host}`, 'its address holds credentials');
  url.hash = '';
  const last = url.pathname.slice(url.pathname.lastIndexOf('/') + 1);
  return { kind: 'https', url, name: last === '' ? url.host : `${last} at ${url.host}` };
}

const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
const MAX_KEY_BYTES = 1024; // Amazon S3

export const isBucketName = (name: string): boolean => BUCKET.test(name);

/** By hand: keys may hold `?`, `#` and `%`, which a URL would take for its own. */
function parseS3(text: string): Location {
  const rest = text.slice('s3://'.length);
  const slash = rest.indexOf('/');
  const bucket = rest.slice(0, Math.max(0, slash));
  const key = rest.slice(slash + 1);
  if (bucket.includes('@')) throw refused('an item in a bucket', 'its address holds credentials');
  const hasControls = [...key].some((character) => character < ' ');
  if (!isBucketName(bucket) || key === '' || Buffer.byteLength(key) > MAX_KEY_BYTES || hasControls)
    throw notAnAddress('s3');
  const name = `${key.slice(key.lastIndexOf('/') + 1)} in ${bucket}`;
  if (key.split('/').some((part) => part === '..' || part === '.')) throw refused(name, 'its key holds . or ..');
  return { kind: 's3', bucket, key, name };
}

const notAnAddress = (scheme: string): HpsError =>
  new HpsError('DATA_INVALID', `${scheme}://…: is not an address`, {
    hint: 'Write https://HOST/PATH or s3://BUCKET/KEY.',
    details: { scheme },
  });

/** An address that is not to be asked for. */
export const refused = (name: string, rule: string, hint = 'Download the file, and give its path.'): HpsError =>
  new HpsError('REMOTE_REFUSED', `${name}: ${rule}`, { hint, details: { file: name, rule } });
