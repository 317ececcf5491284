import { findAttribute, type NodeProto, stringOf } from '../onnx/model.js';
import { numel } from '../tensor/shape.js';
import type { KernelRun } from './trace.js';

/** What a kernel does in one run. */
export interface Work {
  /** Multiply-accumulates of products of matrices and of convolutions; element-wise arithmetic is not counted, as elsewhere. */
  readonly macs: number;
  /** Bytes read and written, each operand once. */
  readonly bytes: number;
}

type Shape = readonly number[];
interface MacRule {
  /** Inputs that it looks at. */
  readonly inputs: number;
  macs(inputs: readonly Shape[], outputs: readonly Shape[]): number;
}

/** A weight [outputs, inputs / groups, ...kernel]: each output element is a sum over all but the first axis. */
const convolution = (weight: number): MacRule => ({
  inputs: weight + 1,
  macs: (inputs, [out]) => (numel(out) * numel(inputs[weight])) / inputs[weight][0],
});

/** A [..., m, k] or, transposed by a fusion, [..., k, m]: the rows of the output tell which axis is summed over. */
const product: MacRule = {
  inputs: 1,
  macs([a], [out]) {
    const transposed = a.length > 1 && out.length === a.length && a[a.length - 2] !== out[out.length - 2];
    return numel(out) * (transposed ? a[a.length - 2] : a[a.length - 1]);
  },
};

/** A is m x k either way round. */
const gemm: MacRule = { inputs: 1, macs: ([a], [out]) => numel(a) * out[out.length - 1] };

/** Every step multiplies by W [directions, gates x hidden, inputs] and R [directions, gates x hidden, hidden]. */
const recurrent: MacRule = { inputs: 3, macs: ([x, w, r]) => x[0] * x[1] * (numel(w) + numel(r)) };

/** softmax(q k) v over q [batch, queries, width] and k [batch, keys, width]. */
const attention: MacRule = { inputs: 2, macs: ([q, k]) => 2 * q[0] * q[1] * k[1] * q[2] };

const MACS: Readonly<Record<string, MacRule>> = {
  Conv: convolution(1),
  FusedConv: convolution(1),
  NhwcFusedConv: convolution(1),
  ConvInteger: convolution(1),
  QLinearConv: convolution(3),
  ConvTranspose: { inputs: 2, macs: ([x, w]) => (numel(x) * numel(w)) / w[0] },
  MatMul: product,
  FusedMatMul: product,
  MatMulInteger: product,
  MatMulIntegerToFloat: product,
  DynamicQuantizeMatMul: product,
  QLinearMatMul: product,
  Gemm: gemm,
  FusedGemm: gemm,
  QGemm: gemm,
  MatMulNBits: gemm,
  LSTM: recurrent,
  GRU: recurrent,
  RNN: recurrent,
  MultiHeadAttention: attention,
};

/** Operators that multiply matrices by rules not written here: their products are missing from the count, and that is said. */
const UNCOUNTED: ReadonlySet<string> = new Set([
  'Attention',
  'QAttention',
  'GroupQueryAttention',
  'DynamicQuantizeLSTM',
  'DeformConv',
  'DFT',
  'STFT',
]);

/** Kernels whose products are of 8-bit integers. */
export const INTEGER_OPERATORS: ReadonlySet<string> = new Set([
  'ConvInteger',
  'QLinearConv',
  'MatMulInteger',
  'MatMulIntegerToFloat',
  'DynamicQuantizeMatMul',
  'QLinearMatMul',
  'QGemm',
]);

/** They read as much as they write, however large the table they take it from. */
const PICKING: ReadonlySet<string> = new Set(['Gather', 'GatherElements', 'GatherND', 'Slice', 'Split']);
/** They look at shapes only. */
const SHAPE_ONLY: ReadonlySet<string> = new Set(['Shape', 'Size']);

export const isUncounted = (operator: string): boolean => UNCOUNTED.has(operator);

/**
 * The work of one run of a kernel by the shapes it had. Weights must be among them: trace with prepacking off.
 * @param node - for what shapes do not tell: the equation of an Einsum
 */
export function workOf(kernel: KernelRun, node?: NodeProto): Work {
  return { macs: macsOf(kernel, node), bytes: bytesOf(kernel) };
}

function macsOf({ operator, inputs, outputs }: KernelRun, node: NodeProto | undefined): number {
  if (operator === 'Einsum' && node && findAttribute(node, 'equation')) {
    return einsumMacs(stringOf(node, 'equation', ''), inputs);
  }
  const rule = Object.hasOwn(MACS, operator) ? MACS[operator] : undefined;
  if (rule === undefined || outputs.length === 0 || inputs.length < rule.inputs) return 0;
  return Math.round(rule.macs(inputs, outputs));
}

/** Every combination of the indices is one multiplication for each operand beyond the first. An ellipsis is not counted. */
function einsumMacs(equation: string, inputs: readonly Shape[]): number {
  const terms = equation.split('->')[0].replace(/\s/g, '').split(',');
  if (terms.length < 2 || equation.includes('.')) return 0;
  const sizes = new Map<string, number>();
  for (const [operand, term] of terms.entries())
    for (const [axis, letter] of Array.from(term).entries()) sizes.set(letter, inputs[operand]?.[axis] ?? 1);
  return (terms.length - 1) * numel([...sizes.values()]);
}

function bytesOf({ operator, parameterBytes, activationBytes, outputBytes }: KernelRun): number {
  if (SHAPE_ONLY.has(operator)) return outputBytes;
  if (PICKING.has(operator)) return 2 * outputBytes;
  return parameterBytes + activationBytes + outputBytes;
}
