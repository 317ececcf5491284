import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { type FileHandle, open, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { withLockedFolder } from '../bytes/folder-lock.js';
import { outputError } from '../bytes/output-error.js';
import { LIMITS } from '../limits.js';
import { isPlainPath } from './address.js';
import { COMMIT, type HubAddress, type HubFile } from './list-hub.js';
import { otherContent, type RemoteEntry } from './remote-file.js';

/** One repository in the cache of huggingface_hub: `blobs/ETAG`, `snapshots/COMMIT/PATH` that link to them, `refs/REVISION`. */
export class CachedRepository {
  private readonly folder: string;
  private readonly locks: string;

  constructor(
    cache: string,
    private readonly address: Pick<HubAddress, 'repo' | 'type' | 'revision'>,
  ) {
    const name = [`${address.type}s`, ...address.repo.split('/')].join('--');
    this.folder = join(cache, name);
    this.locks = join(cache, '.locks', name);
  }

  /** Which commit the revision was when something of it was fetched lastly; null where nothing was. */
  commit(): string | null {
    const revision = this.address.revision ?? 'main';
    const known = COMMIT.test(revision) ? revision : this.ref(revision);
    return known !== null && existsSync(this.snapshot(known)) ? known : null;
  }

  /** The file of a commit, where it is here. */
  find(commit: string, path: string): string | null {
    const file = join(this.snapshot(commit), ...path.split('/'));
    return statSync(file, { throwIfNoEntry: false })?.isFile() ? file : null;
  }

  /** Files of a commit that are here. */
  files(commit: string): HubFile[] {
    const root = this.snapshot(commit);
    const paths = readdirSync(root, { recursive: true, encoding: 'utf8' }).map((path) => path.replaceAll('\\', '/'));
    return paths.flatMap((path) => {
      const file = isPlainPath(path) ? this.find(commit, path) : null;
      return file === null ? [] : [{ path, byteLength: statSync(file).size, sha256: sha256OfBlob(file), etag: null }];
    });
  }

  /** Notes which commit the revision is. */
  async note(commit: string): Promise<void> {
    const revision = this.address.revision ?? 'main';
    if (COMMIT.test(revision)) return;
    const file = join(this.folder, 'refs', ...revision.split('/'));
    mkdirSync(dirname(file), { recursive: true });
    await writeFile(file, commit);
  }

  /**
   * Fetches a file whole, goes on where an earlier attempt ended, and puts it in its place.
   * @throws HpsError CHECKSUM_MISMATCH; OUTPUT_WRITE_FAILED, OUTPUT_BUSY
   */
  async store(
    file: HubFile & { readonly etag: string },
    commit: string,
    entry: RemoteEntry,
    onBytes: (bytes: number) => void,
  ): Promise<string> {
    const link = join(this.snapshot(commit), ...file.path.split('/'));
    try {
      await withLockedFolder(this.locks, async () => {
        const blob = join(this.folder, 'blobs', file.etag);
        mkdirSync(dirname(blob), { recursive: true });
        mkdirSync(dirname(link), { recursive: true });
        if (statSync(blob, { throwIfNoEntry: false })?.size !== entry.byteLength)
          await fetchInto(blob, file, entry, onBytes);
        rmSync(link, { force: true });
        try {
          symlinkSync(relative(dirname(link), blob), link);
        } catch {
          copyFileSync(blob, link); // Windows lets not everybody make links; huggingface_hub does the same there
        }
      });
    } catch (error) {
      throw outputError(basename(file.path), error);
    }
    return link;
  }

  private ref(revision: string): string | null {
    const file = join(this.folder, 'refs', ...revision.split('/'));
    const text = existsSync(file) ? readFileSync(file, 'utf8').trim() : '';
    return COMMIT.test(text) ? text : null;
  }

  private snapshot(commit: string): string {
    return join(this.folder, 'snapshots', commit);
  }
}

/** A blob of a large file is named by its hash. */
export function sha256OfBlob(file: string): string | null {
  const name = basename(realpathSync(file));
  return /^[0-9a-f]{64}$/.test(name) ? name : null;
}

async function fetchInto(
  blob: string,
  file: HubFile,
  entry: RemoteEntry,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const partial = `${blob}.incomplete`;
  const handle = await open(partial, existsSync(partial) ? 'r+' : 'w+');
  try {
    // Git names a small file by the SHA-1 of its length and content.
    const isLarge = file.sha256 !== null;
    const hash = createHash(isLarge ? 'sha256' : 'sha1');
    if (!isLarge) hash.update(`blob ${entry.byteLength}\0`);
    let at = await hashed(handle, hash, entry.byteLength);
    while (at < entry.byteLength) {
      const { start, bytes } = await entry.fetch(at, Math.min(entry.byteLength, at + LIMITS.hubWindowBytes));
      const piece = bytes.subarray(at - start);
      await handle.write(piece, 0, piece.byteLength, at);
      hash.update(piece);
      at += piece.byteLength;
      onBytes(bytes.byteLength);
    }
    await handle.sync();
    const found = hash.digest('hex');
    if (file.etag !== null && found !== file.etag) {
      await handle.truncate(0); // the next attempt begins anew
      throw otherContent(entry.name, file.etag, found);
    }
  } finally {
    await handle.close();
  }
  renameSync(partial, blob);
}

/** Hashes what an earlier attempt left. @returns how much that is */
async function hashed(handle: FileHandle, hash: ReturnType<typeof createHash>, most: number): Promise<number> {
  const buffer = new Uint8Array(LIMITS.chunkBytes);
  for (let at = 0; ; ) {
    const { bytesRead } = await handle.read(buffer, 0, Math.min(buffer.byteLength, most - at), at);
    if (bytesRead === 0) return at;
    hash.update(buffer.subarray(0, bytesRead));
    at += bytesRead;
  }
}
