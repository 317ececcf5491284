import { mkdirSync, writeFileSync } from 'node:fs';
import { copyFile, open, rm } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { hashFile } from '../bytes/hash.js';
import { DiskReader, type FileReader, mountFile } from '../bytes/source.js';
import { makeTemporaryFolder, temporaryError } from '../bytes/temporary-folder.js';
import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import { s3AccessFromEnvironment } from '../media/remote/s3.js';
import { type Progress, type Run, runOf } from '../run.js';
import { isAddress, parseAddress } from './address.js';
import { CachedRepository } from './cache.js';
import { Client } from './client.js';
import { hubAccessFromEnvironment } from './environment.js';
import { Kept } from './kept.js';
import { listHttps } from './list-https.js';
import { type HubAddress, type HubFile, HubRepository } from './list-hub.js';
import { listBucket } from './list-s3.js';
import type { ListedFile, Listing } from './listing.js';
import { MissingBytes, otherContent, RemoteFile, type RemoteHost } from './remote-file.js';
import type { RemoteFileOptions, RemoteReport, Sources } from './with-addresses.js';

type Options = Run & { readonly remote?: RemoteFileOptions };

/**
 * Files on other machines that paths of this one stand for: a temporary folder holds a small file for each, so that all who look for
 * files find them, and whoever opens one reads by ranges. Close it when done.
 */
export class Mounts implements Sources, RemoteHost {
  readonly kept = new Kept(LIMITS.hubKeptBytes);
  private readonly files = new Map<string, MountedFile>();
  private readonly labels = new Set<string>();
  private readonly told = new Set<string>();
  private missing: { file: MountedFile; fetch: () => Promise<void> }[] = [];
  private folders = 0;
  private trusts = false;

  private constructor(
    private readonly options: Options,
    private readonly client: Client,
    private readonly folder: string,
  ) {}

  static async open(options: Options): Promise<Mounts> {
    const { hosts, isAddressAllowed } = options.remote ?? {};
    const client = await Client.open({ hosts, isAddressAllowed, signal: options.signal });
    return new Mounts(options, client, await makeTemporaryFolder('remote'));
  }

  /** The path that stands for an address; a path stays what it is. */
  async pathOf(text: string): Promise<string> {
    if (!isAddress(text)) return text;
    const listing = await this.list(text);
    this.labels.add(listing.label);
    const root = join(this.folder, String(this.folders++), listing.root);
    try {
      mkdirSync(root, { recursive: true });
      for (const file of listing.files) this.mount(join(root, ...file.path.split('/')), file);
    } catch (error) {
      throw temporaryError(this.folder, error);
    }
    return join(root, ...listing.target.split('/'));
  }

  /** The path of a copy of what lies at an address, which is a file; a path stays what it is. */
  async copyOf(text: string): Promise<string> {
    const path = await this.pathOf(text);
    const file = this.files.get(resolve(path));
    if (file === undefined) {
      if (!isAddress(text)) return path;
      throw new HpsError('USAGE', `${basename(path)}: is a folder, and a file is wanted`, {
        hint: 'Give the address of the file in it.',
        details: { folder: basename(path) },
      });
    }
    await file.copyTo(path).catch((error: unknown) => {
      throw temporaryError(this.folder, error);
    });
    return path;
  }

  /** Runs `use` until it finds all that it reads. */
  async run<O extends Options, R>(options: O, use: (options: O, sources: Sources) => Promise<R>): Promise<R> {
    const followed = { ...options, ...this.following(options) };
    for (;;) {
      try {
        const result = await use(followed, this);
        if (this.missing.length > 0) throw new RangeError('bytes of another machine were missed, and nobody said so');
        return result;
      } catch (error) {
        if (!(await this.provide())) throw error;
      }
    }
  }

  addressOf(path: string): string | null {
    return this.files.get(resolve(path))?.listed.entry.address ?? null;
  }

  statesHash(path: string): boolean {
    const file = this.files.get(resolve(path));
    return file === undefined || file.sha256 !== null;
  }

  knowsHash(path: string): boolean {
    const file = this.files.get(resolve(path));
    return this.statesHash(path) || file!.listed.entry.byteLength <= LIMITS.hubSmallBytes;
  }

  trustHashes(): void {
    this.trusts = true;
  }

  get trusting(): boolean {
    return this.trusts;
  }

  get caches(): boolean {
    return this.options.remote?.hubCache === true;
  }

  report(): RemoteReport {
    const files = [...this.files.values()]
      .filter((file) => file.used)
      .map(({ listed: { entry }, fetchedBytes }) => ({
        address: entry.address,
        bytes: entry.byteLength,
        fetchedBytes,
      }));
    const sum = (of: 'bytes' | 'fetchedBytes') => files.reduce((total, file) => total + file[of], 0);
    return { sources: [...this.labels], files, bytes: sum('bytes'), fetchedBytes: sum('fetchedBytes') };
  }

  miss(file: RemoteFile, start: number, end: number): void {
    const mounted = [...this.files.values()].find(({ remote }) => remote === file)!;
    this.missing.push({ file: mounted, fetch: () => mounted.provide(start, end) });
  }

  /** A file that is wanted whole, in the cache. */
  missWhole(file: MountedFile): void {
    this.missing.push({ file, fetch: () => file.store() });
  }

  fetched(): void {
    const { onProgress } = this.options;
    if (!onProgress) return;
    const used = [...this.files.values()].filter((file) => file.used);
    const total = used.reduce((sum, { wanted }) => sum + wanted, 0);
    const done = used.reduce((sum, { fetchedBytes }) => sum + fetchedBytes, 0);
    onProgress({ stage: 'Fetching', done, total: Math.max(total, done), unit: 'bytes' });
  }

  async close(): Promise<void> {
    for (const file of this.files.values()) {
      file.unmount();
      file.remote.release();
    }
    await this.client.close();
    await rm(this.folder, { recursive: true, force: true });
  }

  /** @returns whether anything was missing, which is here now */
  private async provide(): Promise<boolean> {
    const { missing } = this;
    this.missing = [];
    this.options.signal?.throwIfAborted();
    const queue = missing.values();
    const work = async (): Promise<void> => {
      for (const { fetch } of queue) await fetch();
    };
    await Promise.all(Array.from({ length: LIMITS.hubConnections }, work));
    return missing.length > 0;
  }

  private mount(path: string, listed: ListedFile): void {
    const file = new MountedFile(listed, this);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, `${listed.entry.address}\n`, { flag: 'wx' });
    this.files.set(resolve(path), file);
    file.unmount = mountFile(path, () => file.open());
  }

  private async list(text: string): Promise<Listing> {
    const address = parseAddress(text);
    const { env = process.env } = this.options.remote ?? {};
    if (address.kind === 'hf') return this.listHub(address, env);
    if (address.kind === 's3') return listBucket(this.client, s3AccessFromEnvironment(env), address);
    return listHttps(this.client, address.url);
  }

  private async listHub(address: HubAddress, env: NonNullable<RemoteFileOptions['env']>): Promise<Listing> {
    const access = hubAccessFromEnvironment(env);
    const repository = new HubRepository(this.client, access, address);
    const cached = new CachedRepository(access.cache, address);
    const here = cached.commit();
    const snapshot = access.offline ? null : await this.reached(() => repository.snapshot(), here);
    const commit = snapshot?.commit ?? here;
    if (commit === null) throw offline(address);
    const all = snapshot?.files ?? cached.files(commit);
    const { path } = address;
    const isFile = all.some((file) => file.path === path);
    const base = isFile ? path.slice(0, path.lastIndexOf('/') + 1) : path === '' ? '' : `${path}/`;
    const wanted = all.filter((file) => file.path.startsWith(base));
    if (wanted.length === 0) {
      throw new HpsError(
        'FILE_NOT_FOUND',
        `${path || 'a file'} of ${address.repo}: is not in the repository at this commit`,
        {
          hint: 'Check the path after the revision.',
          details: { repo: address.repo, commit },
        },
      );
    }
    if (this.caches && snapshot) await cached.note(commit);
    const files = await Promise.all(wanted.map((file) => this.listed(file, base, { repository, cached, commit })));
    return {
      label: repository.label(commit),
      root: base === '' ? address.repo.split('/')[1] : base.slice(base.lastIndexOf('/', base.length - 2) + 1, -1),
      target: isFile ? path.slice(base.length) : '',
      files,
    };
  }

  private async listed(
    file: HubFile,
    base: string,
    { repository, cached, commit }: { repository: HubRepository; cached: CachedRepository; commit: string },
  ): Promise<ListedFile> {
    const local = cached.find(commit, file.path) ?? undefined;
    const { byteLength, sha256, etag } = file.byteLength === null ? await repository.head(file.path, commit) : file;
    const known = { ...file, byteLength: byteLength!, sha256, etag };
    const entry = repository.entry(known, commit);
    const cache =
      etag === null
        ? undefined
        : (onBytes: (bytes: number) => void) => cached.store({ ...known, etag }, commit, entry, onBytes);
    return { path: file.path.slice(base.length), entry, ...(local ? { local } : {}), ...(cache ? { cache } : {}) };
  }

  /** What the Hub says, or null where it cannot be reached and the cache has a commit to go on with. */
  private async reached<T>(ask: () => Promise<T>, here: string | null): Promise<T | null> {
    try {
      return await ask();
    } catch (error) {
      const unreachable = error instanceof HpsError && error.details.unreachable === true;
      if (!unreachable || here === null) throw error;
      this.options.onWarning?.(`The Hub cannot be reached: the commit ${here} of the cache is read.`);
      return null;
    }
  }

  /** Warnings once, though the work begins anew; bytes written are not counted beside those fetched. */
  private following(run: Run): Run {
    const { onProgress, onWarning } = runOf(run);
    return {
      ...(onProgress && { onProgress: (progress: Progress) => progress.stage === 'Writing' || onProgress(progress) }),
      ...(onWarning && {
        onWarning: (warning: string) => {
          if (this.told.has(warning)) return;
          this.told.add(warning);
          onWarning(warning);
        },
      }),
    };
  }
}

/** One file: on its host, or in the cache of this machine. */
class MountedFile {
  readonly remote: RemoteFile;
  /** Ends that its path stands for it. */
  unmount: () => void = () => undefined;
  private local: string | undefined;
  private stored = 0;

  constructor(
    readonly listed: ListedFile,
    private readonly mounts: Mounts,
  ) {
    this.remote = new RemoteFile(listed.entry, mounts);
    this.local = listed.local;
  }

  get sha256(): string | null {
    return this.listed.entry.sha256;
  }

  get used(): boolean {
    return this.remote.used;
  }

  get fetchedBytes(): number {
    return this.remote.fetchedBytes + this.stored;
  }

  /** Bytes that are to be fetched, as far as is known. */
  get wanted(): number {
    return this.remote.whole || this.stored > 0 ? this.listed.entry.byteLength : this.fetchedBytes;
  }

  open(): FileReader {
    this.remote.used = true;
    const stated = this.mounts.trusting ? this.sha256 : null;
    if (this.local !== undefined) return new CachedReader(this.local, this.listed.entry.name, this.sha256);
    if (this.mounts.caches && this.listed.cache) {
      this.mounts.missWhole(this);
      throw new MissingBytes(this.listed.entry.name);
    }
    const { remote } = this;
    if (stated === null) return remote;
    return {
      byteLength: remote.byteLength,
      isOnDisk: false,
      readSync: (offset, length) => remote.readSync(offset, length),
      readInto: (offset, target) => remote.readInto(offset, target),
      isUnchanged: () => true,
      close: () => undefined,
      sha256: async () => stated,
    };
  }

  async provide(start: number, end: number): Promise<void> {
    // A small file is read whole sooner or later, by those who read it at all; but for weights, whose headers may be all that is wanted.
    const whole =
      this.listed.entry.byteLength <= LIMITS.hubSmallBytes &&
      !/\.(safetensors|bin|pt|pth|ckpt|onnx|npz|data)$/.test(this.listed.path);
    await this.remote.provide(whole ? 0 : start, whole ? this.listed.entry.byteLength : end);
  }

  /** All of it, compared with what its host says of it; from then on it is a file like any other. */
  async copyTo(path: string): Promise<void> {
    this.remote.used = true;
    if (this.local === undefined && this.mounts.caches && this.listed.cache) await this.store();
    if (this.local !== undefined) {
      await new CachedReader(this.local, this.listed.entry.name, this.sha256).sha256();
      await copyFile(this.local, path);
    } else {
      this.remote.expectWhole();
      const file = await open(path, 'w');
      try {
        const piece = new Uint8Array(Math.min(LIMITS.chunkBytes, this.remote.byteLength));
        for (let at = 0; at < this.remote.byteLength; at += piece.byteLength) {
          const target = piece.subarray(0, this.remote.byteLength - at);
          await this.remote.readInto(at, target);
          await file.writeFile(target);
        }
        await this.remote.sha256();
      } finally {
        await file.close();
      }
    }
    this.unmount();
  }

  async store(): Promise<void> {
    if (this.local !== undefined) return;
    this.local = await this.listed.cache!((bytes) => {
      this.stored += bytes;
      this.mounts.fetched();
    });
  }
}

/** A file of the cache, which is what its name there says, or is refused where it is hashed. */
class CachedReader implements FileReader {
  readonly byteLength: number;
  /** Its path stands for another one. */
  readonly isOnDisk = false;
  private readonly disk: DiskReader;

  constructor(
    private readonly path: string,
    private readonly name: string,
    private readonly stated: string | null,
  ) {
    this.disk = DiskReader.open(path);
    this.byteLength = this.disk.byteLength;
  }

  readSync(offset: number, length: number): Uint8Array {
    return this.disk.readSync(offset, length);
  }

  readInto(offset: number, target: Uint8Array): Promise<void> {
    return this.disk.readInto(offset, target);
  }

  isUnchanged(): boolean {
    return this.disk.isUnchanged();
  }

  async sha256(): Promise<string> {
    const { sha256 } = await hashFile(this.path);
    if (this.stated !== null && this.stated !== sha256) throw otherContent(this.name, this.stated, sha256);
    return sha256;
  }

  close(): void {
    this.disk.close();
  }
}

function offline({ repo }: HubAddress): HpsError {
  return new HpsError('REMOTE_FAILED', `${repo}: HF_HUB_OFFLINE is set, and the cache has nothing of this revision`, {
    hint: 'Take HF_HUB_OFFLINE away, or fetch it with `hubCache` first.',
    details: { repo },
  });
}
