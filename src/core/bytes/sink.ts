import { createHash, type Hash } from 'node:crypto';
import { LIMITS } from '../limits.js';
import type { OutputHandle } from './file-system.js';
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

/**
 * A file being written, hashed on the way. Two buffers take turns: while one is written and hashed the caller fills the other,
 * so reading, hashing and writing go on at once.
 */
export class FileSink implements ByteSink {
  byteLength = 0;
  private readonly hash: Hash = createHash('sha256');
  private filling = new Uint8Array(LIMITS.chunkBytes);
  private resting = new Uint8Array(LIMITS.chunkBytes);
  private filled = 0;
  private inFlight: Promise<unknown> = Promise.resolve();
  private open = true;
  private complete = false;
  /** Whether bytes came at places of their own, so that the hash waits until all are there. */
  private placed = false;

  /** @param name - what errors call the file */
  constructor(
    private readonly file: OutputHandle,
    readonly name: string,
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
      await this.inFlight;
      if (this.placed) await this.hashWritten();
      await this.file.sync();
      await this.close();
      this.complete = true;
    } catch (error) {
      await this.abandon();
      throw outputError(this.name, error);
    }
    return { name: this.name, byteLength: this.byteLength, sha256: this.hash.digest('hex') };
  }

  /** Closes the file without finishing it; does nothing once it is closed. */
  async abandon(): Promise<void> {
    await this.inFlight.catch(() => undefined);
    await this.close().catch(() => undefined);
  }

  private async close(): Promise<void> {
    if (!this.open) return;
    this.open = false;
    await this.file.close();
  }

  private async flush(): Promise<void> {
    try {
      await this.inFlight;
    } catch (error) {
      throw outputError(this.name, error);
    }
    const piece = this.filling.subarray(0, this.filled);
    this.inFlight = Promise.all([this.writeFully(piece), this.hashSoon(piece)]);
    this.inFlight.catch(() => undefined); // reported by the next flush or by finish
    [this.filling, this.resting] = [this.resting, this.filling];
    this.filled = 0;
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
    for (let at = 0; at < this.byteLength; ) {
      const { bytesRead } = await this.file.read(this.filling, 0, this.filling.byteLength, at);
      if (bytesRead === 0) throw new RangeError(`${this.name} became shorter while it was written`);
      this.hash.update(this.filling.subarray(0, bytesRead));
      at += bytesRead;
    }
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
