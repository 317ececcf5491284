import {
  type BigIntStats,
  closeSync,
  constants,
  fstatSync,
  openSync,
  read as readCallback,
  readSync,
  statSync,
} from 'node:fs';
import { basename, resolve } from 'node:path';
import { promisify } from 'node:util';
import { HpsError, isTooManyFiles, systemErrorCode, TOO_MANY_FILES } from '../errors.js';

const readAsync = promisify(readCallback);

/** Random access to bytes that are not in memory: a file, or a part of one. Never reads more than it is asked for. */
export interface ByteSource {
  /** What errors call it: the file's base name, so that no path of the machine leaks into a report. */
  readonly name: string;
  readonly byteLength: number;
  /**
   * Exactly `length` bytes from `offset`, as a new array.
   * @throws RangeError if the range is not inside the source: callers check numbers from files first
   */
  readSync(offset: number, length: number): Uint8Array;
  /** Fills `target` from `offset`, without blocking the event loop. */
  readInto(offset: number, target: Uint8Array): Promise<void>;
  /** A view of part of this source; no bytes are read. */
  slice(offset: number, length: number, name?: string): ByteSource;
  close(): void;
  /** Many ranges that are going to be read one by one: a source that is slow to ask may get them together. */
  expect?(ranges: readonly ByteRange[]): void;
}

export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

function assertRange(source: ByteSource, offset: number, length: number): void {
  if (
    !Number.isSafeInteger(offset) ||
    !Number.isSafeInteger(length) ||
    offset < 0 ||
    length < 0 ||
    offset + length > source.byteLength
  ) {
    throw new RangeError(`${source.name}: bytes ${offset}+${length} are outside its ${source.byteLength} bytes`);
  }
}

class SourceSlice implements ByteSource {
  constructor(
    readonly parent: ByteSource,
    readonly start: number,
    readonly byteLength: number,
    readonly name: string,
  ) {}

  readSync(offset: number, length: number): Uint8Array {
    assertRange(this, offset, length);
    return this.parent.readSync(this.start + offset, length);
  }

  async readInto(offset: number, target: Uint8Array): Promise<void> {
    assertRange(this, offset, target.byteLength);
    await this.parent.readInto(this.start + offset, target);
  }

  slice(offset: number, length: number, name = this.name): ByteSource {
    assertRange(this, offset, length);
    return new SourceSlice(this.parent, this.start + offset, length, name);
  }

  /** The parent owns the file. */
  close(): void {}
}

/** Bytes already in memory. */
export class MemorySource implements ByteSource {
  constructor(
    private readonly bytes: Uint8Array,
    readonly name: string,
  ) {}

  get byteLength(): number {
    return this.bytes.byteLength;
  }

  readSync(offset: number, length: number): Uint8Array {
    assertRange(this, offset, length);
    return this.bytes.slice(offset, offset + length);
  }

  async readInto(offset: number, target: Uint8Array): Promise<void> {
    assertRange(this, offset, target.byteLength);
    target.set(this.bytes.subarray(offset, offset + target.byteLength));
  }

  slice(offset: number, length: number, name = this.name): ByteSource {
    assertRange(this, offset, length);
    return new SourceSlice(this, offset, length, name);
  }

  close(): void {}
}

/** How the bytes of an opened file are got at. */
export interface FileReader {
  readonly byteLength: number;
  /** Whether the bytes lie in the file of that path, so that others can open it too. */
  readonly isOnDisk: boolean;
  readSync(offset: number, length: number): Uint8Array;
  readInto(offset: number, target: Uint8Array): Promise<void>;
  isUnchanged(): boolean;
  close(): void;
  /** Hash of all bytes, where the reader has a way of its own; see `hashFile`. */
  sha256?(): Promise<string>;
  /** The file will be read to its end and hashed: whoever fetches it may do so in order. */
  expectWhole?(): void;
  expect?(ranges: readonly ByteRange[]): void;
}

/** Files whose bytes lie elsewhere, by the absolute path that stands for them. */
const mounted = new Map<string, () => FileReader>();

/**
 * Lets a path stand for bytes that lie elsewhere: all that is opened with `FileSource.open` reads those.
 * @returns what ends it
 */
export function mountFile(path: string, open: () => FileReader): () => void {
  const key = resolve(path);
  mounted.set(key, open);
  return () => void mounted.delete(key);
}

/** Whether a path stands for bytes that lie elsewhere. */
export const isMounted = (path: string): boolean => mounted.size > 0 && mounted.has(resolve(path));

/** A regular file opened for reading. A file that shrinks meanwhile is an error, not a hang. */
export class FileSource implements ByteSource {
  readonly name: string;
  readonly byteLength: number;

  private constructor(
    readonly path: string,
    private readonly reader: FileReader,
  ) {
    this.name = basename(path);
    this.byteLength = reader.byteLength;
  }

  /** @throws HpsError FILE_NOT_FOUND, or FILE_UNREADABLE for a directory, device or forbidden file */
  static open(path: string): FileSource {
    const elsewhere = mounted.size > 0 ? mounted.get(resolve(path)) : undefined;
    return new FileSource(path, elsewhere ? elsewhere() : DiskReader.open(path));
  }

  get isOnDisk(): boolean {
    return this.reader.isOnDisk;
  }

  readSync(offset: number, length: number): Uint8Array {
    assertRange(this, offset, length);
    return this.reader.readSync(offset, length);
  }

  async readInto(offset: number, target: Uint8Array): Promise<void> {
    assertRange(this, offset, target.byteLength);
    await this.reader.readInto(offset, target);
  }

  slice(offset: number, length: number, name = this.name): ByteSource {
    assertRange(this, offset, length);
    return new SourceSlice(this, offset, length, name);
  }

  /** Whether the path still names the file that was opened, and nobody has written to it since: by device, inode, size and time. */
  isUnchanged(): boolean {
    return this.reader.isUnchanged();
  }

  /** The hash that the reader makes by itself; null where the file is to be read for it. */
  sha256(): Promise<string> | null {
    return this.reader.sha256?.() ?? null;
  }

  expectWhole(): void {
    this.reader.expectWhole?.();
  }

  expect(ranges: readonly ByteRange[]): void {
    this.reader.expect?.(ranges);
  }

  close(): void {
    this.reader.close();
  }
}

/** So little is read at once: to have another thread read it takes longer. */
const AT_ONCE_BYTES = 2 ** 16;

/** A regular file of a file system. */
export class DiskReader implements FileReader {
  readonly byteLength: number;
  readonly isOnDisk = true;

  private constructor(
    private readonly path: string,
    private readonly fd: number,
    private readonly opened: BigIntStats,
  ) {
    this.byteLength = Number(opened.size);
  }

  /** @throws HpsError as `FileSource.open` */
  static open(path: string): DiskReader {
    const name = basename(path);
    let fd: number;
    try {
      // Without O_NONBLOCK a pipe that nobody writes to would be waited for, and never be refused.
      fd = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    } catch (cause) {
      if (systemErrorCode(cause) === 'ENOENT') {
        throw new HpsError('FILE_NOT_FOUND', `${name}: no such file`, {
          hint: 'Check the path.',
          details: { file: name },
          cause,
        });
      }
      const system = systemErrorCode(cause);
      throw new HpsError('FILE_UNREADABLE', `${name}: cannot be opened (${system})`, {
        hint: isTooManyFiles(system) ? TOO_MANY_FILES : 'Check the permissions of the file and of its folder.',
        details: { file: name },
        cause,
      });
    }
    const stat = fstatSync(fd, { bigint: true });
    if (!stat.isFile()) {
      closeSync(fd);
      throw new HpsError('FILE_UNREADABLE', `${name}: not a regular file`, {
        hint: 'Give the path of a file.',
        details: { file: name },
      });
    }
    return new DiskReader(path, fd, stat);
  }

  readSync(offset: number, length: number): Uint8Array {
    const target = new Uint8Array(length);
    this.fill(offset, target);
    return target;
  }

  async readInto(offset: number, target: Uint8Array): Promise<void> {
    if (target.byteLength <= AT_ONCE_BYTES) return this.fill(offset, target);
    for (let done = 0; done < target.byteLength; ) {
      const { bytesRead } = await readAsync(this.fd, target, done, target.byteLength - done, offset + done);
      if (bytesRead === 0) throw this.truncated();
      done += bytesRead;
    }
  }

  isUnchanged(): boolean {
    const now = statSync(this.path, { bigint: true, throwIfNoEntry: false });
    const { dev, ino, size, mtimeNs } = this.opened;
    return now?.dev === dev && now.ino === ino && now.size === size && now.mtimeNs === mtimeNs;
  }

  close(): void {
    closeSync(this.fd);
  }

  private fill(offset: number, target: Uint8Array): void {
    for (let done = 0; done < target.byteLength; ) {
      const n = readSync(this.fd, target, done, target.byteLength - done, offset + done);
      if (n === 0) throw this.truncated();
      done += n;
    }
  }

  private truncated(): HpsError {
    const name = basename(this.path);
    return new HpsError('FILE_UNREADABLE', `${name}: became shorter while it was read`, {
      hint: 'Wait until the file is written completely, then try again.',
      details: { file: name },
    });
  }
}

/** Where in which file a source begins; null for what is in memory, or on another machine. */
export function fileRange(source: ByteSource): { readonly path: string; readonly offset: number } | null {
  let [inner, offset] = [source, 0];
  while (inner instanceof SourceSlice) [inner, offset] = [inner.parent, offset + inner.start];
  return inner instanceof FileSource && inner.isOnDisk ? { path: inner.path, offset } : null;
}

/** Buffers of sources that were read to their end, for the next ones: fresh pages cost as much as reading. */
const spareBuffers: Uint8Array<ArrayBuffer>[] = [];
/** Of two sources that are read side by side. */
const MOST_SPARES = 4;

function takeBuffer(byteLength: number): Uint8Array<ArrayBuffer> {
  const fitting = spareBuffers.findIndex((spare) => spare.byteLength >= byteLength);
  return fitting < 0 ? new Uint8Array(byteLength) : spareBuffers.splice(fitting, 1)[0];
}

/** Keeps the largest. */
function giveBuffers(buffers: readonly Uint8Array<ArrayBuffer>[]): void {
  spareBuffers.push(...buffers);
  spareBuffers.sort((a, b) => b.byteLength - a.byteLength).splice(MOST_SPARES);
}

/**
 * The whole source in pieces of at most `chunkBytes`, each read while the one before is used; a piece is valid until the next is asked
 * for, at the end too.
 */
export async function* readChunks(source: ByteSource, chunkBytes: number): AsyncGenerator<Uint8Array> {
  const { byteLength } = source;
  const most = Math.min(chunkBytes, byteLength);
  const buffers = Array.from({ length: byteLength > most ? 2 : 1 }, () => takeBuffer(most));
  const read = async (offset: number): Promise<Uint8Array> => {
    const piece = buffers[(offset / most) % buffers.length].subarray(0, Math.min(most, byteLength - offset));
    await source.readInto(offset, piece);
    return piece;
  };
  let reading = byteLength > 0 ? read(0) : undefined;
  try {
    for (let offset = 0; reading !== undefined; offset += most) {
      const piece = await reading;
      reading = offset + most < byteLength ? read(offset + most) : undefined;
      reading?.catch(() => undefined); // reported when it is waited for
      yield piece;
    }
  } finally {
    await reading?.catch(() => undefined); // of a source that is not read to its end, and may be closed now
  }
  giveBuffers(buffers);
}

/** The source until the signal is aborted: from then on reading throws the signal's reason. */
export function stoppable(source: ByteSource, signal: AbortSignal | undefined): ByteSource {
  if (signal === undefined) return source;
  return {
    name: source.name,
    byteLength: source.byteLength,
    readSync(offset, length) {
      signal.throwIfAborted();
      return source.readSync(offset, length);
    },
    async readInto(offset, target) {
      signal.throwIfAborted();
      await source.readInto(offset, target);
    },
    slice: (offset, length, name) => stoppable(source.slice(offset, length, name), signal),
    close: () => source.close(),
  };
}

/** Opens a file for as long as it is used. */
export async function withSource<T>(path: string, use: (source: FileSource) => Promise<T>): Promise<T> {
  const source = FileSource.open(path);
  try {
    return await use(source);
  } finally {
    source.close();
  }
}
