import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { sha256Hex } from '../bytes/hash.js';
import { HpsError } from '../errors.js';
import type { BundleFile } from './archive.js';
import { hideExports, stripElf } from './elf.js';
import { isNative } from './natives.js';
import { type LockedPackage, ONNXRUNTIME, ONNXRUNTIME_FILES, tarballName } from './runtimes-lock.js';
import { parseTarHeader, TAR_BLOCK, tarPadding } from './tar.js';
import type { Target } from './targets.js';

/** A native part of a release. */
export interface NativePart {
  /** From the release's folder. */
  readonly path: string;
  readonly sha256: string;
  /** Name and version of the package it comes from. */
  readonly package: string;
  readonly version: string;
  readonly license: string;
  /** Hash of the file in the package, where it was made smaller. */
  readonly vendorSha256: string | null;
}

/** What a package of the registry brings into a release. */
export interface Runtime {
  readonly files: readonly BundleFile[];
  readonly natives: readonly NativePart[];
  /** Terms of use, for `LICENSES/`. */
  readonly licenses: readonly BundleFile[];
}

const EXECUTABLE = /(^|\/)node$/;
/** All that the libraries of a release take from Node. */
const isNodeApi = (name: string): boolean => /^(?:napi|node_api|uv)_/.test(name);

/**
 * The files of a package that a release needs, from the .tgz in a folder of runtimes.
 * @throws HpsError FILE_NOT_FOUND where it was not fetched; CHECKSUM_MISMATCH for other bytes than those of the lock
 */
export function openRuntime(folder: string, locked: LockedPackage): Runtime {
  const { name, version, license } = locked;
  const entries = readNpmTarball(readLocked(folder, locked));
  const take = (path: string): Uint8Array => {
    const bytes = entries.get(`package/${path}`);
    if (bytes === undefined) throw new RangeError(`${name}@${version} has no ${path}: the lock is wrong`);
    return bytes;
  };
  const natives: NativePart[] = [];
  const files = locked.files.map(([from, to]): BundleFile => {
    const path = `lib/${to}`;
    if (!isNative(from)) return { path, content: take(from) };
    const [bytes, part] = nativePart(path, take(from), { package: name, version, license });
    natives.push(part);
    return { path, content: bytes, executable: EXECUTABLE.test(from) };
  });
  const licenses = locked.licenses.map((path) => ({
    path: `LICENSES/${name.replace('@', '').replace('/', '-')}/${path}`,
    content: take(path),
  }));
  return { files, natives, licenses };
}

/**
 * The libraries of onnxruntime for a target, from the package that is installed with us.
 * @throws HpsError CHECKSUM_MISMATCH for other bytes than those of the lock
 */
export function onnxruntimeParts(packageFolder: string, target: Target): Pick<Runtime, 'files' | 'natives'> {
  const natives: NativePart[] = [];
  const files = ONNXRUNTIME_FILES[target.id].map(([from, sha256]): BundleFile => {
    const bytes = readFileSync(join(packageFolder, from));
    if (sha256Hex(bytes) !== sha256) throw otherBytes(`${ONNXRUNTIME.name}/${from}`);
    const path = `lib/app/node_modules/${ONNXRUNTIME.name}/${from}`;
    const { name, version, license } = ONNXRUNTIME;
    const [content, part] = nativePart(path, bytes, { package: name, version, license });
    natives.push(part);
    return { path, content };
  });
  return { files, natives };
}

function nativePart(
  path: string,
  bytes: Uint8Array,
  from: Pick<NativePart, 'package' | 'version' | 'license'>,
): [Uint8Array, NativePart] {
  const isProgram = EXECUTABLE.test(path);
  const stripped = stripElf(isProgram ? hideExports(bytes, isNodeApi) : bytes);
  const vendorSha256 = stripped === bytes ? null : sha256Hex(bytes);
  return [stripped, { path, sha256: sha256Hex(stripped), ...from, vendorSha256 }];
}

/** Whether a package lies in a folder of runtimes with the bytes that the lock states. */
export function hasLocked(folder: string, locked: LockedPackage): boolean {
  const path = join(folder, tarballName(locked));
  return existsSync(path) && integrityOf(readFileSync(path)) === locked.integrity;
}

function readLocked(folder: string, locked: LockedPackage): Uint8Array {
  const name = tarballName(locked);
  const path = join(folder, name);
  if (!existsSync(path)) {
    throw new HpsError('FILE_NOT_FOUND', `${name}: is not in the folder of runtimes`, {
      hint: 'Run `hpsv3 release fetch` with the same folder and targets: it downloads what releases are made of, once.',
      details: { file: name },
    });
  }
  const bytes = readFileSync(path);
  if (integrityOf(bytes) !== locked.integrity) throw otherBytes(name);
  return bytes;
}

/** As npm states it. */
export const integrityOf = (bytes: Uint8Array): string =>
  `sha512-${createHash('sha512').update(bytes).digest('base64')}`;

const otherBytes = (name: string): HpsError =>
  new HpsError('CHECKSUM_MISMATCH', `${name}: is not the file that this version of hpsv3 makes releases of`, {
    hint: 'Delete it and run `hpsv3 release fetch` again; a library of onnxruntime comes back with `npm ci`.',
    details: { file: name },
  });

/** The files of a .tgz of npm, whose hash is known: path to bytes. */
function readNpmTarball(bytes: Uint8Array): Map<string, Uint8Array> {
  const tar = gunzipSync(bytes);
  const entries = new Map<string, Uint8Array>();
  for (let at = 0; at + TAR_BLOCK <= tar.length; ) {
    const header = parseTarHeader(tar.subarray(at, at + TAR_BLOCK));
    if (header === null) break;
    at += TAR_BLOCK;
    if (header.type === '0') entries.set(header.path, tar.subarray(at, at + header.size));
    at += header.size + tarPadding(header.size).length;
  }
  return entries;
}
