import { HpsError } from '../errors.js';

/** Ustar, POSIX.1-1988: blocks of 512 bytes, a header before each file, two empty blocks at the end. */
export const TAR_BLOCK = 512;
const FIELDS = {
  name: [0, 100],
  mode: [100, 8],
  uid: [108, 8],
  gid: [116, 8],
  size: [124, 12],
  mtime: [136, 12],
  checksum: [148, 8],
  type: [156, 1],
  magic: [257, 8],
  prefix: [345, 155],
} as const satisfies Record<string, readonly [number, number]>;
const MAGIC = 'ustar\x0000';
/** Sizes are octal digits; a file of more has no place in this format. */
const LARGEST = 0o77777777777;

export interface TarEntry {
  /** With `/`. */
  readonly path: string;
  readonly mode: number;
  readonly size: number;
}

/**
 * The header of a regular file that belongs to nobody.
 * @param mtime - seconds since 1970
 * @throws HpsError OUTPUT_INVALID for a path or a size that the format has no place for
 */
export function tarHeader({ path, mode, size }: TarEntry, mtime: number): Uint8Array {
  const header = Buffer.alloc(TAR_BLOCK);
  const put = (field: keyof typeof FIELDS, text: string | Uint8Array): void => {
    Buffer.from(text as string).copy(header, FIELDS[field][0]);
  };
  const octal = (field: keyof typeof FIELDS, value: number): void =>
    put(field, `${value.toString(8).padStart(FIELDS[field][1] - 1, '0')}\0`);
  const [prefix, name] = splitPath(path);
  if (size > LARGEST) throw tooLarge(path, `has ${size} bytes, and at most ${LARGEST} fit`);
  put('name', name);
  put('prefix', prefix);
  octal('mode', mode);
  octal('uid', 0);
  octal('gid', 0);
  octal('size', size);
  octal('mtime', mtime);
  put('type', '0');
  put('magic', MAGIC);
  put('checksum', `${checksum(header).toString(8).padStart(6, '0')}\0 `);
  return header;
}

/** Zeros that fill up the last block of a file. */
export const tarPadding = (size: number): Uint8Array => new Uint8Array((TAR_BLOCK - (size % TAR_BLOCK)) % TAR_BLOCK);
export const TAR_END = new Uint8Array(2 * TAR_BLOCK);

/** What a header says; `type` is `0` for a file. Null for an empty block. */
export interface TarHeader extends TarEntry {
  readonly type: string;
}

/** @throws RangeError with the rule that is broken */
export function parseTarHeader(block: Uint8Array): TarHeader | null {
  if (block.every((byte) => byte === 0)) return null;
  const header = Buffer.from(block.buffer, block.byteOffset, TAR_BLOCK);
  const text = (field: keyof typeof FIELDS): string => {
    const [at, length] = FIELDS[field];
    const bytes = header.subarray(at, at + length);
    const end = bytes.indexOf(0);
    return bytes.subarray(0, end < 0 ? length : end).toString('utf8');
  };
  const octal = (field: keyof typeof FIELDS): number => {
    const digits = text(field).trim();
    if (!/^[0-7]{1,11}$/.test(digits)) throw new RangeError(`its ${field} is no octal number`);
    return Number.parseInt(digits, 8);
  };
  if (octal('checksum') !== checksum(header)) throw new RangeError('the checksum of a header is wrong');
  const prefix = text('magic').startsWith('ustar') ? text('prefix') : '';
  return {
    path: prefix === '' ? text('name') : `${prefix}/${text('name')}`,
    mode: octal('mode'),
    size: octal('size'),
    type: text('type') || '0',
  };
}

/** The sum of all bytes, with spaces in the place of the sum itself. */
function checksum(header: Uint8Array): number {
  const [at, length] = FIELDS.checksum;
  return header.reduce((sum, byte, i) => sum + (i >= at && i < at + length ? 0x20 : byte), 0);
}

function splitPath(path: string): [prefix: string, name: string] {
  const bytes = Buffer.from(path);
  const [nameBytes, prefixBytes] = [FIELDS.name[1], FIELDS.prefix[1]];
  if (bytes.length <= nameBytes) return ['', path];
  for (let i = path.indexOf('/'); i >= 0; i = path.indexOf('/', i + 1)) {
    const [prefix, name] = [path.slice(0, i), path.slice(i + 1)];
    if (Buffer.byteLength(prefix) <= prefixBytes && Buffer.byteLength(name) <= nameBytes) return [prefix, name];
  }
  throw tooLarge(path, `has ${bytes.length} bytes in its path, too many for an archive`);
}

const tooLarge = (path: string, rule: string): HpsError =>
  new HpsError('OUTPUT_INVALID', `${path}: ${rule}`, { hint: 'Give the file a shorter name, or split it.' });
