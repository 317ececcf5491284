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

/** As for int8 (see weight-only): products in float32, whatever the version of the runtime. */
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
    const blocks = why ?? scaled.get(name) ?? (await scaleBlocks(proto));
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

/** The weight transposed, [outputs, inputs], in pieces of whole blocks, so that a block lies in one piece, with the scale of each block. */
interface Blocks {
  readonly name: string;
  readonly tensor: Tensor;
  readonly inputs: number;
  readonly outputs: number;
  /** [outputs, inputs / 32] */
  readonly scales: Float32Array;
}

async function scaleBlocks(proto: TensorProto): Promise<Blocks | string> {
  const [inputs, outputs] = proto.dims;
  const tensor = transposeMatrix(tensorOf(proto));
  const scales = new Float32Array((inputs * outputs) / BLOCK);
  let at = 0;
  for await (const chunk of tensor.chunks()) {
    if (hasNonFinite(chunk, 'F32')) return `its weight ${proto.name} holds NaN or an infinity`;
    const values = asFloat32(chunk);
    for (let start = 0; start < values.length; start += BLOCK) {
      let most = 0;
      for (let i = start; i < start + BLOCK; i++) {
        const magnitude = values[i] < 0 ? -values[i] : values[i];
        if (magnitude > most) most = magnitude;
      }
      scales[at++] = most;
    }
  }
  for (let i = 0; i < scales.length; i++) scales[i] = scales[i] / S4_MAX >= SMALLEST_SCALE ? scales[i] / S4_MAX : 1;
  return { name: proto.name ?? '', tensor, inputs, outputs, scales };
}

/**
 * Added before a fraction is cut off, it rounds from -7 to 7 to levels of 9 to 23: four bits of them are those of -7 to 7. A scale is
 * a float32 of at least the largest value / 7, which is off by a part in 2^24: nothing rounds to 8.
 */
const ROUNDING = 16.5;

/** Two 4-bit values a byte, the first in the low half. @param offset - added to each: 8 for unsigned storage */
function packed({ tensor, inputs, outputs, scales }: Blocks, offset: number): NonNullable<TensorProto['rawData']> {
  async function* chunks(): AsyncGenerator<Uint8Array> {
    let at = 0;
    for await (const chunk of tensor.chunks()) {
      const values = asFloat32(chunk);
      const bytes = new Uint8Array(values.length / 2);
      for (let start = 0; start < values.length; start += BLOCK) {
        const scale = scales[at++];
        for (let i = start; i < start + BLOCK; i += 2) {
          const low = (values[i] / scale + ROUNDING) | 0;
          const high = (values[i + 1] / scale + ROUNDING) | 0;
          bytes[i >> 1] = ((low + offset) & 15) | (((high + offset) & 15) << 4);
        }
      }
      yield bytes;
    }
  }
  return { byteLength: (inputs * outputs) / 2, chunks };
}

/** int4 [outputs, inputs] in blocks along the inputs, dequantized, transposed back for the MatMul. */
function writeDequantize(edit: GraphEdit, node: NodeProto, blocks: Blocks, written: Set<string>): void {
  const { name, inputs, outputs, scales } = blocks;
  if (!written.has(name)) {
    written.add(name);
    const values = edit.initializer({
      name: edit.freshName(`${name}.quantized`),
      dims: [outputs, inputs],
      dataType: DATA_TYPE.INT4,
      rawData: packed(blocks, 0),
    });
    const scale = edit.initializer(floats(edit.freshName(`${name}.scale`), [outputs, inputs / BLOCK], scales));
    edit.retire(name);
    const dequantized = edit.node('DequantizeLinear', [values, scale], edit.freshName(`${name}.dequantized`), {
      attribute: [intAttribute('axis', 1), intAttribute('block_size', BLOCK)],
    });
    edit.node('Transpose', [dequantized], name, { name: edit.freshName(`${name}.transpose`) });
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
