import type { ContractInput } from '../onnx/manifest.js';

/** Memory for inputs that wait for their batch. */
const WAITING_BYTES = 256 * 1024 * 1024;
/** Texts of several lengths fill several batches at a time. */
const MOST_BATCHES = 4;
/** One batch runs while the next one fills. */
const FEWEST_BATCHES = 2;

/** Rows that may be under way at once: enough to fill batches, and no more than the memory for them holds. */
export function windowRows(inputs: readonly ContractInput[], batchSize: number): number {
  const bytes = 2 * inputs.reduce((sum, input) => sum + largestInput(input), 0); // a pair has two items
  const batches = Math.floor(WAITING_BYTES / (bytes * batchSize));
  return batchSize * Math.min(MOST_BATCHES, Math.max(FEWEST_BATCHES, batches));
}

/** Bytes of the largest value that an input of one row may have. */
function largestInput({ shape, dtype, preprocess }: ContractInput): number {
  const free =
    preprocess.kind === 'text' ? preprocess.maxTokens : preprocess.kind === 'audio' ? preprocess.maxSamples : 1;
  const elements = shape.slice(1).reduce<number>((n, dim) => n * (typeof dim === 'number' ? dim : free), 1);
  return elements * (dtype.endsWith('64') ? 8 : 4);
}
