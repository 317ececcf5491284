import type { ContractInput, Preprocess } from '../../onnx/manifest.js';
import type { TensorValue } from '../../runtime/value.js';

/**
 * A prepared input of one item in as few bytes as hold it exactly: frames as the 8-bit values they were made from, sound as
 * the 16-bit samples where it had no more, token ids without their padding.
 */
export type Packed = Uint8Array | Int16Array | Uint32Array | Float32Array;

/** Full scale of 16-bit sound. */
const PCM_SCALE = 32768;

type Frames = Extract<Preprocess, { kind: 'image' | 'video' }>;

/** How one input of a model is packed, and put back into a batch. */
export interface Packer {
  readonly name: string;
  readonly kind: Preprocess['kind'];
  /** Undefined for an attention mask, which the token ids of the same item tell. */
  pack(value: TensorValue): Packed | undefined;
}

/** The packers of a model's inputs, masks left out. */
export function packersOf(inputs: readonly ContractInput[]): Packer[] {
  return inputs.map(({ name, preprocess }) => ({
    name,
    kind: preprocess.kind,
    pack: (value) => packValue(value, preprocess),
  }));
}

function packValue({ data }: TensorValue, preprocess: Preprocess): Packed | undefined {
  switch (preprocess.kind) {
    case 'text':
    case 'text-types':
      return Uint32Array.from(data as BigInt64Array, Number);
    case 'text-mask':
      return undefined;
    case 'image':
    case 'video':
      return packFrames(data as Float32Array, preprocess);
    case 'audio':
      return packSound(data as Float32Array);
    default:
      return (data as Float32Array).slice();
  }
}

/** The value of every 8-bit level in one channel, by the same arithmetic that prepares a frame. */
function levelsOf({ scale, mean, std }: Frames, channel: number): Float32Array {
  return Float32Array.from({ length: 256 }, (_, level) => (level * scale - mean[channel]) / std[channel]);
}

function packFrames(values: Float32Array, frames: Frames): Packed {
  const packed = new Uint8Array(values.length);
  const perChannel = values.length / 3;
  for (let channel = 0; channel < 3; channel++) {
    const levels = levelsOf(frames, channel);
    const slope = frames.scale / frames.std[channel];
    const offset = frames.mean[channel] / frames.std[channel];
    for (let i = channel * perChannel; i < (channel + 1) * perChannel; i++) {
      const level = Math.round((values[i] + offset) / slope);
      if (!(level >= 0 && level <= 255) || Math.abs(levels[level] - values[i]) > 1e-5) return values.slice();
      packed[i] = level;
    }
  }
  return packed;
}

function packSound(values: Float32Array): Packed {
  const packed = new Int16Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const sample = values[i] * PCM_SCALE;
    if (!Number.isInteger(sample) || sample < -PCM_SCALE || sample >= PCM_SCALE) return values.slice();
    packed[i] = sample;
  }
  return packed;
}

/** Writes packed inputs into the rows of a batch. */
export interface Unpacker {
  /** @param row - where the item goes: `target` holds whole rows of the batch's length */
  unpack(packed: Packed, target: Float32Array, row: number, rowLength: number): void;
}

export function unpackerOf(preprocess: Preprocess): Unpacker {
  if (preprocess.kind === 'image' || preprocess.kind === 'video') {
    const levels = [0, 1, 2].map((channel) => levelsOf(preprocess, channel));
    return {
      unpack(packed, target, row, rowLength) {
        if (packed instanceof Float32Array) return target.set(packed, row * rowLength);
        const perChannel = packed.length / 3;
        for (let channel = 0; channel < 3; channel++) {
          const table = levels[channel];
          const start = channel * perChannel;
          const to = row * rowLength;
          for (let i = start; i < start + perChannel; i++) target[to + i] = table[packed[i]];
        }
      },
    };
  }
  if (preprocess.kind === 'audio') {
    return {
      unpack(packed, target, row, rowLength) {
        const to = row * rowLength;
        const from = packed.length > rowLength ? Math.floor((packed.length - rowLength) / 2) : 0; // the middle of a longer recording
        const scale = packed instanceof Int16Array ? 1 / PCM_SCALE : 1;
        for (let i = 0; i < rowLength; i++) target[to + i] = packed[from + i] * scale;
      },
    };
  }
  return { unpack: (packed, target, row, rowLength) => target.set(packed, row * rowLength) };
}
