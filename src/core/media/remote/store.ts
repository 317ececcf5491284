import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { sha256Hex } from '../../bytes/hash.js';
import { makeTemporaryFolder, temporaryError } from '../../bytes/temporary-folder.js';
import { HpsError } from '../../errors.js';
import { LIMITS } from '../../limits.js';
import type { MediaSource } from '../item.js';
import { Turnstile } from '../turnstile.js';
import { isPublicAddress } from './addresses.js';
import { Downloader } from './download.js';
import { isBucketName, type Location, parseLocation, refused } from './location.js';
import { objectHeaders, objectUrl, type S3Access, s3AccessFromEnvironment, s3Failure } from './s3.js';

/** Which addresses in items are fetched. Whatever is not named here is refused. */
export interface RemoteOptions {
  /** Hosts that `https://` addresses, and what they redirect to, may name: `example.org`, or `example.org:8443`. */
  readonly hosts?: readonly string[];
  /** Buckets that `s3://` addresses may name. */
  readonly buckets?: readonly string[];
  /** How buckets are reached; by default as the environment says (AWS_ACCESS_KEY_ID, AWS_REGION, AWS_ENDPOINT_URL_S3, …). */
  readonly s3?: S3Access;
  /** Whether an IP address may be connected to; by default public unicast ones only. Replace it for a network of your own. */
  readonly isAddressAllowed?: (address: string) => boolean;
  /** Certificates to trust instead of the built-in ones, as PEM. */
  readonly certificates?: string;
  /** Files fetched at a time; 8 by default. */
  readonly connections?: number;
  /** Milliseconds for one file, all redirects and tries together; 10,000 by default. */
  readonly timeoutMs?: number;
}

/** A fetched file. It stays until `release` is called. */
export interface RemoteFile {
  /** Where it lies: in memory, or in a temporary folder. */
  readonly source: MediaSource;
  readonly sha256: string;
  readonly byteLength: number;
  release(): void;
}

/** Files written at a time. */
const WRITES = 4;

interface Fetched {
  readonly at: { readonly bytes: Uint8Array } | { readonly path: string };
  readonly sha256: string;
  readonly byteLength: number;
}

interface Entry {
  fetched: Promise<Fetched>;
  /** Rows that read its file now. */
  users: number;
  bytes: number;
  isInMemory: boolean;
}

/**
 * Fetches what addresses in items name, each address once as long as the store has room for it, failures included: rows that
 * share an address share what came of it. Files lie in a temporary folder, which `close` removes, or in memory where that is
 * allowed (`holdInMemory`).
 */
export class RemoteStore {
  private readonly entries = new Map<string, Entry>();
  private bytes = 0;
  private bytesInMemory = 0;
  private memoryBound = 0;
  private readonly connections: Turnstile;
  /** Open files have a bound, and a whole memory may go to the disk at once. */
  private readonly writes = new Turnstile(WRITES);
  private folder: Promise<string> | undefined;
  private files = 0;
  private downloader: Promise<Downloader> | undefined;

  private constructor(
    private readonly hosts: ReadonlySet<string>,
    private readonly buckets: ReadonlySet<string>,
    private readonly s3: S3Access | null,
    private readonly options: RemoteOptions,
  ) {
    this.connections = new Turnstile(options.connections ?? LIMITS.remoteConnections);
  }

  /** Connects to nothing yet. @throws HpsError USAGE for a host or a bucket that is none, and as `s3AccessFromEnvironment` */
  static open(options: RemoteOptions): RemoteStore {
    const { hosts = [], buckets = [] } = options;
    const wrong = buckets.find((bucket) => !isBucketName(bucket));
    if (wrong !== undefined) throw notAllowable(wrong, 'bucket', 'Give its name alone: my-bucket.');
    const s3 = buckets.length > 0 ? (options.s3 ?? s3AccessFromEnvironment(process.env)) : null;
    return new RemoteStore(new Set(hosts.map(parseHost)), new Set(buckets), s3, options);
  }

  /** All that decides what is fetched, in one line. */
  get rules(): string {
    const names = [...this.hosts, ...[...this.buckets].map((bucket) => `s3:${bucket}`)].sort();
    return [...names, this.s3?.endpoint?.href ?? ''].join(' ').trim();
  }

  /**
   * @throws HpsError DATA_INVALID for an address that is none; REMOTE_REFUSED, REMOTE_FAILED; ACCESS_DENIED where the other
   *   side wants other rights; CREDENTIALS_INVALID where a store does not take the ones in the environment
   */
  async fetch(text: string): Promise<RemoteFile> {
    const location = parseLocation(text);
    this.assertAllowed(location);
    const key = location.kind === 's3' ? `s3://${location.bucket}/${location.key}` : location.url.href;
    const entry = this.entries.get(key) ?? this.begin(location);
    this.entries.delete(key); // the order of a Map is that of insertion: last used, last dropped
    this.entries.set(key, entry);
    entry.users++;
    try {
      const { at, ...facts } = await entry.fetched;
      return { source: { ...at, name: location.name }, ...facts, release: once(() => this.release(entry)) };
    } catch (error) {
      this.release(entry);
      throw error;
    }
  }

  /** Bytes of files, those of 0 by default, that stay in memory; of more, those that nobody reads now go to the disk, the one used longest ago first. */
  holdInMemory(bytes: number): void {
    this.memoryBound = bytes;
    this.lighten();
  }

  async close(): Promise<void> {
    await (await this.downloader)?.close();
    const folder = await this.folder?.catch(() => undefined); // one that could not be made was reported where it was needed
    if (folder) await rm(folder, { recursive: true, force: true });
  }

  private assertAllowed(location: Location): void {
    if (location.kind === 'https') this.checkUrl(location.url, location.name);
    else if (!this.buckets.has(location.bucket)) {
      throw refused(location.name, 'its bucket is not allowed', 'Allow it with `remote.buckets` BUCKET.');
    }
  }

  private readonly checkUrl = (url: URL, name: string): void => {
    if (url.protocol !== 'https:') throw refused(name, `leads to ${url.protocol}//…, and only https:// is fetched`);
    if (url.username !== '' || url.password !== '') throw refused(name, 'leads to an address that holds credentials');
    if (!this.hosts.has(url.host))
      throw refused(name, `host ${url.host} is not allowed`, 'Allow it with `remote.hosts` HOST.');
  };

  private begin(location: Location): Entry {
    const isInMemory = this.memoryBound > 0;
    const fetched = this.connections.run(async () => {
      const bytes = await this.download(location);
      const at = isInMemory ? { bytes } : await this.written(bytes);
      return { at, sha256: sha256Hex(bytes), byteLength: bytes.byteLength };
    });
    const entry: Entry = { fetched, isInMemory, users: 0, bytes: 0 };
    fetched.then(
      ({ byteLength }) => this.weigh(entry, byteLength),
      () => this.weigh(entry, 0), // thrown to whoever asked
    );
    return entry;
  }

  /** Files of no user go, the one used longest ago first, until the others fit. */
  private weigh(entry: Entry, byteLength: number): void {
    entry.bytes = byteLength;
    this.bytes += byteLength;
    if (entry.isInMemory) this.bytesInMemory += byteLength;
    for (const [key, each] of this.entries) {
      if (this.bytes <= LIMITS.remoteStoreBytes && this.entries.size <= LIMITS.remoteStoreFiles) break;
      if (each.users > 0) continue;
      this.entries.delete(key);
      this.bytes -= each.bytes;
      if (each.isInMemory) this.bytesInMemory -= each.bytes;
      // One that failed has no file.
      each.fetched.then(({ at }) => ('path' in at ? rm(at.path, { force: true }) : undefined)).catch(() => undefined);
    }
    this.lighten();
  }

  /** Writes files of no user, the one used longest ago first, until those in memory fit. */
  private lighten(): void {
    for (const entry of this.entries.values()) {
      if (this.bytesInMemory <= this.memoryBound) return;
      if (!entry.isInMemory || entry.users > 0) continue;
      entry.isInMemory = false;
      this.bytesInMemory -= entry.bytes;
      entry.fetched = entry.fetched.then(async ({ at, ...facts }) => {
        return { at: 'bytes' in at ? await this.written(at.bytes) : at, ...facts };
      });
      entry.fetched.catch(() => undefined); // thrown to whoever asks again
    }
  }

  private release(entry: Entry): void {
    entry.users--;
  }

  private async written(bytes: Uint8Array): Promise<{ readonly path: string }> {
    this.folder ??= makeTemporaryFolder('remote');
    const folder = await this.folder;
    const path = join(folder, String(this.files++));
    await this.writes
      .run(() => writeFile(path, bytes, { mode: 0o600 }))
      .catch((error: unknown) => {
        throw temporaryError(folder, error);
      });
    return { path };
  }

  private async download(location: Location): Promise<Uint8Array> {
    const { isAddressAllowed = isPublicAddress, certificates, timeoutMs, connections } = this.options;
    this.downloader ??= Downloader.open({ isAddressAllowed, certificates, timeoutMs, connections });
    const downloader = await this.downloader;
    const { name } = location;
    if (location.kind === 'https') {
      const { url } = location;
      return downloader.get({
        url,
        name,
        check: (each) => this.checkUrl(each, name),
        failure: (status) => httpFailure(name, status),
      });
    }
    const { s3 } = this;
    if (!s3) throw new RangeError('a bucket was allowed without access to it');
    const url = objectUrl(s3, location.bucket, location.key);
    return downloader.get({
      url,
      name,
      headers: objectHeaders(url, s3, new Date()),
      trusted: s3.endpoint !== null,
      failure: (status, body) => s3Failure(name, status, body),
    });
  }
}

function httpFailure(name: string, status: number): HpsError {
  const details = { file: name, status };
  if (status === 401 || status === 403) {
    return new HpsError('ACCESS_DENIED', `${name}: the host gives no access (HTTP ${status})`, {
      hint: 'Give an address that needs no sign-in, or download the file and give its path.',
      details,
    });
  }
  return new HpsError('REMOTE_FAILED', `${name}: the host answers HTTP ${status}`, {
    hint: 'Check the address.',
    details,
  });
}

/** A host as a URL says it, with its port unless that is 443. */
function parseHost(text: string): string {
  const address = `https://${text}`;
  const url = URL.canParse(address) ? new URL(address) : null;
  if (url && url.href === `https://${url.host}/` && !text.includes('/')) return url.host;
  throw notAllowable(text, 'host', 'Give its name alone: example.org, or example.org:8443.');
}

const notAllowable = (text: string, what: string, hint: string): HpsError =>
  new HpsError('USAGE', `${JSON.stringify(text)} is not the name of a ${what}`, { hint, details: { [what]: text } });

function once(work: () => void): () => void {
  let done = false;
  return () => {
    if (!done) work();
    done = true;
  };
}
