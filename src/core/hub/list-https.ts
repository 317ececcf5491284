import { isJsonObject, parseJson } from '../bytes/json.js';
import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import { isPlainPath } from './address.js';
import { type Client, changed, failed, type Reply } from './client.js';
import type { Listing } from './listing.js';
import type { RemoteEntry } from './remote-file.js';

/** What lies beside the weights of published models, as far as it is read here. A host of files has no list of them. */
const BESIDE = [
  'config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'vocab.json',
  'merges.txt',
  'vocab.txt',
  'preprocessor_config.json',
  'chat_template.jinja',
  'open_clip_config.json',
  'med_config.json',
  'modules.json',
  'sentence_bert_config.json',
  '1_Pooling/config.json',
  'adapter_config.json',
  'value_head.safetensors',
  'value_head.bin',
];
const WEIGHTS = /\.(safetensors|bin|pt|pth|ckpt|index\.json)$/;

/** A file on a host, and those beside it that a checkpoint is read with. */
export async function listHttps(client: Client, url: URL): Promise<Listing> {
  const name = decodeURIComponent(url.pathname.slice(url.pathname.lastIndexOf('/') + 1));
  if (name === '' || !isPlainPath(name)) {
    throw new HpsError('USAGE', `${url.host}: the address names no file`, {
      hint: 'Give the address of the file of weights, or of its *.index.json.',
      details: { host: url.host },
    });
  }
  const own = await probe(client, url, name);
  // An address with a query may be signed: what lies beside it is not for the taking.
  const mayHaveMore = WEIGHTS.test(name) && url.search === '';
  const names = mayHaveMore ? [...BESIDE, ...(await shardsOf(own, name))] : [];
  const others = await Promise.all(names.filter((each) => each !== name).map((each) => besideOf(client, url, each)));
  const files = [{ path: name, entry: own }, ...others.filter((each) => each !== null)];
  return { label: `${url.origin}${url.pathname}`, root: url.hostname.replace(/[^\w.-]/g, '_'), target: name, files };
}

/** How long a file is, by asking for its first byte: addresses that are signed for reading take no HEAD. */
async function probe(client: Client, url: URL, name: string): Promise<RemoteEntry> {
  const named = `${name} at ${url.host}`;
  const reply = await client.get({ url, name: named, range: { start: 0, end: 1, size: null } });
  if (reply.status === 416) return entryOf(client, url, named, reply, 0);
  if (reply.status !== 200 && reply.status !== 206) throw failure(named, reply);
  const total = /\/(\d+)$/.exec(String(reply.headers['content-range'] ?? ''))?.[1];
  const size = Number(reply.status === 206 ? total : reply.headers['content-length']);
  if (!Number.isSafeInteger(size)) throw failed(named, 'its host does not say how long it is');
  return entryOf(client, url, named, reply, size);
}

async function besideOf(client: Client, url: URL, path: string): Promise<Listing['files'][number] | null> {
  const other = new URL(path.split('/').map(encodeURIComponent).join('/'), url);
  const name = `${path.slice(path.lastIndexOf('/') + 1)} at ${url.host}`;
  const reply = await client.get({ url: other, name, method: 'HEAD' });
  const size = Number(reply.headers['content-length']);
  if (reply.status !== 200 || !Number.isSafeInteger(size)) return null;
  return { path, entry: entryOf(client, other, name, reply, size) };
}

async function shardsOf(index: RemoteEntry, name: string): Promise<string[]> {
  if (!name.endsWith('.index.json') || index.byteLength > LIMITS.jsonBytes) return [];
  const { bytes } = await index.fetch(0, index.byteLength);
  const parsed = parseJson(bytes, { name: index.name, code: 'CHECKPOINT_CORRUPT' });
  const map = isJsonObject(parsed) && isJsonObject(parsed.weight_map) ? parsed.weight_map : {};
  const files = new Set(Object.values(map).filter((file) => typeof file === 'string'));
  return [...files].filter((file) => isPlainPath(file) && !file.includes('/')).slice(0, LIMITS.shards);
}

function entryOf(client: Client, url: URL, name: string, { headers }: Reply, byteLength: number): RemoteEntry {
  const seen = versionOf(headers);
  return {
    name,
    address: `${url.origin}${url.pathname}`,
    byteLength,
    sha256: null,
    fetch: async (start, end) => {
      const reply = await client.get({ url, name, range: { start, end, size: byteLength } });
      if (reply.status === 416 || reply.status === 412) throw changed(name);
      if (reply.status !== 200 && reply.status !== 206) throw failure(name, reply);
      const now = versionOf(reply.headers);
      if (seen !== null && now !== null && seen !== now) throw changed(name);
      return { start: reply.status === 206 ? start : 0, bytes: reply.bytes };
    },
  };
}

/** What changes when the file does; null where the host tells nothing of the kind. */
export function versionOf(headers: Reply['headers']): string | null {
  const etag = headers.etag;
  if (typeof etag === 'string' && !etag.startsWith('W/')) return etag;
  const modified = headers['last-modified'];
  return typeof modified === 'string' ? modified : null;
}

function failure(name: string, { status }: Reply): HpsError {
  const details = { file: name, status };
  if (status === 401 || status === 403) {
    return new HpsError('ACCESS_DENIED', `${name}: the host gives no access (HTTP ${status})`, {
      hint: 'Give an address that needs no sign-in, or download the file and give its path.',
      details,
    });
  }
  if (status === 404 || status === 410)
    return new HpsError('FILE_NOT_FOUND', `${name}: is not there (HTTP ${status})`, {
      hint: 'Check the address.',
      details,
    });
  const hint = status === 429 ? 'Run the command again later.' : 'Check the address.';
  return new HpsError('REMOTE_FAILED', `${name}: the host answers HTTP ${status}`, { hint, details });
}
