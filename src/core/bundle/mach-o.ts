import { createHash } from 'node:crypto';
import { type Binary, textAt, viewOf } from './binary.js';

const MAGIC_64 = 0xfeedfacf;
const HEADER_BYTES = 32;
const CPU_TYPE = 4;
const COMMANDS = 16;
const PROCESSORS: Readonly<Record<number, Binary['arch']>> = { 16777228: 'arm64', 16777223: 'x64' };
/** Load commands; those that every reader must know have the highest bit. */
const LC = { dylib: 0xc, weak: 0x80000018, reexport: 0x8000001f, rpath: 0x8000001c, signature: 0x1d } as const;
const LINKS: readonly number[] = [LC.dylib, LC.weak, LC.reexport];

interface LoadCommand {
  readonly type: number;
  readonly at: number;
}

const isMachO64 = (bytes: Uint8Array): boolean =>
  bytes.byteLength >= HEADER_BYTES && viewOf(bytes).getUint32(0, true) === MAGIC_64;

function commandsOf(view: DataView): LoadCommand[] {
  const commands: LoadCommand[] = [];
  let at = HEADER_BYTES;
  for (let i = 0; i < view.getUint32(COMMANDS, true); i++) {
    commands.push({ type: view.getUint32(at, true), at });
    const size = view.getUint32(at + 4, true);
    if (size < 8) throw new RangeError('a load command has no length');
    at += size;
  }
  return commands;
}

/**
 * What a 64-bit program or library of macOS is linked to; null for another file, and for one of several processors.
 * @throws RangeError for one that is damaged
 * @see mach-o/loader.h
 */
export function readMachO(bytes: Uint8Array): Binary | null {
  if (!isMachO64(bytes)) return null;
  const view = viewOf(bytes);
  const commands = commandsOf(view);
  const texts = (types: readonly number[]): string[] =>
    commands
      .filter(({ type }) => types.includes(type))
      .map(({ at }) => textAt(bytes, at + view.getUint32(at + 8, true)));
  return {
    format: 'Mach-O',
    arch: PROCESSORS[view.getUint32(CPU_TYPE, true)] ?? null,
    imports: texts(LINKS),
    paths: texts([LC.rpath]),
  };
}

/** Of code signing, in big-endian. */
const SUPER_BLOB = 0xfade0cc0;
const CODE_DIRECTORY = 0xfade0c02;
const LEAST_PAGE_BITS = 12;
const HASHES: Readonly<Record<number, string>> = { 1: 'sha1', 2: 'sha256' };

/**
 * Whether every page of a file of macOS has the hash that its signature states. Apple's processors run nothing else, signed by somebody or by
 * nobody ("ad hoc"); who signed it is not looked at.
 *
 * @throws RangeError for a signature that is damaged
 * @see xnu, osfmk/kern/cs_blobs.h
 */
export function hasSignedPages(bytes: Uint8Array): boolean {
  const view = viewOf(bytes);
  const command = commandsOf(view).find(({ type }) => type === LC.signature);
  if (command === undefined) return false;
  const start = view.getUint32(command.at + 8, true);
  if (view.getUint32(start) !== SUPER_BLOB) return false;
  const directories = Array.from(
    { length: view.getUint32(start + 8) },
    (_, i) => start + view.getUint32(start + 12 + 8 * i + 4),
  ).filter((at) => view.getUint32(at) === CODE_DIRECTORY);
  return directories.length > 0 && directories.every((at) => arePagesAsStated(bytes, view, at));
}

function arePagesAsStated(bytes: Uint8Array, view: DataView, at: number): boolean {
  const hashes = at + view.getUint32(at + 16);
  const pages = view.getUint32(at + 28);
  const end = view.getUint32(at + 32);
  const [size, kind, pageBits] = [bytes[at + 36], bytes[at + 37], bytes[at + 39]];
  const name = HASHES[kind];
  const pageBytes = 2 ** pageBits;
  if (name === undefined || pageBits < LEAST_PAGE_BITS || end > at || pages !== Math.ceil(end / pageBytes))
    return false;
  for (let i = 0; i < pages; i++) {
    const page = bytes.subarray(i * pageBytes, Math.min((i + 1) * pageBytes, end));
    const stated = bytes.subarray(hashes + i * size, hashes + (i + 1) * size);
    if (Buffer.compare(createHash(name).update(page).digest().subarray(0, size), stated) !== 0) return false;
  }
  return true;
}
