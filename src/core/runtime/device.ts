import { HpsError } from '../errors.js';

/** Where a session runs. `cuda` counts its devices from 0. */
export type Device = { readonly kind: 'cpu' | 'webgpu' } | { readonly kind: 'cuda'; readonly index: number };
/** What a user may ask for: a device, or whichever works. */
export type DeviceChoice = Device | { readonly kind: 'auto' };

export const CPU: Device = { kind: 'cpu' };
const CUDA_INDEX = /^cuda(?::(\d{1,2}))?$/;

/**
 * A device as users spell it: `cpu`, `webgpu`, `cuda`, `cuda:1` or `auto`.
 * @throws HpsError USAGE
 */
export function parseDevice(text: string): DeviceChoice {
  if (text === 'cpu' || text === 'webgpu' || text === 'auto') return { kind: text };
  const cuda = CUDA_INDEX.exec(text);
  if (cuda) return { kind: 'cuda', index: Number(cuda[1] ?? 0) };
  throw new HpsError('USAGE', `there is no device ${JSON.stringify(text)}`, {
    hint: 'Choose cpu, webgpu, cuda, cuda:1 (the second), or auto.',
    details: { device: text },
  });
}

export const formatDevice = (device: DeviceChoice): string =>
  device.kind === 'cuda' ? `cuda:${device.index}` : device.kind;

/**
 * The devices to try, in order. `auto` leaves WebGPU out: its adapter may be a software one, hundreds of times slower
 * than the processor itself.
 */
export const candidates = (choice: DeviceChoice): readonly Device[] =>
  choice.kind === 'auto' ? [{ kind: 'cuda', index: 0 }, CPU] : [choice];
