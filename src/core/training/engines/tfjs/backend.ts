import { HpsError, systemErrorCode } from '../../../errors.js';
import { type DeviceChoice, formatDevice } from '../../../runtime/device.js';
import type { Tf } from './operator.js';

/** One way to run TensorFlow.js. */
interface Variant {
  /** What reports call it. */
  readonly name: string;
  /** The first exports the operators; the others register the backend with it. */
  readonly packages: readonly string[];
  /** What Node needs besides. */
  readonly beside?: readonly string[];
  readonly backend: string;
}

const NODE_GPU: Variant = { name: 'tfjs-node-gpu', packages: ['@tensorflow/tfjs-node-gpu'], backend: 'tensorflow' };
const NODE: Variant = { name: 'tfjs-node', packages: ['@tensorflow/tfjs-node'], backend: 'tensorflow' };
const WEBGPU: Variant = {
  name: 'tfjs-webgpu',
  packages: ['@tensorflow/tfjs', '@tensorflow/tfjs-backend-webgpu'],
  beside: ['webgpu'],
  backend: 'webgpu',
};
const CPU: Variant = { name: 'tfjs-cpu', packages: ['@tensorflow/tfjs'], backend: 'cpu' };

/**
 * The variants to try for a device, best first. The wasm backend is none of them: it lacks the kernels behind the gradients of
 * convolutions and embeddings, and those it has for max pools and three-dimensional convolutions give wrong ones.
 */
const VARIANTS: Readonly<Record<DeviceChoice['kind'], readonly Variant[]>> = {
  auto: [NODE_GPU, NODE, WEBGPU, CPU],
  cuda: [NODE_GPU],
  webgpu: [WEBGPU],
  cpu: [NODE, CPU],
};

/** Imports a package by its name; a parameter so that tests can do without some. */
export type ImportPackage = (name: string) => Promise<unknown>;

/**
 * TensorFlow.js with the best backend installed for a device. It becomes the global backend of that package, and is silent.
 * @throws HpsError BACKEND_UNAVAILABLE, with what to install
 */
export async function loadTf(
  device: DeviceChoice,
  importPackage: ImportPackage = (name) => import(name),
): Promise<{ tf: Tf; name: string }> {
  if (device.kind === 'cuda' && device.index > 0) {
    throw unavailable(
      device,
      [],
      `Set CUDA_VISIBLE_DEVICES=${device.index} and use \`device\` cuda: TensorFlow.js takes the first.`,
    );
  }
  const reasons: string[] = [];
  for (const variant of VARIANTS[device.kind]) {
    const loaded = await tryVariant(variant, device, importPackage);
    if (typeof loaded !== 'string') return { tf: loaded, name: variant.name };
    reasons.push(loaded);
  }
  const advice = VARIANTS[device.kind].map(({ packages, beside }) => [...packages, ...(beside ?? [])].join(' '));
  throw unavailable(
    device,
    reasons,
    `Run npm install ${advice.join(', or npm install ')}; or use \`engine\` onnxruntime.`,
  );
}

/** TensorFlow.js on that backend, or why not. */
async function tryVariant(variant: Variant, device: DeviceChoice, importPackage: ImportPackage): Promise<Tf | string> {
  const modules: unknown[] = [];
  for (const name of variant.packages) {
    if (name === '@tensorflow/tfjs-backend-webgpu') await provideWebgpu(importPackage);
    try {
      modules.push(await importPackage(name));
    } catch (error) {
      const absent = systemErrorCode(error) === 'ERR_MODULE_NOT_FOUND' || systemErrorCode(error) === 'MODULE_NOT_FOUND';
      return `${name} ${absent ? 'is not installed' : 'does not load'}`;
    }
  }
  const tf = modules[0] as Tf;
  tf.enableProdMode(); // the cpu backend prints advice about other packages otherwise
  // Unknown backends and those without a device answer false.
  if (!tf.findBackendFactory(variant.backend) || !(await tf.setBackend(variant.backend))) {
    return `${variant.name} finds no device`;
  }
  const { isUsingGpuDevice } = tf.backend() as { isUsingGpuDevice?: boolean };
  if (device.kind === 'cuda' && isUsingGpuDevice === false) return `${variant.name} finds no GPU`;
  return tf;
}

/** Node has no `navigator.gpu`; the package `webgpu` (Dawn) gives it one where it is installed. */
async function provideWebgpu(importPackage: ImportPackage): Promise<void> {
  if ((globalThis as { navigator?: { gpu?: unknown } }).navigator?.gpu) return;
  try {
    const dawn = (await importPackage('webgpu')) as { create(flags: string[]): unknown; globals: object };
    Object.assign(globalThis, dawn.globals);
    const navigator = { userAgent: 'node', gpu: dawn.create([]) };
    Object.defineProperty(globalThis, 'navigator', { value: navigator, configurable: true });
  } catch {
    // Without it the backend finds no device, which is what is reported.
  }
}

function unavailable(device: DeviceChoice, reasons: readonly string[], hint: string): HpsError {
  const why = reasons.length > 0 ? `: ${reasons.join('; ')}` : '';
  return new HpsError('BACKEND_UNAVAILABLE', `TensorFlow.js cannot run on device ${formatDevice(device)}${why}`, {
    hint,
    details: { device: formatDevice(device), reasons },
  });
}
