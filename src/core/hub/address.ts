import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import { parseLocation, refused, schemeOf } from '../media/remote/location.js';

/** Where a file or a folder of files lies on another machine. */
export type Address =
  | {
      readonly kind: 'hf';
      readonly repo: string;
      readonly type: 'model' | 'dataset';
      /** A branch, tag or commit; null for the default branch. */
      readonly revision: string | null;
      /** Of a file or folder in the repository; empty for all of it. */
      readonly path: string;
    }
  | { readonly kind: 'https'; readonly url: URL }
  | { readonly kind: 's3'; readonly bucket: string; readonly key: string };

const SCHEMES = new Set(['hf', 'https', 'http', 's3']);

/** Whether a text names something on another machine; every other text is a path. */
export const isAddress = (text: string): boolean => SCHEMES.has(schemeOf(text) ?? '') && text.includes('://');

const SEGMENT = /^[A-Za-z0-9](?:[\w.-]{0,94}[A-Za-z0-9_])?$/;
/** Branches, tags and commits as git names them: no blanks, no control characters, none of its own signs. */
const REVISION = /^(?!\/)(?!.*(?:\.\.|\/\/|\/$))[\w./+-]{1,255}$/;

/**
 * Takes an address apart.
 * @throws HpsError USAGE for one that cannot be; REMOTE_REFUSED for credentials or `..` in it
 */
export function parseAddress(text: string): Address {
  if (text.length > LIMITS.remoteAddressLength) throw notAnAddress('it is too long');
  const scheme = schemeOf(text);
  if (scheme === 'hf') return parseHub(text.slice('hf://'.length));
  if (scheme === 's3') return parseBucket(text);
  if (scheme === 'http') return { kind: 'https', url: checkedUrl(text) };
  const location = parseLocation(text);
  if (location.kind !== 'https') throw notAnAddress(`${scheme}:// is not fetched`);
  return { kind: 'https', url: location.url };
}

/** `org/name[@revision][/path]`, before it `datasets/` for a repository of data; as the file system of huggingface_hub writes it. */
function parseHub(rest: string): Address {
  const [, prefix, repo = '', tail = ''] = /^(datasets\/|models\/)?([^/@]+\/[^/@]+)(.*)$/s.exec(rest) ?? [];
  if (!repo.split('/').every((part) => SEGMENT.test(part))) throw notAnAddress('it names no repository');
  const [, said, path = ''] = /^(?:@((?:refs\/(?:pr|convert)\/)?[^/]+))?(?:\/+(.*?)\/*)?$/s.exec(tail) ?? [];
  if (said === undefined && tail !== '' && !tail.startsWith('/')) throw notAnAddress('its revision is none');
  const revision = said === undefined ? null : decoded(said);
  if (revision !== null && !REVISION.test(revision)) throw notAnAddress('its revision is none');
  if (path !== '' && !isPlainPath(path))
    throw refused(`a file of ${repo}`, 'its path holds what no path in a repository does');
  return { kind: 'hf', repo, type: prefix === 'datasets/' ? 'dataset' : 'model', revision, path };
}

/** Whether a path with slashes stays below where it starts, on any system. */
export const isPlainPath = (path: string): boolean =>
  path.length <= 1024 &&
  path
    .split('/')
    .every((part) => part !== '' && part !== '.' && part !== '..' && part.length <= 255 && !/[\\:\p{Cc}]/u.test(part));

/** A branch with slashes is written with %2F. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw notAnAddress('its revision is none');
  }
}

/** A key may be a folder, or none for the whole bucket: then `parseLocation` has nothing to say of it. */
function parseBucket(text: string): Address {
  const folder = /^s3:\/\/[^/@]+\/?$/i.test(text) ? `${text.replace(/\/$/, '')}/x` : text.replace(/\/$/, '');
  const location = parseLocation(folder);
  if (location.kind !== 's3') throw notAnAddress('it names no bucket');
  return { kind: 's3', bucket: location.bucket, key: folder === text.replace(/\/$/, '') ? location.key : '' };
}

function checkedUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null) throw notAnAddress('it is no URL');
  if (url.username !== '' || url.password !== '')
    throw refused(`a file at ${url.host}`, 'its address holds credentials');
  url.hash = '';
  return url;
}

const notAnAddress = (rule: string): HpsError =>
  new HpsError('USAGE', `the address cannot be read: ${rule}`, {
    hint: 'Write hf://ORG/NAME[@REVISION][/PATH], https://HOST/PATH or s3://BUCKET/KEY.',
    details: { rule },
  });
