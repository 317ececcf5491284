import { createReadStream } from 'node:fs';
import { mkdir, open, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { crc32, createGunzip, createInflateRaw } from 'node:zlib';
import type { Chunks } from '../bytes/deflate.js';
import type { ByteSink } from '../bytes/sink.js';
import { type FileSource, readChunks, withSource } from '../bytes/source.js';
import { looksLikeZip, openZip, type ZipEntry } from '../bytes/zip.js';
import { quote } from '../bytes/zip-directory.js';
import { ZipWriter } from '../bytes/zip-writer.js';
import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import { GzipWriter, isOurGzip, type Packing } from './gzip.js';
import { parseTarHeader, TAR_BLOCK, TAR_END, tarHeader, tarPadding } from './tar.js';

/** A file of a release: where it goes, and its bytes, in memory or on the disk. */
export interface BundleFile {
  /** From the release's folder, with `/`. */
  readonly path: string;
  readonly content: Uint8Array | { readonly file: string };
  /** Whether it can be run. */
  readonly executable?: boolean;
  readonly packing?: Packing;
}

/** The one folder that every archive holds. */
export const BUNDLE_FOLDER = 'hpsv3_release';

export const fileMode = ({ executable = false }: Pick<BundleFile, 'executable'>): number =>
  executable ? 0o755 : 0o644;

export const sizeOf = async ({ content }: BundleFile): Promise<number> =>
  content instanceof Uint8Array ? content.byteLength : (await stat(content.file)).size;

/** The bytes of a file, in pieces. */
export const chunksOf = ({ content }: BundleFile): Chunks =>
  content instanceof Uint8Array ? [content] : createReadStream(content.file, { highWaterMark: LIMITS.chunkBytes });

/**
 * Writes files as .tar.gz: sorted by path, owned by nobody, of one time, modes 0644 or 0755.
 * @param mtime - seconds since 1970
 */
export async function writeTarGz(sink: ByteSink, files: readonly BundleFile[], mtime: number): Promise<void> {
  const gzip = new GzipWriter(sink);
  await gzip.start();
  for (const file of sorted(files)) {
    const size = await sizeOf(file);
    const header = tarHeader({ path: `${BUNDLE_FOLDER}/${file.path}`, mode: fileMode(file), size }, mtime);
    await gzip.add([header], 'deflate');
    await gzip.add(chunksOf(file), file.packing ?? 'deflate');
    await gzip.add([tarPadding(size)], 'deflate');
  }
  await gzip.add([TAR_END], 'deflate');
  await gzip.finish();
}

/** Writes files as .zip, in the same order; times and owners have no place in it. */
export async function writeZip(sink: ByteSink, files: readonly BundleFile[]): Promise<void> {
  const zip = new ZipWriter(sink, 1);
  for (const file of sorted(files)) {
    const deflate = file.packing !== 'store';
    await zip.add(`${BUNDLE_FOLDER}/${file.path}`, await sizeOf(file), chunksOf(file), { deflate });
  }
  await zip.finish();
}

const sorted = (files: readonly BundleFile[]): BundleFile[] =>
  [...files].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));

/** What came of an archive that was unpacked. */
export interface Unpacked {
  /** Paths in the archive, in its order. */
  readonly paths: readonly string[];
}

/**
 * Unpacks an archive that was written here into an empty folder. Every byte of it must be the one that would be written: names that
 * lead elsewhere, links, other owners, bytes between or behind entries are refused before anything is written for them.
 *
 * @throws HpsError ARCHIVE_UNSAFE for an entry that would leave the folder or is no file; ARCHIVE_CORRUPT for a damaged archive;
 *   USAGE for a file of another kind
 */
export async function unpack(path: string, folder: string): Promise<Unpacked> {
  return withSource(path, (source) => {
    const head = source.readSync(0, Math.min(16, source.byteLength));
    if (looksLikeZip(head)) return unpackZip(source, path, folder);
    if (head[0] === 0x1f && head[1] === 0x8b) return unpackTarGz(source, path, head, folder);
    throw new HpsError('USAGE', `${source.name}: neither a .tar.gz nor a .zip, nor a folder`, {
      hint: 'Give an archive that `hpsv3 release` wrote, or the folder it unpacks to.',
      details: { file: source.name },
    });
  });
}

async function unpackTarGz(source: FileSource, path: string, head: Uint8Array, folder: string): Promise<Unpacked> {
  const { name } = source;
  const paths: string[] = [];
  const blocks = new BlockReader(inflate(path, name));
  let mtime: number | null = null;
  for (;;) {
    const block = await blocks.take(TAR_BLOCK, name);
    const header = headerIn(block, name);
    if (header === null) break;
    if (header.type !== '0') throw unsafe(name, header.path, `is no file (type ${quote(header.type)})`);
    checkPath(name, header.path, paths);
    mtime ??= Number.parseInt(Buffer.from(block.subarray(136, 147)).toString(), 8);
    const expected = tarHeader(header, mtime);
    if (Buffer.compare(expected, block) !== 0 || ![0o644, 0o755].includes(header.mode)) {
      throw corrupt(name, `the header of ${quote(header.path)} is not as it is written`);
    }
    await save(join(folder, header.path), header.mode, blocks.stream(header.size, name));
    const padding = await blocks.take(tarPadding(header.size).length, name);
    if (padding.some((byte) => byte !== 0)) throw corrupt(name, `bytes are hidden behind ${quote(header.path)}`);
    paths.push(header.path);
  }
  const rest = await blocks.take(TAR_BLOCK, name);
  if (rest.some((byte) => byte !== 0) || !(await blocks.isAtEnd())) throw corrupt(name, 'bytes follow its last entry');
  if (!isOurGzip(head)) throw corrupt(name, 'its first bytes are not as they are written');
  checkGzipEnd(source);
  return { paths };
}

function headerIn(block: Uint8Array, name: string): ReturnType<typeof parseTarHeader> {
  try {
    return parseTarHeader(block);
  } catch (error) {
    if (error instanceof RangeError) throw corrupt(name, error.message);
    throw error;
  }
}

/** The last block is stored and empty, and behind it lie a checksum and a length alone. */
function checkGzipEnd(source: FileSource): void {
  const last = source.readSync(source.byteLength - 13, 5);
  if (Buffer.compare(last, Uint8Array.of(1, 0, 0, 0xff, 0xff)) !== 0) {
    throw corrupt(source.name, 'its last bytes are not as they are written');
  }
}

async function* inflate(path: string, name: string): AsyncGenerator<Uint8Array> {
  try {
    yield* createReadStream(path).pipe(createGunzip({ chunkSize: 2 ** 18 }));
  } catch (error) {
    throw corrupt(name, `cannot be unpacked (${(error as Error).message})`);
  }
}

async function unpackZip(source: FileSource, path: string, folder: string): Promise<Unpacked> {
  const entries = readDirectory(source);
  const paths: string[] = [];
  for (const entry of entries) {
    checkPath(source.name, entry.name, paths);
    paths.push(entry.name);
  }
  const replay = new Replay(source);
  const zip = new ZipWriter(replay, 1);
  for (const entry of entries) {
    await save(join(folder, entry.name), 0o644, inflated(source, path, entry));
    await zip.copy(entry, readChunks(source.slice(entry.offset, entry.compressedSize), LIMITS.chunkBytes));
  }
  await zip.finish();
  return { paths };
}

/** @throws HpsError ARCHIVE_UNSAFE or ARCHIVE_CORRUPT, by what the reader of checkpoints says */
function readDirectory(source: FileSource): ZipEntry[] {
  try {
    return [...openZip(source).values()];
  } catch (error) {
    if (!(error instanceof HpsError)) throw error;
    const code = error.message.includes('unsafe name') ? 'ARCHIVE_UNSAFE' : 'ARCHIVE_CORRUPT';
    throw new HpsError(code, error.message, { hint: GET_AGAIN, details: { file: source.name } });
  }
}

async function* inflated(source: FileSource, path: string, entry: ZipEntry): AsyncGenerator<Uint8Array> {
  const { offset, compressedSize } = entry;
  // Not by `readChunks`, whose pieces are overwritten while a stream still holds them.
  const raw = compressedSize > 0 ? createReadStream(path, { start: offset, end: offset + compressedSize - 1 }) : null;
  const chunks = (entry.method === 'stored' ? raw : raw?.pipe(createInflateRaw({ chunkSize: 2 ** 18 }))) ?? [];
  let [crc, size] = [0, 0];
  try {
    for await (const chunk of chunks) {
      crc = crc32(chunk, crc);
      size += chunk.byteLength;
      if (size > entry.size) break;
      yield chunk;
    }
  } catch (error) {
    throw corrupt(source.name, `${quote(entry.name)} cannot be unpacked (${(error as Error).message})`);
  }
  if (size !== entry.size || crc !== entry.crc32) {
    throw corrupt(source.name, `${quote(entry.name)} is not what its checksum was taken of`);
  }
}

/** Compares what is written to it with a file, byte for byte. */
class Replay implements ByteSink {
  byteLength = 0;
  constructor(private readonly source: FileSource) {}

  async write(bytes: Uint8Array): Promise<void> {
    const { byteLength: at, source } = this;
    this.byteLength += bytes.byteLength;
    if (this.byteLength <= source.byteLength && Buffer.compare(source.readSync(at, bytes.byteLength), bytes) === 0)
      return;
    throw corrupt(source.name, `it is not as it is written, near byte ${at}`);
  }
}

/** @throws HpsError ARCHIVE_UNSAFE for a path out of the one folder, or twice */
function checkPath(file: string, path: string, before: readonly string[]): void {
  const segments = path.split('/');
  const plain = segments.every((segment) => segment !== '' && segment !== '.' && segment !== '..');
  if (!plain || /[\p{Cc}\\:\ufffd]/u.test(path))
    throw unsafe(file, path, 'leads out of the folder, or is no plain name');
  if (segments[0] !== BUNDLE_FOLDER || segments.length < 2) throw unsafe(file, path, `is not in ${BUNDLE_FOLDER}/`);
  const last = before.at(-1);
  if (last !== undefined && path <= last) throw unsafe(file, path, 'is there twice, or out of order');
}

async function save(path: string, mode: number, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const file = await open(path, 'wx', mode);
  try {
    for await (const chunk of chunks) await file.writeFile(chunk);
  } finally {
    await file.close();
  }
}

/** Takes a stream apart by lengths. */
class BlockReader {
  private readonly chunks: AsyncIterator<Uint8Array>;
  private held = Buffer.alloc(0);

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.chunks = chunks[Symbol.asyncIterator]();
  }

  async take(length: number, name: string): Promise<Uint8Array> {
    while (this.held.length < length) if (!(await this.more())) throw corrupt(name, 'it ends too early');
    const taken = this.held.subarray(0, length);
    this.held = this.held.subarray(length);
    return taken;
  }

  async *stream(length: number, name: string): AsyncGenerator<Uint8Array> {
    for (let left = length; left > 0; ) {
      if (this.held.length === 0 && !(await this.more())) throw corrupt(name, 'it ends too early');
      const piece = this.held.subarray(0, left);
      this.held = this.held.subarray(piece.length);
      left -= piece.length;
      yield piece;
    }
  }

  async isAtEnd(): Promise<boolean> {
    return this.held.length === 0 && !(await this.more());
  }

  private async more(): Promise<boolean> {
    const { done, value } = await this.chunks.next();
    if (done) return false;
    this.held = this.held.length === 0 ? Buffer.from(value) : Buffer.concat([this.held, value]);
    return true;
  }
}

const GET_AGAIN = 'Get the archive again from where it was published, and compare its checksum.';

const unsafe = (file: string, path: string, rule: string): HpsError =>
  new HpsError('ARCHIVE_UNSAFE', `${basename(file)}: the entry ${quote(path)} ${rule}`, {
    hint: 'Do not unpack it: a release holds plain files in one folder.',
    details: { file: basename(file), entry: quote(path) },
  });

const corrupt = (file: string, rule: string): HpsError =>
  new HpsError('ARCHIVE_CORRUPT', `${basename(file)}: ${rule}`, { hint: GET_AGAIN, details: { file: basename(file) } });
