import type { ContractInput } from '../onnx/manifest.js';
import { isTextual } from '../onnx/manifest-names.js';
import { holdsPatches } from '../onnx/patch-inputs.js';
import type { TensorValue } from '../runtime/value.js';
import type { Row } from './row.js';

/** Steps of padded lengths between a power of two and the next one, and the least of them, in tokens. */
const BUCKETS_PER_OCTAVE = 16;
const LEAST_STEP = 8;

/**
 * The padded length of a text: a function of its own length alone, so that no neighbour changes its score. The next multiple of 8, of
 * 16 beyond 256 tokens, of 32 beyond 512 and so on: a text costs little more than its own length would, and a model sees few shapes.
 */
export function tokenBucket(tokens: number, maxTokens: number): number {
  const step = Math.max(LEAST_STEP, 2 ** Math.ceil(Math.log2(tokens)) / 2 / BUCKETS_PER_OCTAVE);
  return Math.min(step * Math.ceil(tokens / step), Math.max(maxTokens, tokens));
}

/** The padded length of a text of the model with these inputs. */
export function widthsOf(contract: readonly ContractInput[]): (tokens: number) => number {
  const text = contract.find(({ preprocess }) => preprocess.kind === 'text');
  const maxTokens = text?.preprocess.kind === 'text' ? text.preprocess.maxTokens : 0;
  return (tokens) => tokenBucket(tokens, maxTokens);
}

/** A row's inputs with text padded to its bucket; the mask hides the padding. The rest is as it came. */
export function padText(inputs: Row, contract: readonly ContractInput[]): Map<string, TensorValue> {
  const padded = new Map(inputs);
  const text = contract.find(({ preprocess }) => preprocess.kind === 'text');
  if (text?.preprocess.kind !== 'text') return padded;
  const { pad, maxTokens } = text.preprocess;
  for (const { name, preprocess } of contract) {
    const value = inputs.get(name);
    if (value === undefined || !isTextual(preprocess.kind)) continue;
    const length = tokenBucket(value.shape[1], maxTokens);
    padded.set(name, padRow(value, length, preprocess.kind === 'text' ? pad : 0));
  }
  return padded;
}

function padRow(value: TensorValue, length: number, fill: number): TensorValue {
  const { data, dtype } = value;
  if (!(data instanceof BigInt64Array)) throw new RangeError(`token ids are I64, not ${dtype}`);
  if (data.length === length) return value;
  const longer = new BigInt64Array(length);
  longer.set(data);
  if (fill !== 0) longer.fill(BigInt(fill), data.length);
  return { dtype, shape: [1, length], data: longer };
}

/** How many rows the encoder takes at a time. */
export interface EncoderRows {
  /** Rows of the largest batch. */
  readonly most: number;
  /** As `ScoringModel.busyPositions`. */
  readonly busyPositions: number | null;
}

/** Numbers of a picture that count as much as a token: those of a patch of 32 x 32 in three colours, the largest that is common. */
const PICTURE_POSITION = 32 * 32 * 3;

/**
 * Rows of a batch on the encoder, by the shape of a row alone. `most`, unless
 * - recordings may have any length: only equal lengths can share a batch (there is no mask for sound), and filling a batch by repeats
 *   would cost a multiple of what it saves, so that each is a batch;
 * - fewer rows of this length keep the processor as busy. Then a batch that is filled up by repeats costs little, its activations stay
 *   in the caches, and less memory is needed.
 */
export function encoderRows(
  row: Row,
  contract: readonly ContractInput[],
  { most, busyPositions }: EncoderRows,
): number {
  if (contract.some(({ preprocess: p }) => p.kind === 'audio' && p.minSamples < p.maxSamples)) return 1;
  if (busyPositions === null) return most;
  let positions = 0;
  for (const { name, preprocess } of contract) {
    const shape = row.get(name)?.shape ?? [];
    if (preprocess.kind === 'text') positions += shape[1];
    else if (preprocess.kind === 'image' || holdsPatches(preprocess))
      positions += shape.reduce((a, b) => a * b, 1) / PICTURE_POSITION;
    else if (!isTextual(preprocess.kind) && preprocess.kind !== 'image-grid') return most;
  }
  return Math.min(most, Math.ceil(busyPositions / positions));
}
