import { accessSync, constants, existsSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism, release, tmpdir, totalmem } from 'node:os';
import { delimiter, join, relative } from 'node:path';
import { HpsError } from '../../errors.js';
import { installedVersion, packageFolders } from '../../runtime/environment.js';
import { telemetryIsOff } from '../../runtime/telemetry.js';

/** What hpsv3 finds on this machine, and what to do about what it does not find. */
export interface Diagnosis {
  readonly hpsv3: string;
  readonly node: { readonly version: string; readonly required: string; readonly supported: boolean };
  readonly platform: {
    readonly os: string;
    readonly arch: string;
    readonly cores: number;
    readonly memoryBytes: number;
  };
  readonly packages: readonly PackageState[];
  readonly devices: readonly DeviceState[];
  readonly tools: readonly { readonly name: string; readonly found: boolean; readonly use: string }[];
  readonly temporaryFiles: 'writable' | 'not writable';
  readonly telemetry: 'off' | 'on';
  /** One sentence each, imperative; empty when nothing is missing. */
  readonly advice: readonly string[];
}

export interface PackageState {
  readonly name: string;
  readonly version: string | null;
  readonly optional: boolean;
  /** Whether it loads on this machine; null where that was not tried. */
  readonly loads: boolean | null;
  readonly use: string;
}

export interface DeviceState {
  readonly name: 'cpu' | 'webgpu' | 'cuda';
  readonly state: 'ready' | 'bundled' | 'missing';
  readonly note: string;
}

const require = createRequire(import.meta.url);
const RUNTIME = 'onnxruntime-node';
const OPTIONAL_PACKAGES = [
  { name: 'sharp', use: 'decoding images' },
  { name: '@tensorflow/tfjs', use: 'the training engine tfjs, slowly, in plain JavaScript' },
  { name: '@tensorflow/tfjs-node', use: 'the same on the processor by TensorFlow itself' },
  { name: '@tensorflow/tfjs-node-gpu', use: 'the same on CUDA' },
  { name: '@tensorflow/tfjs-backend-webgpu', use: 'the same on WebGPU' },
];
const CUDA_PROVIDER = 'libonnxruntime_providers_cuda.so';
const NVIDIA_DRIVER = '/proc/driver/nvidia/version';

/** Looks at this machine. What is missing is reported, never thrown; only onnxruntime is loaded, the rest is looked up. */
export async function diagnose(): Promise<Diagnosis> {
  const { version: hpsv3, engines } = require('../../../../package.json');
  const { loads, advice: runtimeAdvice } = await tryRuntime();
  const node = {
    version: process.versions.node,
    required: engines.node as string,
    supported: satisfies(process.versions.node, engines.node),
  };
  const devices = findDevices(loads);
  const ffmpeg = isOnPath('ffmpeg');
  const temporaryFiles = canWriteTemporary() ? 'writable' : 'not writable';
  const advice = [
    ...(node.supported ? [] : [`Install Node ${node.required}; this is ${node.version}.`]),
    ...runtimeAdvice,
    ...(existsSync(NVIDIA_DRIVER) && devices.some(({ name, state }) => name === 'cuda' && state === 'missing')
      ? [cudaAdvice()]
      : []),
    ...(ffmpeg ? [] : ['Install ffmpeg if you work with video.']),
    ...(temporaryFiles === 'writable' ? [] : ['Point TMPDIR at a folder that can be written.']),
  ];
  return {
    hpsv3,
    node,
    platform: {
      os: `${process.platform} ${release()}`,
      arch: process.arch,
      cores: availableParallelism(),
      memoryBytes: totalmem(),
    },
    packages: [
      { name: RUNTIME, version: installedVersion(RUNTIME), optional: false, loads, use: 'running models' },
      ...OPTIONAL_PACKAGES.map(({ name, use }) => ({
        name,
        version: installedVersion(name),
        optional: true,
        loads: null,
        use,
      })),
    ],
    devices,
    tools: [{ name: 'ffmpeg', found: ffmpeg, use: 'decoding video' }],
    temporaryFiles,
    telemetry: telemetryIsOff() ? 'off' : 'on',
    advice,
  };
}

async function tryRuntime(): Promise<{ loads: boolean; advice: string[] }> {
  try {
    const { loadRuntime } = await import('../../runtime/ort.js');
    await loadRuntime();
    return { loads: true, advice: [] };
  } catch (error) {
    if (!(error instanceof HpsError)) throw error;
    return {
      loads: false,
      advice: [`${RUNTIME} does not load: run npm ci again on this machine (${process.platform}-${process.arch}).`],
    };
  }
}

function findDevices(runtimeLoads: boolean): DeviceState[] {
  const cuda = runtimeLoads && packageFolders(RUNTIME).some((folder) => existsSync(providerPath(folder)));
  return [
    { name: 'cpu', state: runtimeLoads ? 'ready' : 'missing', note: 'every command' },
    {
      name: 'webgpu',
      state: runtimeLoads ? 'bundled' : 'missing',
      note: 'works where the machine has a GPU with Vulkan, Metal or Direct3D 12',
    },
    {
      name: 'cuda',
      state: cuda ? 'bundled' : 'missing',
      note: cuda ? 'needs CUDA 12 and cuDNN 9' : 'its files are not part of the npm package',
    },
  ];
}

/** The runtime's own installer, which does not run when hpsv3 is installed: its files come from a second host. */
function cudaAdvice(): string {
  const folder = packageFolders(RUNTIME).find((each) => existsSync(each)) ?? RUNTIME;
  const script = join(relative(process.cwd(), folder), 'script', 'install.js');
  return `For CUDA, run ONNXRUNTIME_NODE_INSTALL=cuda12 node ${script} where api.nuget.org can be reached.`;
}

const providerPath = (folder: string): string =>
  join(folder, 'bin', 'napi-v6', process.platform, process.arch, CUDA_PROVIDER);

function isOnPath(program: string): boolean {
  const suffix = process.platform === 'win32' ? '.exe' : '';
  return (process.env['PATH'] ?? '')
    .split(delimiter)
    .some((folder) => folder !== '' && isExecutable(join(folder, program + suffix)));
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function canWriteTemporary(): boolean {
  const path = join(tmpdir(), `hpsv3-doctor-${process.pid}`);
  try {
    writeFileSync(path, '', { flag: 'wx' });
    rmSync(path);
    return true;
  } catch {
    return false;
  }
}

/** Whether a version meets `>=major.minor`, the form our engines field has. */
function satisfies(version: string, range: string): boolean {
  const [major, minor] = version.split('.').map(Number);
  const [leastMajor, leastMinor] = range.replace('>=', '').split('.').map(Number);
  return major > leastMajor || (major === leastMajor && minor >= leastMinor);
}
