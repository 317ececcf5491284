import type { ContractInput } from '../onnx/manifest.js';
import { isTextual } from '../onnx/manifest-names.js';
import type { TensorValue } from '../runtime/value.js';
import type { Row } from './row.js';

/**
 * Token counts that texts are padded to. Between 16 and 1024 the next size is at most half as much again as the last: a text costs
 * little more than its own length would, and a model sees few shapes.
 */
const TOKEN_BUCKETS: readonly number[] = [
  8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 2048, 4096, 8192,
];

/** The padded length of a text: a function of its own length alone, so that no neighbour changes its score. */
export function tokenBucket(tokens: number, maxTokens: number): number {
  return Math.min(TOKEN_BUCKETS.find((bucket) => bucket >= tokens) ?? tokens, Math.max(maxTokens, tokens));
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

/**
 * Rows of a batch on the encoder: `batchSize`, and one where recordings may have any length: only equal lengths can share
 * a batch (there is no mask for sound), and filling a batch by repeats would cost a multiple of what it saves.
 */
export const encoderRows = (contract: readonly ContractInput[], batchSize: number): number =>
  contract.some(({ preprocess: p }) => p.kind === 'audio' && p.minSamples < p.maxSamples) ? 1 : batchSize;
