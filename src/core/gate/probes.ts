import { createHash } from 'node:crypto';
import {
  DRAWN_PATCHES,
  drawAudio,
  drawEmbedding,
  drawFrames,
  drawGrid,
  drawMask,
  drawPatches,
  drawTokens,
  drawTypes,
  textLength,
} from '../architectures/draw.js';
import { Random } from '../bytes/random.js';
import { HpsError } from '../errors.js';
import type { Manifest, Preprocess } from '../onnx/manifest.js';
import { isTextual } from '../onnx/manifest-names.js';
import { holdsPatches } from '../onnx/patch-inputs.js';
import type { ValueInfo } from '../runtime/session.js';
import { castValue, concatRows, float32Value, type TensorValue } from '../runtime/value.js';
import { formatShape, numel } from '../tensor/shape.js';
import { bytesOf } from '../tensor/values.js';

/** Inputs of `rows` samples, each value with the samples along its first dimension (a scalar input is the same for all). */
export interface Probes {
  readonly rows: number;
  readonly feeds: ReadonlyMap<string, TensorValue>;
  /** Rows along the first dimension that each sample has, by input; one each where omitted. */
  readonly counts?: ReadonlyMap<string, readonly number[]>;
}

/** Rows that each sample has of inputs that hold patches, by the grids beside them; undefined where none does. */
export function patchCounts(manifest: Manifest | null, feeds: ReadonlyMap<string, TensorValue>): Probes['counts'] {
  const inputs = manifest?.inputs ?? [];
  const counts = inputs.flatMap(({ name, preprocess }): [string, number[]][] => {
    if (!holdsPatches(preprocess)) return [];
    const side = sideOf(name);
    const grid = inputs.find((input) => input.preprocess.kind === 'image-grid' && sideOf(input.name) === side);
    const value = grid && feeds.get(grid.name);
    if (!value) return [];
    const sizes = Array.from(value.data as ArrayLike<number | bigint>, Number);
    return [
      [name, Array.from({ length: value.shape[0] }, (_, i) => sizes[3 * i] * sizes[3 * i + 1] * sizes[3 * i + 2])],
    ];
  });
  return counts.length > 0 ? new Map(counts) : undefined;
}

const sideOf = (name: string): string => /^(left|right)_/.exec(name)?.[1] ?? '';

export interface ProbeOptions {
  readonly rows: number;
  readonly seed: string;
  /** Base name of the model, for messages. */
  readonly file: string;
}

/** Sizes given to dimensions that the contract leaves open. */
const TOKENS = 24;
const SIDE = 64; // a multiple of the usual strides
const FRAMES = 8;
const OPEN_DIMENSION = 16;
/** Ids every vocabulary has, where its size is not told. */
const SAFE_VOCABULARY = 100;
const SAMPLE_RATE = 16_000;

/**
 * Seeded inputs that look like what the model is made for: smooth images with texture, tones, texts of several lengths.
 * White noise would not do: it drives networks where all samples score alike, so that no decision is tested.
 * A row depends on the seed, the name of the input and the number of the row, and on nothing else.
 */
export function makeProbes(
  inputs: readonly ValueInfo[],
  manifest: Manifest | null,
  { rows, seed, file }: ProbeOptions,
): Probes {
  const feeds = new Map<string, TensorValue>();
  const open: OpenDimensions = new Map();
  const described = inputs.map((input) => ({ input, preprocess: preprocessOf(input, manifest) }));
  // Masks and types last: they take the length of the text they go with, by the symbol both have.
  for (const { input, preprocess } of described.sort((a, b) => isMask(a.preprocess) - isMask(b.preprocess))) {
    if (input.shape.length === 0) {
      feeds.set(input.name, scalarProbe(input, preprocess));
      continue;
    }
    const shape = closedShape(input.shape, preprocess, open);
    if (numel(shape) > MAX_PROBE_ELEMENTS) throw tooLarge(file, input, shape);
    const drawn = Array.from({ length: rows }, (_, row) => drawRow(preprocess, shape, { seed, name: input.name, row }));
    feeds.set(input.name, castValue(concatRows(drawn), input.dtype));
  }
  return { rows, feeds, counts: patchCounts(manifest, feeds) };
}

/** Sizes chosen for symbolic dimensions so far: one symbol, one size. */
type OpenDimensions = Map<string, number>;

const isMask = ({ kind }: Preprocess): number => Number(kind !== 'text' && isTextual(kind));

const preprocessOf = (input: ValueInfo, manifest: Manifest | null): Preprocess =>
  manifest?.inputs.find(({ name }) => name === input.name)?.preprocess ?? guess(input);

/** Elements of one row of one input: some 256 MiB of float32, and more than any sample of a preference model. */
const MAX_PROBE_ELEMENTS = 1 << 26;

function tooLarge(file: string, input: ValueInfo, shape: readonly number[]): HpsError {
  return new HpsError(
    'INPUTS_INVALID',
    `${file}: input ${input.name} of shape ${formatShape(shape)} is too large to make up`,
    {
      hint: 'Give inputs of your own: `inputs` FILE.safetensors.',
      details: { input: input.name, shape: [...shape] },
    },
  );
}

interface RowId {
  readonly seed: string;
  readonly name: string;
  readonly row: number;
}

function drawRow(preprocess: Preprocess, shape: readonly number[], { seed, name, row }: RowId): TensorValue {
  const random = new Random(`${seed}/${name}/${row}`);
  const count = numel(shape);
  switch (preprocess.kind) {
    case 'image':
    case 'video':
      if (preprocess.layout === 'patches') {
        const patches = drawPatches(random, preprocess);
        return float32Value([DRAWN_PATCHES, patches.length / DRAWN_PATCHES], patches);
      }
      return float32Value([1, ...shape], drawFrames(random, shape, preprocess));
    case 'image-grid':
      return { dtype: 'I64', shape: [1, 3], data: drawGrid() };
    case 'audio':
      return float32Value([1, ...shape], drawAudio(random, count, preprocess));
    case 'text':
      return {
        dtype: 'I64',
        shape: [1, ...shape],
        data: drawTokens(random, count, preprocess, lengthOf(name, seed, row, count)),
      };
    case 'text-mask':
      return { dtype: 'I64', shape: [1, ...shape], data: drawMask(count, lengthOf(name, seed, row, count)) };
    case 'text-types':
      return { dtype: 'I64', shape: [1, ...shape], data: drawTypes(count, lengthOf(name, seed, row, count)) };
    case 'embedding':
      return float32Value([1, ...shape], drawEmbedding(random, count, preprocess));
  }
}

/** The ids and the mask of one side (`left_…`, `right_…`, or neither) agree on the length of a row's text. */
function lengthOf(name: string, seed: string, row: number, tokens: number): number {
  return textLength(new Random(`${seed}/${sideOf(name)}/length/${row}`), tokens);
}

function scalarProbe({ dtype }: ValueInfo, preprocess: Preprocess): TensorValue {
  const value = preprocess.kind === 'audio' ? SAMPLE_RATE : 1;
  return castValue(float32Value([], Float32Array.of(value)), dtype);
}

/** The shape of one row: the model's without its first dimension, open dimensions closed. */
function closedShape(shape: ValueInfo['shape'], preprocess: Preprocess, open: OpenDimensions): number[] {
  return shape.slice(1).map((dim, axis) => {
    if (typeof dim === 'number') return dim;
    const size = open.get(dim) ?? openDimension(preprocess, axis, shape.length - 1);
    if (dim !== '') open.set(dim, size);
    return size;
  });
}

function openDimension(preprocess: Preprocess, axis: number, rank: number): number {
  switch (preprocess.kind) {
    case 'text':
      return Math.min(TOKENS, preprocess.maxTokens);
    case 'text-mask':
    case 'text-types':
      return TOKENS;
    case 'audio':
      return Math.max(preprocess.minSamples, Math.min(preprocess.maxSamples, preprocess.sampleRate));
    case 'image-grid':
      return 3;
    case 'image':
      return axis === 0 ? 3 : SIDE;
    case 'video':
      return axis === 0 ? 3 : axis < rank - 2 ? FRAMES : SIDE;
    case 'embedding':
      return OPEN_DIMENSION;
  }
}

/** Without a manifest, what an input holds is guessed from its dtype, rank and name. */
function guess({ name, dtype, shape }: ValueInfo): Preprocess {
  const whole = !['F64', 'F32', 'F16', 'BF16'].includes(dtype);
  if (dtype === 'BOOL' || (whole && /mask/i.test(name))) return { kind: 'text-mask' };
  if (/wave|audio|sound|speech|samples|pcm|^sr$|sampl/i.test(name) && shape.length <= 2) return GUESSED_AUDIO;
  if (whole) return { ...GUESSED_TEXT, vocabSize: /type|segment/i.test(name) ? 1 : SAFE_VOCABULARY };
  if (shape.length === 4) return { kind: 'image', layout: 'NCHW', ...GUESSED_PIXELS };
  if (shape.length === 5)
    return { kind: 'video', layout: 'NCFHW', frames: FRAMES, sampling: 'even', size: SIDE, ...GUESSED_PIXELS };
  return { kind: 'embedding', encoder: null, normalize: 'none' };
}

const GUESSED_AUDIO: Preprocess = {
  kind: 'audio',
  sampleRate: SAMPLE_RATE,
  mono: true,
  minSamples: 1,
  maxSamples: SAMPLE_RATE,
  range: [-1, 1],
};
const GUESSED_TEXT = { kind: 'text', maxTokens: TOKENS, tokenizer: null, pad: 0, specialTokens: false } as const;
const GUESSED_PIXELS = {
  color: 'RGB' as const,
  resize: { kernel: 'bilinear' as const, antialias: true },
  crop: null,
  scale: 1 / 255,
  mean: [0.5, 0.5, 0.5] as [number, number, number],
  std: [0.25, 0.25, 0.25] as [number, number, number],
};

/** SHA-256 of the rows themselves: names, types, shapes and bytes, in the order of the names. */
export function probesSha256({ feeds }: Probes): string {
  const hash = createHash('sha256');
  for (const [name, { dtype, shape, data }] of [...feeds].sort(([a], [b]) => (a < b ? -1 : 1))) {
    hash.update(JSON.stringify([name, dtype, shape]));
    hash.update(bytesOf(data));
  }
  return hash.digest('hex');
}
