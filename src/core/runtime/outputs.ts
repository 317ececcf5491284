import { HpsError } from '../errors.js';
import type { TensorValue } from './value.js';

/**
 * Nothing watches the memory of the program that a model process answers: what it receives must be bounded in the process.
 * @throws HpsError MODEL_OUT_OF_MEMORY
 */
export function assertOutputBytes(outputs: ReadonlyMap<string, TensorValue>, limit: number): void {
  let bytes = 0;
  for (const { data } of outputs.values()) bytes += data.byteLength;
  if (bytes <= limit) return;
  throw new HpsError('MODEL_OUT_OF_MEMORY', `the outputs take ${bytes} bytes, over the limit of ${limit}`, {
    hint: 'Do not use a model whose outputs are this large.',
    details: { bytes, limit },
  });
}
