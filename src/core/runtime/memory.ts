import { totalmem } from 'node:os';
import { DATA_TYPE, intOf, type NodeProto, type OnnxModel } from '../onnx/model.js';
import { numel } from '../tensor/shape.js';

/** A runtime holds the weights as read and once more as packed for its kernels, and folds some (measured: up to 2.6 times). */
export const WEIGHT_COPIES = 3;

/**
 * Copies of the weights that a session holds at the least: as read and as packed for its kernels; of float16, which the processor
 * computes in float32, two in that.
 */
export const leastCopies = (half: boolean): number => (half ? 3 : 2);

const QUANTIZED: ReadonlySet<number> = new Set([DATA_TYPE.INT8, DATA_TYPE.UINT8, DATA_TYPE.INT4, DATA_TYPE.UINT4]);

/** The option that keeps quantized weights as they are: each run dequantizes them one after the other, which costs it some time. */
export const KEEP_QUANTIZED: Readonly<Record<string, string>> = { 'session.disable_qdq_constant_folding': '1' };

/** Whether a session with these options dequantizes weights in every run, and not once. */
export const keepsQuantized = (config: Readonly<Record<string, string>> = {}): boolean =>
  Object.entries(KEEP_QUANTIZED).every(([name, value]) => config[name] === value);

/**
 * Bytes that the quantized weights of a model take as float32: a session turns those into it that no kernel reads as they are.
 * Kernels read blocks along the first axis, which MatMulNBits is made of.
 */
export function dequantizedBytes({ graph }: OnnxModel, config?: Readonly<Record<string, string>>): number {
  if (keepsQuantized(config)) return 0;
  const widening = graph.node.filter((node) => node.opType === 'DequantizeLinear' && !isBlocked(node));
  const widened = new Set(widening.map(({ input }) => input[0]));
  return graph.initializer
    .filter(({ name = '', dataType = 0 }) => QUANTIZED.has(dataType) && widened.has(name))
    .reduce((sum, { dims }) => sum + 4 * numel(dims), 0);
}

const isBlocked = (node: NodeProto): boolean => intOf(node, 'block_size', 0) > 0 && intOf(node, 'axis', 1) === 0;

/** Bytes of weights that are in memory at a time, of a model that is run in segments. */
export const SEGMENT_BYTES = 2 ** 30;

/** Bytes of memory this process may take: the machine's, or less where a container says so. */
export function machineMemory(): number {
  const constrained = process.constrainedMemory() || Number.POSITIVE_INFINITY; // 0 where nothing says so
  return Math.min(totalmem(), constrained);
}
