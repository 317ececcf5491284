import { createHash, type Hash } from 'node:crypto';
import { LIMITS } from '../limits.js';
import type { OutputHandle } from './file-system.js';
import { HashThread } from './hash-thread.js';
import { outputError } from './output-error.js';

/** Where bytes go in order. */
export interface ByteSink {
  /** Bytes accepted so far. */
  readonly byteLength: number;
  /** Takes a copy: the caller may reuse `bytes` once this resolves. */
  write(bytes: Uint8Array): Promise<void>;
}

export interface WrittenFile {
  readonly name: string;
  readonly byteLength: number;
  /** Hexadecimal. */
  readonly sha256: string;
}

/** A file of this many bytes is hashed in a thread of its own: from there on, or from the start where its length is known. */
const THREAD_BYTES = 16 * LIMITS.chunkBytes;
/** So often the disk is told to begin with what it has not yet, so that little is left to wait for at the end. */
const SYNC_BYTES = 16 * LIMITS.chunkBytes;

/** Of memory that a thread can read as well. */
const takeBuffer = (): Uint8Array => new Uint8Array(new SharedArrayBuffer(LIMITS.chunkBytes));

/**
 * A file being written, hashed on the way. Two buffers take turns: while one is written and hashed the caller fills the other,
 * so reading, hashing and writing go on at once; of a long file in three threads.
 */
export class FileSink implements ByteSink {
  byteLength = 0;
  private readonly hash: Hash = createHash('sha256');
  /** Hashes in the place of `hash` once it is there. */
  private thread: HashThread | null = null;
  /** Bytes that were hashed. */
  private hashed = 0;
  private filling = takeBuffer();
  private resting = takeBuffer();
  private filled = 0;
  private inFlight: Promise<unknown> = Promise.resolve();
  private syncing: Promise<unknown> = Promise.resolve();
  private isSyncing = false;
  /** Bytes written since the disk was last told. */
  private unsynced = 0;
  private open = true;
  private complete = false;
  /** Whether bytes came at places of their own, so that the hash waits until all are there. */
  private placed = false;

  /**
   * @param file - can be read as well
   * @param name - what errors call it
   * @param expectedBytes - how long it becomes, as far as it is known
   */
  constructor(
    private readonly file: OutputHandle,
    readonly name: string,
    private readonly expectedBytes = 0,
  ) {}

  /** Whether all of it is on the disk. */
  get finished(): boolean {
    return this.complete;
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.byteLength; ) {
      const piece = bytes.subarray(at, at + this.filling.byteLength - this.filled);
      this.filling.set(piece, this.filled);
      this.filled += piece.byteLength;
      at += piece.byteLength;
      if (this.filled === this.filling.byteLength) await this.flush();
    }
    this.byteLength += bytes.byteLength;
  }

  /** Writes at a place of the file, in whatever order; what no one writes is zero. Not to be mixed with `write`. */
  async writeAt(position: number, bytes: Uint8Array): Promise<void> {
    this.placed = true;
    try {
      await this.writeFully(bytes, position);
    } catch (error) {
      throw outputError(this.name, error);
    }
    this.byteLength = Math.max(this.byteLength, position + bytes.byteLength);
  }

  /** Zeros up to the next multiple of `alignment`. */
  async align(alignment: number): Promise<void> {
    await this.write(new Uint8Array((alignment - (this.byteLength % alignment)) % alignment));
  }

  /** Writes what is left, waits until the disk has it, and closes the file. */
  async finish(): Promise<WrittenFile> {
    try {
      await this.flush();
      await Promise.all([this.inFlight, this.syncing]);
      if (this.placed) await this.hashWritten();
      await this.file.sync();
      const sha256 = this.thread ? await this.thread.digest() : this.hash.digest('hex');
      await this.close();
      this.complete = true;
      return { name: this.name, byteLength: this.byteLength, sha256 };
    } catch (error) {
      await this.abandon();
      throw outputError(this.name, error);
    }
  }

  /** Closes the file without finishing it; does nothing once it is closed. */
  async abandon(): Promise<void> {
    await Promise.allSettled([this.inFlight, this.syncing]);
    await this.close().catch(() => undefined);
  }

  private async close(): Promise<void> {
    if (!this.open) return;
    this.open = false;
    await Promise.all([this.file.close(), this.thread?.close()]);
  }

  private async flush(): Promise<void> {
    try {
      await this.inFlight;
    } catch (error) {
      throw outputError(this.name, error);
    }
    const piece = this.filling.subarray(0, this.filled);
    this.inFlight = Promise.all([this.writeFully(piece), this.hashPiece(piece)]);
    this.inFlight.catch(() => undefined); // reported by the next flush or by finish
    this.syncAhead(piece.byteLength);
    [this.filling, this.resting] = [this.resting, this.filling];
    this.filled = 0;
  }

  /** Lets the disk take what was written, while more is; a failure is reported by `finish`. */
  private syncAhead(byteLength: number): void {
    this.unsynced += byteLength;
    if (this.isSyncing || this.unsynced < SYNC_BYTES) return;
    this.unsynced = 0;
    this.isSyncing = true;
    const before = this.syncing;
    this.syncing = this.file.sync().then(() => {
      this.isSyncing = false;
      return before;
    });
    this.syncing.catch(() => undefined);
  }

  /** @param position - in the file; where the last write ended, if omitted */
  private async writeFully(piece: Uint8Array, position?: number): Promise<void> {
    for (let done = 0; done < piece.byteLength; ) {
      const at = position === undefined ? undefined : position + done;
      const { bytesWritten } = await this.file.write(piece, done, piece.byteLength - done, at);
      done += bytesWritten;
    }
  }

  private async hashWritten(): Promise<void> {
    await this.hashBack(this.filling, this.byteLength, (piece) => this.hash.update(piece));
  }

  /** What the file has so far, piece by piece. */
  private async hashBack(buffer: Uint8Array, byteLength: number, hash: (piece: Uint8Array) => unknown): Promise<void> {
    for (let at = 0; at < byteLength; ) {
      const wanted = Math.min(buffer.byteLength, byteLength - at);
      const { bytesRead } = await this.file.read(buffer, 0, wanted, at);
      if (bytesRead === 0) throw new RangeError(`${this.name} became shorter while it was written`);
      await hash(buffer.subarray(0, bytesRead));
      at += bytesRead;
    }
  }

  private async hashPiece(piece: Uint8Array): Promise<void> {
    if (this.thread === null && Math.max(this.hashed, this.expectedBytes) >= THREAD_BYTES) {
      const thread = new HashThread();
      this.thread = thread;
      if (this.hashed > 0) await this.hashBack(takeBuffer(), this.hashed, (written) => thread.update(written)); // once more
    }
    await (this.thread?.update(piece) ?? this.hashSoon(piece));
    this.hashed += piece.byteLength;
  }

  /** Hashes once the caller has had the chance to start its next read, which then runs beside the hashing. */
  private hashSoon(piece: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      setImmediate(() => {
        this.hash.update(piece);
        resolve();
      });
    });
  }
}
