import type { Random } from '../bytes/random.js';
import type { Preprocess } from '../onnx/manifest.js';
import { patchesOf } from '../tensor/patches.js';
import { numel } from '../tensor/shape.js';
import { standardize } from '../tensor/standardize.js';

type Of<K extends Preprocess['kind']> = Extract<Preprocess, { kind: K }>;

/** Cosines in one picture. Their amplitude falls with frequency, as the spectra of photographs do. */
const WAVES = 6;
const MAX_CYCLES = 8;

interface Wave {
  readonly x: number;
  readonly y: number;
  readonly phase: number;
  /** Radians by which it moves from one frame to the next. */
  readonly motion: number;
  readonly amplitude: readonly number[];
}

/**
 * One picture [channels, height, width], or moving pictures [channels, frames, height, width], normalised as the
 * contract says: a base colour, low-frequency cosines in colour, and grain; contrast and grain differ from picture to picture.
 */
export function drawFrames(random: Random, shape: readonly number[], pixels: Of<'image'> | Of<'video'>): Float32Array {
  const [channels, ...rest] = shape;
  const [height, width] = rest.slice(-2);
  const frames = numel(rest.slice(0, -2));
  const contrast = random.uniform(0.1, 0.5);
  const grain = random.uniform(0, 0.06);
  const base = Array.from({ length: channels }, () => random.uniform(0.25, 0.75));
  const waves = Array.from({ length: WAVES }, () => drawWave(random, channels, contrast));
  const values = new Float32Array(numel(shape));
  const plane = height * width;
  for (let channel = 0; channel < channels; channel++) {
    const mean = pixels.mean[channel % 3];
    const std = pixels.std[channel % 3];
    for (let frame = 0; frame < frames; frame++) {
      const start = (channel * frames + frame) * plane;
      const picture = values.subarray(start, start + plane).fill(base[channel]);
      for (const wave of waves) addWave(picture, width, wave, { channel, frame });
      for (let i = 0; i < plane; i++) {
        const brightness = Math.min(1, Math.max(0, picture[i] + grain * (random.uniform() - 0.5)));
        picture[i] = (brightness * 255 * pixels.scale - mean) / std;
      }
    }
  }
  return values;
}

/** Adds amplitude * cos(x * column / width + y * row / height + phase), by the sum formula: no cosine a pixel. */
function addWave(
  picture: Float32Array,
  width: number,
  wave: Wave,
  { channel, frame }: { channel: number; frame: number },
): void {
  const height = picture.length / width;
  const cosX = Float64Array.from({ length: width }, (_, column) => Math.cos((wave.x * column) / width));
  const sinX = Float64Array.from({ length: width }, (_, column) => Math.sin((wave.x * column) / width));
  for (let row = 0; row < height; row++) {
    const angle = (wave.y * row) / height + wave.phase + wave.motion * frame;
    const cosY = wave.amplitude[channel] * Math.cos(angle);
    const sinY = wave.amplitude[channel] * Math.sin(angle);
    const start = row * width;
    for (let column = 0; column < width; column++) picture[start + column] += cosX[column] * cosY - sinX[column] * sinY;
  }
}

function drawWave(random: Random, channels: number, contrast: number): Wave {
  const x = 2 * Math.PI * random.uniform(-MAX_CYCLES, MAX_CYCLES);
  const y = 2 * Math.PI * random.uniform(-MAX_CYCLES, MAX_CYCLES);
  const strength = contrast / (1 + Math.hypot(x, y) / (2 * Math.PI));
  return {
    x,
    y,
    phase: random.uniform(0, 2 * Math.PI),
    motion: random.uniform(-0.5, 0.5),
    amplitude: Array.from({ length: channels }, () => strength * random.uniform(0.5, 1)),
  };
}

const TONES = 4;

/** Sound: a few decaying tones between 80 Hz and a quarter of the sample rate over quiet noise, within the contract's range. */
export function drawAudio(
  random: Random,
  samples: number,
  { sampleRate, range: [low, high], normalize }: Of<'audio'>,
): Float32Array {
  const noise = random.uniform(0.002, 0.05);
  const tones = Array.from({ length: TONES }, () => ({
    // Log-uniform, as pitch is heard.
    radians: (2 * Math.PI * 80 * (sampleRate / 320) ** random.uniform()) / sampleRate,
    amplitude: random.uniform(0.05, 0.2),
    decay: random.uniform(0, 3) / sampleRate,
    phase: random.uniform(0, 2 * Math.PI),
  }));
  const middle = (low + high) / 2;
  const half = (high - low) / 2;
  const drawn = Float32Array.from({ length: samples }, (_, t) => {
    let sound = noise * (2 * random.uniform() - 1);
    for (const { radians, amplitude, decay, phase } of tones)
      sound += amplitude * Math.exp(-decay * t) * Math.sin(radians * t + phase);
    return middle + half * Math.min(1, Math.max(-1, sound));
  });
  return normalize === 'standardize' ? standardize(drawn) : drawn;
}

/** Tokens of a text in a row of `tokens` places: at least a sixth, at most all. */
export function textLength(random: Random, tokens: number): number {
  return random.integer(Math.ceil(tokens / 6), tokens + 1);
}

/** Rows, columns and merged size of the picture that probes are drawn with. */
const GRID = { rows: 4, columns: 6 };
/** Patches of a picture that is drawn, as many in every row of a batch. */
export const DRAWN_PATCHES = GRID.rows * GRID.columns;

type Pictures = Of<'image'> | Of<'video'>;

/** Patches of one drawn picture, or of a clip that stands still, [patches, values]: the picture in a model's order. */
export function drawPatches(random: Random, pixels: Pictures): Float32Array {
  const { size, ...rest } = pixels.patch!;
  const [height, width] = [GRID.rows * size, GRID.columns * size];
  return patchesOf(drawFrames(random, [3, height, width], pixels), { width, height }, { size, ...rest }).data;
}

/** Frames, rows and columns of its patches. */
export const drawGrid = (): BigInt64Array => BigInt64Array.of(1n, BigInt(GRID.rows), BigInt(GRID.columns));

/**
 * Token ids, log-uniform over the vocabulary as word frequencies roughly are (Zipf), the end of the text if it has one, then padding;
 * for a text with a place for a picture, that of a drawn one first.
 */
export function drawTokens(
  random: Random,
  tokens: number,
  { vocabSize, pad, end, picture }: Of<'text'>,
  length: number,
): BigInt64Array {
  const ids = new BigInt64Array(tokens).fill(BigInt(pad));
  for (let i = 0; i < length; i++) ids[i] = BigInt(Math.floor((vocabSize + 1) ** random.uniform()) - 1);
  if (picture !== undefined) {
    const token = BigInt(picture.token);
    const places = Math.min(DRAWN_PATCHES / picture.patches, length - 1);
    for (let i = 0; i < length; i++) ids[i] = i < places ? token : ids[i] === token ? 0n : ids[i];
  }
  if (end !== undefined) ids[length - 1] = BigInt(end);
  return ids;
}

/** Token types of two texts in a row: 0, then 1 from the middle on, 0 in the padding. */
export function drawTypes(tokens: number, length: number): BigInt64Array {
  return new BigInt64Array(tokens).fill(1n, Math.ceil(length / 2), length);
}

export function drawMask(tokens: number, length: number): BigInt64Array {
  return new BigInt64Array(tokens).fill(1n, 0, length);
}

/** An embedding of standard normals, of length 1 where the contract says so. */
export function drawEmbedding(random: Random, size: number, { normalize }: Of<'embedding'>): Float32Array {
  const values = Float32Array.from({ length: size }, () => random.normal());
  if (normalize === 'none') return values;
  const norm = Math.hypot(...values);
  return values.map((value) => value / norm);
}
