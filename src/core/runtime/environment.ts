import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { arch, availableParallelism, cpus, platform, release, totalmem, version } from 'node:os';
import { basename, join } from 'node:path';
import { count, positive } from '../documents/parts.js';
import * as z from '../zod.js';

/** What a result may depend on beside what it was computed from. Nothing tells whose machine it is: no host, user or path. */
export const environmentSchema = z.strictObject({
  os: z.strictObject({
    platform: z.string(),
    release: z.string().describe('Of the kernel'),
    version: z.string(),
    distribution: z.string().nullable().describe('Of Linux, by os-release'),
    arch: z.string(),
  }),
  cpu: z.strictObject({ model: z.string(), cores: positive.describe('That this process may use') }),
  memoryBytes: count,
  node: z.string(),
  packages: z.record(z.string(), z.string()).describe('Versions of those that compute'),
  gpu: z.strictObject({
    models: z.array(z.string()).describe('Of NVIDIA, as its driver lists them'),
    driver: z.string().nullable().describe('Version of the kernel driver of NVIDIA or AMD'),
    toolkit: z.string().nullable().describe('Version of CUDA that is installed'),
    libraries: z
      .array(z.string())
      .describe('Libraries of CUDA, cuDNN, ROCm and Vulkan that are loaded, whose names carry their versions'),
  }),
});

export type Environment = z.output<typeof environmentSchema>;

const require = createRequire(import.meta.url);

const PACKAGES = [
  'onnxruntime-node',
  'sharp',
  '@tensorflow/tfjs',
  '@tensorflow/tfjs-node',
  '@tensorflow/tfjs-node-gpu',
  '@tensorflow/tfjs-backend-webgpu',
];

const GPU_LIBRARY =
  /^lib(?:cuda|cudart|cudnn\w*|cublas\w*|cufft|curand|cusparse|nccl|nvrtc|amdhip64|MIOpen|vulkan\w*)\.so/;

/** @param root - of the file system: another one in tests */
export function describeEnvironment(root = '/'): Environment {
  const packages = PACKAGES.map((name) => [name, installedVersion(name)] as const);
  return {
    os: {
      platform: platform(),
      release: release(),
      version: version(),
      distribution: /^PRETTY_NAME="?([^"\n]*)/m.exec(read(root, 'etc/os-release'))?.[1] ?? null,
      arch: arch(),
    },
    cpu: { model: cpus()[0]?.model ?? 'unknown', cores: availableParallelism() },
    memoryBytes: totalmem(),
    node: process.versions.node,
    packages: Object.fromEntries(packages.flatMap(([name, found]) => (found === null ? [] : [[name, found]]))),
    gpu: {
      models: entries(root, 'proc/driver/nvidia/gpus').flatMap((gpu) => {
        const information = read(root, `proc/driver/nvidia/gpus/${gpu}/information`);
        return /^Model:\s*(.+?)\s*$/m.exec(information)?.[1] ?? [];
      }),
      driver:
        /\b\d{3,}\.\d+(?:\.\d+)?\b/.exec(read(root, 'proc/driver/nvidia/version'))?.[0] ??
        (read(root, 'sys/module/amdgpu/version').trim() || null),
      toolkit:
        /"cuda"\s*:\s*\{[^}]*"version"\s*:\s*"([^"]+)"/.exec(read(root, 'usr/local/cuda/version.json'))?.[1] ?? null,
      libraries: loadedGpuLibraries(read(root, 'proc/self/maps')),
    },
  };
}

/** By the files that are mapped into this process: the kernel names what a symbolic link points to. */
const loadedGpuLibraries = (maps: string): string[] =>
  [...new Set(maps.split('\n').map((line) => basename(line)))].filter((name) => GPU_LIBRARY.test(name)).sort();

/** Folders in which Node would look for a package, from the nearest; found without loading it. */
export const packageFolders = (name: string): string[] =>
  (require.resolve.paths(name) ?? []).map((folder) => join(folder, name));

/** The version of a package that is installed; null where it is not. */
export function installedVersion(name: string): string | null {
  for (const folder of packageFolders(name)) {
    const text = read(folder, 'package.json');
    if (text !== '') return (JSON.parse(text) as { version: string }).version;
  }
  return null;
}

/** Empty where it cannot be read: what a system does not say is left out. */
function read(root: string, path: string): string {
  try {
    return readFileSync(join(root, path), 'utf8');
  } catch {
    return '';
  }
}

function entries(root: string, path: string): string[] {
  try {
    return readdirSync(join(root, path)).sort();
  } catch {
    return [];
  }
}
