import { readFile, stat } from 'node:fs/promises';
import { LIMITS } from '../limits.js';
import { schemeOf } from '../media/remote/location.js';
import type { RemoteStore } from '../media/remote/store.js';
import { Turnstile } from '../media/turnstile.js';
import { isInline } from './inline-media.js';
import { resolvePath } from './resolve.js';

export interface ReadAheadOptions {
  /** As in `ResolveOptions`. */
  readonly mediaRoot?: string | null;
  readonly remote?: RemoteStore;
  /** Bytes of media, as they are on the disk, that are held at a time. */
  readonly bytes?: number;
}

/** A file that rows name: read, or being fetched. */
interface Held {
  users: number;
  /** Of a file of this machine; of a fetched one the store has it. */
  content?: Uint8Array;
  release?: () => void;
  bytes: number;
}

/** A row whose files are on their way. */
interface Ahead<T> {
  readonly row: T;
  readonly ready: Promise<unknown>;
}

/**
 * Reads the files that rows name before it is their turn, and keeps them in memory until they are scored: what is slow to answer,
 * such as a disk or an object store, is asked for many at a time. What cannot be read is left to whoever reads it in its turn, and
 * says why. It changes no score.
 */
export class ReadAhead {
  private readonly held = new Map<string, Held>();
  private readonly reads = new Turnstile(LIMITS.readsAhead);
  /** Held now; and of all files read so far. */
  private bytes = 0;
  private bytesRead = 0;
  private filesRead = 0;
  private reading = 0;
  private rowsOpen = 0;
  private bound: number;
  private wake: (() => void)[] = [];

  constructor(private readonly options: ReadAheadOptions) {
    this.bound = options.bytes ?? LIMITS.readAheadBytes;
    options.remote?.holdInMemory(this.bound);
  }

  /**
   * The rows in their order, each when its files are there.
   * @param namesOf - paths and addresses that a row names; call `done` with the row when it is over
   */
  async *rows<T>(source: AsyncIterable<T>, namesOf: (row: T) => readonly string[]): AsyncGenerator<T> {
    const queue: Ahead<T>[] = [];
    let isOver = false;
    let failure: { readonly error: unknown } | undefined;
    const isFull = (): boolean => queue.length > 0 && this.isFull;
    const pump = async (): Promise<void> => {
      try {
        for await (const row of source) {
          const names = namesOf(row);
          this.rowsOpen++;
          queue.push({ row, ready: Promise.all(names.map((name) => this.hold(name))) });
          this.tell();
          while (isFull() && !isOver) await this.change();
          if (isOver) return;
        }
      } catch (error) {
        failure = { error };
      }
      isOver = true;
      this.tell();
    };
    void pump();
    try {
      for (;;) {
        const next = queue.shift();
        if (next) {
          await next.ready;
          yield next.row;
        } else if (failure) throw failure.error;
        else if (isOver) return;
        else await this.change();
      }
    } finally {
      isOver = true;
      this.tell();
    }
  }

  /** Lets the files of a row go. */
  done(names: readonly string[]): void {
    this.rowsOpen--;
    for (const name of names) {
      const held = this.held.get(name);
      if (!held || --held.users > 0) continue;
      this.held.delete(name);
      held.release?.();
      this.bytes -= held.bytes;
    }
    this.tell();
  }

  /** What is in memory of a file of this machine. */
  contentOf(name: string): Uint8Array | undefined {
    return this.held.get(name)?.content;
  }

  /** What is being read is taken for as large as what was read so far; before anything was, there is room for all that is read at a time. */
  private get isFull(): boolean {
    const mean = this.filesRead > 0 ? this.bytesRead / this.filesRead : 0;
    const expected = this.bytes + mean * this.reading;
    return expected >= this.bound || this.reading >= LIMITS.readsAhead || this.rowsOpen >= LIMITS.rowsAhead;
  }

  /** Holds half as much from here on. */
  halve(): void {
    this.bound /= 2;
    this.options.remote?.holdInMemory(this.bound);
  }

  private async hold(name: string): Promise<void> {
    const known = this.held.get(name);
    if (known) {
      known.users++;
      return;
    }
    const held: Held = { users: 1, bytes: 0 };
    this.held.set(name, held);
    this.reading++;
    try {
      await this.reads.run(() => this.read(name, held));
    } catch {} // whoever reads it in its turn says why
    this.reading--;
    this.filesRead++;
    this.bytesRead += held.bytes;
    this.bytes += held.bytes;
    this.tell();
  }

  private async read(name: string, held: Held): Promise<void> {
    const { mediaRoot, remote } = this.options;
    if (isInline(name)) return;
    if (schemeOf(name) !== null) {
      const fetched = await remote?.fetch(name);
      held.release = fetched?.release;
      held.bytes = fetched?.byteLength ?? 0;
      return;
    }
    if (mediaRoot === null) return;
    const path = await resolvePath(name, mediaRoot);
    const { size } = await stat(path);
    if (size > this.bound / 4) return; // a film is read as a stream
    held.content = await readFile(path);
    held.bytes = size;
  }

  private tell(): void {
    const waiting = this.wake;
    this.wake = [];
    for (const each of waiting) each();
  }

  private change(): Promise<void> {
    return new Promise((resolve) => this.wake.push(resolve));
  }
}
