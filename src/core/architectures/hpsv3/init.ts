import type { JsonValue } from '../../bytes/json.js';
import { Random } from '../../bytes/random.js';
import { LIMITS } from '../../limits.js';
import { numel } from '../../tensor/shape.js';
import { type Tensor, tensorFromBytes } from '../../tensor/tensor.js';
import { bytesOf } from '../../tensor/values.js';
import { parseDimensions } from './dimensions.js';
import { type Init, type Parameter, parametersOf } from './parameters.js';

/** Standard deviation of positions and latents. */
const POSITION_STD = 0.5;
const OPEN_GATE = 0.5;
const SAMPLE_RATE = 16_000;

/**
 * Tensors of a new model, in the order of PyTorch's state dict, drawn as they are read: equal seeds give equal values,
 * and a tensor depends on the seed and its own name only.
 * @param config - the model section: sizes under the names of the PyTorch configuration
 * @throws HpsError CONFIG_INVALID
 */
export function initialTensors(config: Readonly<Record<string, JsonValue>>, seed: number): Tensor[] {
  const { dimensions, towers } = parseDimensions(config);
  return parametersOf(dimensions, [...towers, 'fusion', 'head']).map((parameter) =>
    initialTensor(parameter, seed, dimensions.n_fft),
  );
}

function initialTensor({ name, shape, init }: Parameter, seed: number, nFft: number): Tensor {
  if (init === 'counter') return tensorFromBytes({ name, dtype: 'I64', shape }, new Uint8Array(8));
  const table = TABLES[init];
  if (table) return tensorFromBytes({ name, dtype: 'F32', shape }, bytesOf(table(shape, nFft)));
  return {
    name,
    dtype: 'F32',
    shape,
    async *chunks() {
      const next = drawer(init, shape, new Random(`${seed}/${name}`));
      const total = numel(shape);
      const buffer = new Float32Array(Math.min(total, LIMITS.chunkBytes / 4));
      for (let done = 0; done < total; done += buffer.length) {
        const piece = buffer.subarray(0, Math.min(buffer.length, total - done));
        for (let i = 0; i < piece.length; i++) piece[i] = next();
        yield bytesOf(piece);
      }
    },
  };
}

function drawer(init: Init, shape: readonly number[], random: Random): () => number {
  const fanIn = numel(shape.slice(1));
  switch (init) {
    case 'fan-in':
      return () => random.normal() / Math.sqrt(fanIn);
    case 'position':
      return () => random.normal() * POSITION_STD;
    case 'gate':
      return () => OPEN_GATE;
    default:
      return () => (init === 'ones' ? 1 : 0);
  }
}

/** Fixed tables of the audio tower, computed in float64 and rounded once. */
const TABLES: Readonly<Partial<Record<Init, (shape: readonly number[], nFft: number) => Float32Array>>> = {
  'dft-cos': (shape, nFft) => dftKernel(shape, nFft, Math.cos),
  'dft-sin': (shape, nFft) => dftKernel(shape, nFft, (angle) => -Math.sin(angle)),
  mel: ([mels], nFft) => melFilters(mels, nFft),
  sinusoids: ([positions, width]) => sinusoids(positions, width, 1),
  'word-positions': ([positions, width]) => sinusoids(positions, width, Math.sqrt(2 / width)),
};

/** Hann-windowed real DFT as a convolution kernel [nFft / 2 + 1, 1, nFft]. */
function dftKernel([bins]: readonly number[], nFft: number, wave: (angle: number) => number): Float32Array {
  const kernel = new Float32Array(bins * nFft);
  for (let k = 0; k < bins; k++) {
    for (let n = 0; n < nFft; n++) {
      const window = 0.5 - 0.5 * Math.cos((2 * Math.PI * n) / nFft);
      kernel[k * nFft + n] = wave((2 * Math.PI * k * n) / nFft) * window;
    }
  }
  return kernel;
}

/** HTK mel triangles [mels, nFft / 2 + 1] from 0 Hz to half the sample rate, peak 1. */
function melFilters(mels: number, nFft: number): Float32Array {
  const top = 2595 * Math.log10(1 + SAMPLE_RATE / 2 / 700);
  const edges = Array.from({ length: mels + 2 }, (_, i) => 700 * (10 ** ((top * i) / (mels + 1) / 2595) - 1));
  const bins = Math.floor(nFft / 2) + 1;
  const filters = new Float32Array(mels * bins);
  for (let m = 0; m < mels; m++) {
    const [low, centre, high] = edges.slice(m, m + 3);
    for (let k = 0; k < bins; k++) {
      const frequency = (k * SAMPLE_RATE) / nFft;
      filters[m * bins + k] = Math.max(
        0,
        Math.min((frequency - low) / (centre - low), (high - frequency) / (high - centre)),
      );
    }
  }
  return filters;
}

/** Sinusoidal positions [positions, width]: sines in the first half of the axis, cosines in the second; a last odd column is 0. */
function sinusoids(positions: number, width: number, amplitude: number): Float32Array {
  const half = Math.floor(width / 2);
  const table = new Float32Array(positions * width);
  for (let position = 0; position < positions; position++) {
    for (let i = 0; i < half; i++) {
      const angle = position * Math.exp((-Math.log(10_000) * i) / half);
      table[position * width + i] = amplitude * Math.sin(angle);
      table[position * width + half + i] = amplitude * Math.cos(angle);
    }
  }
  return table;
}
