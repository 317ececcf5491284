import { totalmem } from 'node:os';
import { DATA_TYPE, type OnnxModel } from '../onnx/model.js';
import { numel } from '../tensor/shape.js';

/** A runtime holds the weights as read and once more as packed for its kernels, and folds some (measured: up to 2.6 times). */
export const WEIGHT_COPIES = 3;

/**
 * Copies of the weights that a session holds at the least: as read and as packed for its kernels; of float16, which the processor
 * computes in float32, two in that.
 */
export const leastCopies = (half: boolean): number => (half ? 3 : 2);

const QUANTIZED: ReadonlySet<number> = new Set([DATA_TYPE.INT8, DATA_TYPE.UINT8, DATA_TYPE.INT4, DATA_TYPE.UINT4]);

/** Bytes that the quantized weights of a model take as float32: a session turns those into it that no kernel reads as they are. */
export function dequantizedBytes({ graph }: OnnxModel): number {
  const widened = new Set(graph.node.flatMap(({ opType, input }) => (opType === 'DequantizeLinear' ? input[0] : [])));
  return graph.initializer
    .filter(({ name = '', dataType = 0 }) => QUANTIZED.has(dataType) && widened.has(name))
    .reduce((sum, { dims }) => sum + 4 * numel(dims), 0);
}

/** Bytes of weights that are in memory at a time, of a model that is run in segments. */
export const SEGMENT_BYTES = 2 ** 30;

/** Bytes of memory this process may take: the machine's, or less where a container says so. */
export function machineMemory(): number {
  const constrained = process.constrainedMemory() || Number.POSITIVE_INFINITY; // 0 where nothing says so
  return Math.min(totalmem(), constrained);
}
