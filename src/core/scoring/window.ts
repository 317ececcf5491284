import type { ContractInput } from '../onnx/manifest.js';

/** Memory for inputs that wait for their batch. */
const WAITING_BYTES = 256 * 1024 * 1024;

/**
 * Rows that may be under way at once: enough to fill batches, and no more than the memory for them holds.
 * @param sessions - batches that run at a time
 */
export function windowRows(inputs: readonly ContractInput[], batchSize: number, sessions: number): number {
  const bytes = 2 * inputs.reduce((sum, input) => sum + largestInput(input), 0); // a pair has two items
  const batches = Math.floor(WAITING_BYTES / (bytes * batchSize));
  const fewest = sessions + 1; // one fills while the others run
  const most = 2 * sessions + 2; // texts of several lengths fill several batches at a time
  return batchSize * Math.min(most, Math.max(fewest, batches));
}

/** Bytes of the largest value that an input of one row may have. */
function largestInput({ shape, dtype, preprocess }: ContractInput): number {
  const free =
    preprocess.kind === 'text' ? preprocess.maxTokens : preprocess.kind === 'audio' ? preprocess.maxSamples : 1;
  const elements = shape.slice(1).reduce<number>((n, dim) => n * (typeof dim === 'number' ? dim : free), 1);
  return elements * (dtype.endsWith('64') ? 8 : 4);
}
