import { open } from 'node:fs/promises';
import { basename } from 'node:path';
import { outputError } from '../bytes/output-error.js';

/** The calls on a file that grows, so that tests can let any of them fail. */
export interface AppendFile {
  write(bytes: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesWritten: number }>;
  datasync(): Promise<void>;
  truncate(length: number): Promise<void>;
  close(): Promise<void>;
}

interface Waiting {
  readonly lines: () => string;
  readonly undo: () => void;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * A file that lines are added to, each on disk before its `append` resolves. What comes while others are written waits and shares
 * the next write and the next fsync. A write that fails leaves nothing behind: the file ends where the last good one ended.
 */
export class AppendLog {
  private waiting: Waiting[] = [];
  private flushing: Promise<void> | undefined;
  /** Whether bytes may lie beyond `length`, of a write that failed. */
  private isTorn = false;

  constructor(
    private readonly file: AppendFile,
    /** What errors call it. */
    readonly name: string,
    /** Bytes that are on disk. */
    private length: number,
  ) {}

  /**
   * A file that is there.
   * @param length - its bytes that count: what lies beyond is cut off with the first write
   */
  static async open(path: string, length: number): Promise<AppendLog> {
    try {
      const log = new AppendLog(await open(path, 'r+'), basename(path), length); // not in append mode: positions count
      log.isTorn = true; // what a killed writer has left
      return log;
    } catch (error) {
      throw outputError(basename(path), error);
    }
  }

  /**
   * @param lines - gives them once it is their turn, newlines included
   * @param undo - called where they were given and could not be written, the last first
   * @throws HpsError OUTPUT_WRITE_FAILED where the disk is full or fails: then nothing of it was kept
   */
  append(lines: () => string, undo: () => void = () => undefined): Promise<void> {
    const written = new Promise<void>((resolve, reject) => this.waiting.push({ lines, undo, resolve, reject }));
    this.flushing ??= this.flush();
    return written;
  }

  /** After what waits is written. */
  async close(): Promise<void> {
    await this.flushing;
    await this.file.close();
  }

  private async flush(): Promise<void> {
    await Promise.resolve(); // so that what is added in one turn is written together
    while (this.waiting.length > 0) {
      const taken = this.waiting;
      this.waiting = [];
      try {
        await this.write(Buffer.from(taken.map(({ lines }) => lines()).join('')));
        for (const { resolve } of taken) resolve();
      } catch (error) {
        this.isTorn = true;
        const failure = outputError(this.name, error);
        for (const { undo } of taken.toReversed()) undo();
        for (const { reject } of taken) reject(failure);
      }
      await Promise.resolve(); // whoever waited has its turn before the next are asked for their lines
    }
    this.flushing = undefined;
  }

  private async write(bytes: Buffer): Promise<void> {
    if (this.isTorn) {
      await this.file.truncate(this.length);
      this.isTorn = false;
    }
    let done = 0;
    while (done < bytes.length) {
      const { bytesWritten } = await this.file.write(bytes, done, bytes.length - done, this.length + done);
      done += bytesWritten;
    }
    await this.file.datasync();
    this.length += bytes.length;
  }
}
