import {
  DATA_TYPE,
  intAttribute,
  type NodeProto,
  type OnnxModel,
  opsetOf,
  type TensorProto,
} from '../../onnx/model.js';
import { isOp } from '../../onnx/passes/uses.js';
import { tensorOf } from '../../onnx/tensor-data.js';
import type { Tensor } from '../../tensor/tensor.js';
import { hasNonFinite, transposeMatrix } from '../../tensor/transform.js';
import { asFloat32 } from '../../tensor/values.js';
import { GraphEdit } from '../graph-edit.js';
import { SMALLEST_SCALE } from '../ranges/range.js';
import { floats } from '../tensors.js';
import {
  type Excluded,
  nodeLabel,
  type QuantizationScheme,
  type QuantizedModel,
  type SchemeRequest,
} from './scheme.js';

/** 4-bit integers and scales of blocks are in ONNX since this opset, and its IR version. */
const INT4_OPSET = 21;
const INT4_IR = 10;
/** Weights of a column that share a scale; the size that onnxruntime and llama.cpp have kernels for. */
const BLOCK = 32;
const S4_MAX = 7;

/** As for int8 (see weight-only): MatMulNBits, which the weights are fused into, computes in float32, and a file's scores stay the same. */
const EXACT_SESSION = { 'session.qdq_matmulnbits_accuracy_level': '1' };

/** MatMul weights [inputs, outputs] as int4 in blocks of 32 inputs, each with a scale; activations float. */
export const int4: QuantizationScheme = {
  id: 'int4',
  label: 'int4 weights in blocks of 32, float activations',
  minOpset: INT4_OPSET,
  foldsNorms: false,
  determinism: 'exact',
  tolerance: 0.3,
  apply: applyInt4,
};

async function applyInt4(model: OnnxModel, request: SchemeRequest): Promise<QuantizedModel> {
  const edit = new GraphEdit(model);
  const contrib = (opsetOf(model) ?? 0) < INT4_OPSET;
  // As [inputs, outputs], onnxruntime fuses the weight with its MatMul: in products of int8 where the file cannot ask for others.
  const transposed = contrib || !request.hasManifest;
  const quantized: string[] = [];
  const excluded: Excluded[] = [];
  const scaled = new Map<string, Blocks | string>();
  const written = new Set<string>();
  for (const node of model.graph.node) {
    const proto = isOp(node, 'MatMul') ? edit.constants.get(node.input[1]) : undefined;
    if (proto?.dims.length !== 2) {
      edit.nodes.push(node);
      continue;
    }
    const [, name] = node.input;
    const why = request.exclude(node) ?? unsuited(proto);
    const blocks = why ?? scaled.get(name) ?? (await scaleBlocks(proto, transposed));
    if (why === undefined) scaled.set(name, blocks);
    if (typeof blocks === 'string') {
      excluded.push({ node: nodeLabel(node), why: blocks });
      edit.nodes.push(node);
      continue;
    }
    quantized.push(nodeLabel(node));
    if (contrib) writeMatMulNBits(edit, node, blocks);
    else writeDequantize(edit, node, blocks, written);
  }
  const finished = edit.finish();
  return {
    model: {
      ...finished,
      irVersion: contrib ? finished.irVersion : Math.max(finished.irVersion, INT4_IR),
      opsetImport: contrib ? withMicrosoft(finished.opsetImport) : finished.opsetImport,
    },
    quantized,
    excluded,
    session: !contrib && quantized.length > 0 ? EXACT_SESSION : {},
    notes: contrib
      ? [
          `MatMulNBits, because opset ${opsetOf(model)} has no 4-bit integers (${INT4_OPSET} has): only onnxruntime runs the file.`,
        ]
      : [],
  };
}

const withMicrosoft = (imports: OnnxModel['opsetImport']): OnnxModel['opsetImport'] =>
  imports.some(({ domain }) => domain === 'com.microsoft')
    ? imports
    : [...imports, { domain: 'com.microsoft', version: 1 }];

function unsuited({ dataType, dims }: TensorProto): string | undefined {
  if (dataType !== DATA_TYPE.FLOAT) return 'its weight is not float32';
  if (dims[0] % BLOCK !== 0) return `its ${dims[0]} inputs are no multiple of the block of ${BLOCK}`;
  return undefined;
}

/** A weight as it is written, with the scale of each block. */
interface Blocks {
  readonly name: string;
  /** [inputs, outputs], or transposed. */
  readonly tensor: Tensor;
  readonly layout: BlockLayout;
  readonly inputs: number;
  readonly outputs: number;
  /** [inputs / 32, outputs], or transposed as the weight. */
  readonly scales: Float32Array;
}

/** Where the blocks of a matrix lie in its values: 32 that follow each other, or 32 rows of `outputs` columns. */
type BlockLayout = { readonly transposed: true } | { readonly transposed: false; readonly outputs: number };

/** @param transposed - whether the weight is written as [outputs, inputs] */
async function scaleBlocks(proto: TensorProto, transposed: boolean): Promise<Blocks | string> {
  const [inputs, outputs] = proto.dims;
  const tensor = transposed ? transposeMatrix(tensorOf(proto)) : tensorOf(proto);
  const layout = transposed ? { transposed } : { transposed, outputs };
  const scales = new Float32Array((inputs * outputs) / BLOCK);
  let at = 0;
  for await (const chunk of tensor.chunks()) {
    if (hasNonFinite(chunk, 'F32')) return `its weight ${proto.name} holds NaN or an infinity`;
    const values = asFloat32(chunk);
    for (let from = 0; from < values.length; ) {
      const { end, scale, step } = stretch(at, from, values.length, layout);
      for (let i = from, s = scale; i < end; i++, s += step) {
        const magnitude = values[i] < 0 ? -values[i] : values[i];
        if (magnitude > scales[s]) scales[s] = magnitude;
      }
      from = end;
    }
    at += values.length;
  }
  for (let i = 0; i < scales.length; i++) scales[i] = scales[i] / S4_MAX >= SMALLEST_SCALE ? scales[i] / S4_MAX : 1;
  return { name: proto.name ?? '', tensor, layout, inputs, outputs, scales };
}

/**
 * Values from `from` on, in a chunk whose first one is the weight's value `at`, that share a scale or, in rows, have one after the
 * other: where they end, and the scale of the first.
 */
function stretch(
  at: number,
  from: number,
  length: number,
  layout: BlockLayout,
): { readonly end: number; readonly scale: number; readonly step: 0 | 1 } {
  const position = at + from;
  const size = layout.transposed ? BLOCK : layout.outputs;
  const within = position % size;
  const end = Math.min(length, from + size - within);
  if (layout.transposed) return { end, scale: Math.floor(position / BLOCK), step: 0 };
  return { end, scale: Math.floor(position / (BLOCK * size)) * size + within, step: 1 };
}

/**
 * Added before a fraction is cut off, it rounds from -7 to 7 to levels of 9 to 23: four bits of them are those of -7 to 7. A scale is
 * a float32 of at least the largest value / 7, which is off by a part in 2^24: nothing rounds to 8.
 */
const ROUNDING = 16.5;

/** Two 4-bit values a byte, the first in the low half. @param offset - added to each: 8 for unsigned storage */
function packed(
  { tensor, layout, inputs, outputs, scales }: Blocks,
  offset: number,
): NonNullable<TensorProto['rawData']> {
  async function* chunks(): AsyncGenerator<Uint8Array> {
    let at = 0;
    let carried = 0; // the first half of a byte whose second is in the next chunk
    for await (const chunk of tensor.chunks()) {
      const values = asFloat32(chunk);
      const odd = at % 2;
      const bytes = new Uint8Array(Math.ceil((odd + values.length) / 2));
      bytes[0] = carried;
      for (let from = 0; from < values.length; ) {
        const { end, scale, step } = stretch(at, from, values.length, layout);
        for (let i = from, s = scale; i < end; i++, s += step) {
          const level = (((values[i] / scales[s] + ROUNDING) | 0) + offset) & 15;
          bytes[(i + odd) >> 1] |= level << (((i + odd) & 1) * 4);
        }
        from = end;
      }
      at += values.length;
      carried = at % 2 === 0 ? 0 : bytes[bytes.length - 1];
      yield at % 2 === 0 ? bytes : bytes.subarray(0, -1);
    }
  }
  return { byteLength: (inputs * outputs) / 2, chunks };
}

/** int4 in blocks along the inputs, dequantized for the MatMul; of a transposed weight, transposed back. */
function writeDequantize(edit: GraphEdit, node: NodeProto, blocks: Blocks, written: Set<string>): void {
  const { name, layout, inputs, outputs, scales } = blocks;
  if (!written.has(name)) {
    written.add(name);
    const dimsOf = (rows: number): number[] => (layout.transposed ? [outputs, rows] : [rows, outputs]);
    const values = edit.initializer({
      name: edit.freshName(`${name}.quantized`),
      dims: dimsOf(inputs),
      dataType: DATA_TYPE.INT4,
      rawData: packed(blocks, 0),
    });
    const scale = edit.initializer(floats(edit.freshName(`${name}.scale`), dimsOf(inputs / BLOCK), scales));
    const attribute = [intAttribute('axis', layout.transposed ? 1 : 0), intAttribute('block_size', BLOCK)];
    edit.retire(name);
    const dequantized = layout.transposed ? edit.freshName(`${name}.dequantized`) : name;
    edit.node('DequantizeLinear', [values, scale], dequantized, {
      attribute,
      name: edit.freshName(`${name}.dequantize`),
    });
    if (layout.transposed) edit.node('Transpose', [dequantized], name, { name: edit.freshName(`${name}.transpose`) });
  }
  edit.nodes.push(node);
}

/** com.microsoft.MatMulNBits: [outputs, blocks, 16 bytes], unsigned with an implied zero point of 8. */
function writeMatMulNBits(edit: GraphEdit, node: NodeProto, blocks: Blocks): void {
  const { name, inputs, outputs, scales } = blocks;
  const values = `${name}.quantized`;
  const scale = `${name}.scale`;
  edit.initializer({
    name: values,
    dims: [outputs, inputs / BLOCK, BLOCK / 2],
    dataType: DATA_TYPE.UINT8,
    rawData: packed(blocks, 8),
  });
  edit.initializer(floats(scale, [scales.length], scales));
  edit.retire(name);
  edit.nodes.push({
    ...node,
    opType: 'MatMulNBits',
    domain: 'com.microsoft',
    input: [node.input[0], values, scale],
    attribute: [
      intAttribute('K', inputs),
      intAttribute('N', outputs),
      intAttribute('bits', 4),
      intAttribute('block_size', BLOCK),
      intAttribute('accuracy_level', 1),
    ],
  });
}
