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

/** Full buffers that are still written or hashed while the next is filled: as much as comes at once of a matrix that is transposed. */
const MOST_IN_FLIGHT = 7;

/**
 * A file being written, hashed on the way. While some buffers are written and hashed the caller fills the next, so reading, hashing
 * and writing go on at once; of a long file in three threads.
 */
export class FileSink implements ByteSink {
  byteLength = 0;
  private readonly hash: Hash = createHash('sha256');
  /** Hashes in the place of `hash` once it is there. */
  private thread: HashThread | null = null;
  /** Bytes given to be written and hashed. */
  private flushed = 0;
  private filling = takeBuffer();
  private filled = 0;
  /** Buffers that may be filled again: the last one first, which a core's cache still has. */
  private readonly free: Uint8Array[] = [];
  /** One for each piece that is written and hashed, the first of them first. */
  private readonly inFlight: Promise<void>[] = [];
  /** Resolves when all that was flushed is written: one piece after the other. */
  private writing: Promise<void> = Promise.resolve();
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
      if (this.filled > 0) await this.flush();
      const [sha256] = await Promise.all([this.digest(), this.syncAll()]);
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
    await Promise.allSettled([...this.inFlight, this.syncing]);
    await this.close().catch(() => undefined);
  }

  private async close(): Promise<void> {
    if (!this.open) return;
    this.open = false;
    await Promise.all([this.file.close(), this.thread?.close()]);
  }

  private async flush(): Promise<void> {
    try {
      if (this.thread === null && Math.max(this.flushed, this.expectedBytes) >= THREAD_BYTES) await this.startThread();
      if (this.inFlight.length === MOST_IN_FLIGHT) await this.inFlight.shift();
    } catch (error) {
      throw outputError(this.name, error);
    }
    const buffer = this.filling;
    const piece = buffer.subarray(0, this.filled);
    this.writing = this.writing.then(() => this.writeFully(piece));
    const hashing = this.thread?.update(piece) ?? this.hashSoon(piece);
    const done = Promise.all([this.writing, hashing]).then(() => void this.free.push(buffer));
    done.catch(() => undefined); // reported by a later flush or by finish
    this.inFlight.push(done);
    this.flushed += piece.byteLength;
    this.syncAhead(piece.byteLength);
    this.filling = this.free.pop() ?? takeBuffer();
    this.filled = 0;
  }

  /** The hash of all bytes. */
  private async digest(): Promise<string> {
    if (this.thread) return this.thread.digest();
    await Promise.all(this.inFlight);
    if (this.placed) await this.hashBack(this.byteLength, (piece) => this.hash.update(piece));
    return this.hash.digest('hex');
  }

  private async syncAll(): Promise<void> {
    await Promise.all([this.writing, this.syncing]);
    await this.file.sync();
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

  /** What the file has so far, piece by piece. */
  private async hashBack(byteLength: number, hash: (piece: Uint8Array) => unknown): Promise<void> {
    const buffer = takeBuffer();
    for (let at = 0; at < byteLength; ) {
      const wanted = Math.min(buffer.byteLength, byteLength - at);
      const { bytesRead } = await this.file.read(buffer, 0, wanted, at);
      if (bytesRead === 0) throw new RangeError(`${this.name} became shorter while it was written`);
      await hash(buffer.subarray(0, bytesRead));
      at += bytesRead;
    }
  }

  /** From here on a thread hashes, what is written already once more. */
  private async startThread(): Promise<void> {
    await Promise.all(this.inFlight);
    const thread = new HashThread();
    this.thread = thread;
    await this.hashBack(this.flushed, (written) => thread.update(written));
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
