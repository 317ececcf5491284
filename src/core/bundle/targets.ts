import { HpsError } from '../errors.js';

/** A system that releases are made for. */
export interface Target {
  readonly id: TargetId;
  /** What people call it. */
  readonly label: string;
  /** File name of its archive; which kind it is, the name tells. */
  readonly archive: string;
  /** As Node and the native packages name it. */
  readonly platform: 'linux' | 'darwin' | 'win32';
  readonly arch: 'x64' | 'arm64';
  /** What the machine must bring, in words. */
  readonly needs: string;
}

export const TARGET_IDS = ['linux-x64', 'linux-arm64', 'macos-arm64', 'win-x64'] as const;
export type TargetId = (typeof TARGET_IDS)[number];

export const TARGETS: Readonly<Record<TargetId, Target>> = {
  'linux-x64': {
    id: 'linux-x64',
    label: 'Linux on x86-64',
    archive: 'hpsv3_release_linux_x86_64.tar.gz',
    platform: 'linux',
    arch: 'x64',
    needs:
      'glibc 2.28 or newer and libstdc++ (Debian 10, Ubuntu 20.04, RHEL 8 and later have both; Alpine has neither)',
  },
  'linux-arm64': {
    id: 'linux-arm64',
    label: 'Linux on ARM64',
    archive: 'hpsv3_release_linux_arm64.tar.gz',
    platform: 'linux',
    arch: 'arm64',
    needs:
      'glibc 2.28 or newer and libstdc++ (Debian 10, Ubuntu 20.04, RHEL 8 and later have both; Alpine has neither)',
  },
  'macos-arm64': {
    id: 'macos-arm64',
    label: 'macOS on Apple silicon',
    archive: 'hpsv3_release_macos_arm64.tar.gz',
    platform: 'darwin',
    arch: 'arm64',
    needs: 'macOS 14 or newer',
  },
  'win-x64': {
    id: 'win-x64',
    label: 'Windows on x86-64',
    archive: 'hpsv3_release_win64.zip',
    platform: 'win32',
    arch: 'x64',
    needs: 'Windows 10 of version 1903 or newer, and the Microsoft Visual C++ Redistributable 2019 or newer (x64)',
  },
};

/** Other names by which people ask for a target. */
const ALIASES: Readonly<Record<string, TargetId>> = {
  'linux-x86_64': 'linux-x64',
  'linux-aarch64': 'linux-arm64',
  'darwin-arm64': 'macos-arm64',
  'win32-x64': 'win-x64',
  win64: 'win-x64',
};

/** Systems that are asked for and cannot be had, each with its reason. */
const MISSING: Readonly<Record<string, string>> = {
  'darwin-x64': 'onnxruntime-node has no library for macOS on Intel processors',
  'macos-x64': 'onnxruntime-node has no library for macOS on Intel processors',
  'win-arm64': 'no package of the registry has Node for it in a supported version',
  'win32-arm64': 'no package of the registry has Node for it in a supported version',
  'linux-musl': 'onnxruntime-node has no library for musl',
};

/** @throws HpsError BACKEND_UNAVAILABLE for a system without native parts, USAGE for one that is not known */
export function targetOf(name: string): Target {
  const id = ALIASES[name] ?? TARGET_IDS.find((one) => one === name);
  if (id !== undefined) return TARGETS[id];
  const missing = Object.hasOwn(MISSING, name) ? MISSING[name] : undefined;
  const hint = `Targets are ${TARGET_IDS.join(', ')}.`;
  if (missing !== undefined) {
    throw new HpsError('BACKEND_UNAVAILABLE', `there is no release for ${name}: ${missing}`, {
      hint,
      details: { target: name },
    });
  }
  throw new HpsError('USAGE', `unknown target ${JSON.stringify(name)}`, { hint, details: { target: name } });
}

/** The targets of a list such as `linux-x64,win-x64`, each once, in the table's order. @throws HpsError as `targetOf` */
export function targetsOf(names: readonly string[]): Target[] {
  const asked = new Set(names.flatMap((list) => list.split(',')).map((name) => targetOf(name.trim()).id));
  return TARGET_IDS.filter((id) => asked.has(id)).map((id) => TARGETS[id]);
}
