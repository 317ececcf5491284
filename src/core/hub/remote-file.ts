import { createHash } from 'node:crypto';
import type { ByteRange, FileReader } from '../bytes/source.js';
import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import type { Kept, SegmentsOfFile } from './kept.js';

/** Bytes of a file on another machine: those asked for, or all where its host does not know ranges. */
export interface Fetched {
  readonly start: number;
  readonly bytes: Uint8Array;
}

/** A file on another machine, as a list of them tells of it. */
export interface RemoteEntry {
  /** What errors call it. */
  readonly name: string;
  /** For people and reports, pinned: `hf://org/name@commit/model.safetensors`. */
  readonly address: string;
  readonly byteLength: number;
  /** What its host says of its content; null where it says nothing. */
  readonly sha256: string | null;
  fetch(start: number, end: number): Promise<Fetched>;
}

/** Thrown by a read that cannot wait. The bytes are noted: once they are fetched, the work begins anew and finds them. */
export class MissingBytes extends Error {
  constructor(file: string) {
    super(`${file}: bytes are still on another machine`);
  }
}

/** What a file tells those who gather it. */
export interface RemoteHost {
  readonly kept: Kept;
  /** A read that could not wait: `start` to `end` are to be fetched. */
  miss(file: RemoteFile, start: number, end: number): void;
  fetched(bytes: number): void;
}

/**
 * A file on another machine that is read by ranges. Once it is expected to be read to its end, it is fetched in order, some windows
 * ahead, and hashed on the way: whoever reads it in about its own order costs each byte once.
 */
export class RemoteFile implements FileReader {
  readonly isOnDisk = false;
  /** Bytes that came over the network. */
  fetchedBytes = 0;
  /** Whether anything was read of it. */
  used = false;
  /** Whether it will be read to its end. */
  whole = false;
  private readonly here: SegmentsOfFile;
  private readonly hash = createHash('sha256');
  /** All before it has been hashed. */
  private frontier = 0;
  private digest: string | undefined;
  private readonly ahead = new Map<number, Promise<Fetched>>();
  private advancing: Promise<void> = Promise.resolve();

  constructor(
    readonly entry: RemoteEntry,
    private readonly host: RemoteHost,
  ) {
    this.here = host.kept.file();
  }

  get byteLength(): number {
    return this.entry.byteLength;
  }

  /** @throws MissingBytes where they are not here */
  readSync(offset: number, length: number): Uint8Array {
    this.used = true;
    const target = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const piece = this.here.at(offset + done, length - done);
      if (piece === null) {
        this.host.miss(this, offset + done, offset + length);
        throw new MissingBytes(this.entry.name);
      }
      target.set(piece, done);
      done += piece.byteLength;
    }
    return target;
  }

  /** @throws MissingBytes where some are not here: all of these are then fetched together */
  expect(ranges: readonly ByteRange[]): void {
    const missing = ranges.filter(({ offset, length }) => !this.has(offset, offset + length));
    if (missing.length === 0) return;
    for (const { offset, length } of missing) this.host.miss(this, offset, offset + length);
    throw new MissingBytes(this.entry.name);
  }

  async readInto(offset: number, target: Uint8Array): Promise<void> {
    this.used = true;
    const end = offset + target.byteLength;
    for (let at = offset; at < end; ) {
      const piece = this.here.at(at, end - at);
      if (piece !== null) {
        target.set(piece, at - offset);
        at += piece.byteLength;
      } else if (this.whole && at >= this.frontier) {
        await this.advance(at + 1);
      } else {
        await this.fetchRange(at, Math.min(end, this.here.next(at)), false);
      }
    }
  }

  /** Fetches what is missing of a range, for those who cannot wait. */
  async provide(start: number, end: number): Promise<void> {
    for (let at = start; at < end; ) {
      const piece = this.here.at(at, end - at);
      if (piece !== null) at += piece.byteLength;
      else await this.fetchRange(at, Math.min(end, this.here.next(at), at + LIMITS.hubWindowBytes), true);
    }
  }

  expectWhole(): void {
    this.used = true;
    this.whole = true;
  }

  /**
   * Fetches what has not come yet.
   * @throws HpsError CHECKSUM_MISMATCH where the content is not what its host says of it
   */
  async sha256(): Promise<string> {
    this.expectWhole();
    await this.advance(this.byteLength);
    this.digest ??= this.hash.digest('hex');
    const { sha256, name } = this.entry;
    if (sha256 !== null && this.digest !== sha256) throw otherContent(name, sha256, this.digest);
    return this.digest;
  }

  /** The file of an address that is pinned does not change: what changes is refused while it is fetched. */
  isUnchanged(): boolean {
    return true;
  }

  /** The host owns what is fetched: the file may be opened again. */
  close(): void {}

  /** What it holds in memory goes. */
  release(): void {
    this.here.clear();
    this.ahead.clear();
  }

  /** Hashes up to `position` at least, in the order of the file. One after the other, whoever asks. */
  private advance(position: number): Promise<void> {
    const next = this.advancing.then(() => this.advanceTo(position));
    this.advancing = next.catch(() => undefined);
    return next;
  }

  private async advanceTo(position: number): Promise<void> {
    while (this.frontier < position) {
      const piece = this.here.at(this.frontier, this.byteLength) ?? (await this.window());
      this.hash.update(piece);
      this.frontier += piece.byteLength;
      if (piece.byteLength >= LIMITS.chunkBytes) await new Promise(setImmediate); // hashing a window takes milliseconds
    }
  }

  /** The window at the frontier, and with it those ahead on their way. */
  private async window(): Promise<Uint8Array> {
    const start = this.frontier;
    for (let at = start, i = 0; i <= LIMITS.hubWindowsAhead && at < this.byteLength; i++) {
      const end = this.windowEnd(at);
      if (!this.ahead.has(at)) {
        const coming = this.entry.fetch(at, end);
        coming.catch(() => undefined); // thrown to whoever comes to it
        this.ahead.set(at, coming);
      }
      at = end;
      while (at < this.byteLength) {
        const kept = this.here.at(at, this.byteLength);
        if (kept === null) break;
        at += kept.byteLength;
      }
    }
    const coming = this.ahead.get(start)!;
    this.ahead.delete(start);
    this.keep(await coming, false);
    const piece = this.here.at(start, this.byteLength);
    if (piece === null) throw new RangeError(`${this.entry.name}: byte ${start} was fetched and is not here`);
    return piece;
  }

  private windowEnd(at: number): number {
    const window = (Math.floor(at / LIMITS.hubWindowBytes) + 1) * LIMITS.hubWindowBytes;
    return Math.min(window, this.byteLength, this.here.next(at));
  }

  private has(start: number, end: number): boolean {
    let at = start;
    while (at < end) {
      const piece = this.here.at(at, end - at);
      if (piece === null) return false;
      at += piece.byteLength;
    }
    return true;
  }

  private async fetchRange(start: number, end: number, pinned: boolean): Promise<void> {
    this.keep(await this.entry.fetch(start, end), pinned);
  }

  private keep({ start, bytes }: Fetched, pinned: boolean): void {
    this.fetchedBytes += bytes.byteLength;
    this.host.fetched(bytes.byteLength);
    const end = start + bytes.byteLength;
    // A host without ranges sends what is here already.
    for (let at = start; at < end; ) {
      const piece = this.here.at(at, end - at);
      if (piece !== null) {
        at += piece.byteLength;
        continue;
      }
      const to = Math.min(end, this.here.next(at));
      this.here.add({ start: at, bytes: bytes.subarray(at - start, to - start) }, pinned);
      at = to;
    }
  }
}

export const otherContent = (name: string, stated: string, found: string): HpsError =>
  new HpsError(
    'CHECKSUM_MISMATCH',
    `${name}: its content is not what its host says: sha256 ${found}, stated ${stated}`,
    {
      hint: 'Run the command again; if it stays so, the copy on the other side is damaged or was tampered with.',
      details: { file: name, stated, found },
    },
  );
