import { posix } from 'node:path';
import type { Binary } from './binary.js';
import { readElf } from './elf.js';
import { hasSignedPages, readMachO } from './mach-o.js';
import { readPe } from './pe.js';
import type { Target } from './targets.js';

const NATIVE = /(^|\/)node(\.exe)?$|\.(node|dll|exe|dylib|so)(\.[\d.]+)?$/;

/** Whether a file of a release is a program or a library of its system, by its name. */
export const isNative = (path: string): boolean => NATIVE.test(path);

interface System {
  readonly format: Binary['format'];
  /** Whether a library is part of the system, or of what `needs` of the target names. */
  isKnown(name: string): boolean;
  /** Where in the release a library may be found. */
  places(name: string, from: string, paths: readonly string[]): string[];
}

const GLIBC =
  /^(?:lib(?:c|m|dl|rt|pthread|resolv|util)\.so\.\d|libstdc\+\+\.so\.6|libgcc_s\.so\.1|ld-linux-(?:x86-64\.so\.2|aarch64\.so\.1))$/;

const MACOS = /^\/(?:usr\/lib\/[^/]+\.dylib|System\/Library\/Frameworks\/[\w.]+\.framework\/)/;

/** Of Windows 10; its runtime for C is those of the name api-ms-win-crt. */
const WINDOWS = new Set(
  [
    [
      'advapi32',
      'bcrypt',
      'bcryptprimitives',
      'crypt32',
      'dbghelp',
      'dnsapi',
      'gdi32',
      'iphlpapi',
      'kernel32',
      'ntdll',
    ],
    ['ole32', 'oleaut32', 'psapi', 'setupapi', 'shell32', 'shlwapi', 'user32', 'userenv', 'winmm', 'ws2_32'],
    ['d3d12', 'directml', 'dxgi'],
    ['msvcp140', 'msvcp140_1', 'msvcp140_atomic_wait', 'vcruntime140', 'vcruntime140_1'], // the redistributable
  ].flat(),
);

const within = (folder: string, name: string): string => posix.normalize(posix.join(folder, name));

const SYSTEMS: Readonly<Record<Target['platform'], System>> = {
  linux: {
    format: 'ELF',
    isKnown: (name) => GLIBC.test(name),
    places: (name, from, paths) =>
      paths.map((path) => within(path.replace(/\$(?:ORIGIN|\{ORIGIN\})/g, posix.dirname(from)), name)),
  },
  darwin: {
    format: 'Mach-O',
    isKnown: (name) => MACOS.test(name),
    places: (name, from, paths) => {
      const own = (path: string): string => path.replace('@loader_path', posix.dirname(from));
      return name.startsWith('@rpath/')
        ? paths.map((path) => within(own(path), name.slice('@rpath/'.length)))
        : [own(name)];
    },
  },
  win32: {
    format: 'PE',
    isKnown: (name) => WINDOWS.has(name.toLowerCase().replace(/\.dll$/, '')) || /^api-ms-win-[\w-]+\.dll$/i.test(name),
    /** Beside the library that asks; the program itself lends what libraries take from it. */
    places: (name, from) =>
      name.toLowerCase() === 'node.exe' ? ['lib/node.exe'] : [within(posix.dirname(from), name)],
  },
};

/**
 * What keeps a program or a library of a release from being loaded on its system: another format or processor, a library it is linked to
 * that is neither in the release nor part of the system, or, on macOS, pages that its signature is not of.
 *
 * @param files - paths of the whole release
 * @returns one sentence for each
 */
export function nativeFaults(path: string, bytes: Uint8Array, target: Target, files: ReadonlySet<string>): string[] {
  const system = SYSTEMS[target.platform];
  let binary: Binary | null;
  let isSigned: boolean;
  try {
    binary = readElf(bytes) ?? readMachO(bytes) ?? readPe(bytes);
    isSigned = binary?.format !== 'Mach-O' || hasSignedPages(bytes);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return [`${path}: is damaged (${error.message})`];
  }
  if (binary?.format !== system.format) return [`${path}: is no program or library for ${target.label}`];
  const { arch, imports, paths } = binary;
  const faults = arch === target.arch ? [] : [`${path}: is for another processor than that of ${target.label}`];
  if (!isSigned) faults.push(`${path}: its signature is not of its bytes, and macOS does not run it`);
  const missing = imports.filter(
    (name) => !system.isKnown(name) && !system.places(name, path, paths).some((place) => files.has(place)),
  );
  for (const name of missing)
    faults.push(`${path}: is linked to ${name}, which is neither in the release nor part of ${target.label}`);
  return faults;
}

/** What is wrong with a launcher: it is read by line, and each system ends lines in its own way. */
export function launcherFaults(path: string, text: string): string[] {
  if (path === 'run_hpsv3' && (!text.startsWith('#!/bin/sh\n') || text.includes('\r')))
    return [`${path}: is no shell script, or its lines end as on Windows`];
  if (path === 'run_hpsv3.bat' && /(?:^|[^\r])\n/.test(text)) return [`${path}: its lines do not end as on Windows`];
  return [];
}
