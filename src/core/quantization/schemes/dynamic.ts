import { DATA_TYPE, floatOf, intAttribute, intOf, type NodeProto, type OnnxModel } from '../../onnx/model.js';
import { isStandard } from '../../onnx/passes/uses.js';
import { tensorOf } from '../../onnx/tensor-data.js';
import { renameTensor, transposeMatrix } from '../../tensor/transform.js';
import { GraphEdit } from '../graph-edit.js';
import { quantizedWeight } from '../kernels/int8-weight.js';
import { floats } from '../tensors.js';
import { paysOff, type ScaledWeight, scaleWeight } from '../weights.js';
import { GatherRewriter } from './gather.js';
import {
  type Excluded,
  nodeLabel,
  type QuantizationScheme,
  type QuantizedModel,
  type SchemeRequest,
} from './scheme.js';

/**
 * int8 weights, activations quantized as they come: u8 with the range of the whole batch, so the scale of a row depends on its
 * neighbours (DynamicQuantizeLinear has no other form).
 */
export const dynamic: QuantizationScheme = {
  id: 'dynamic',
  label: 'int8 weights, activations quantized by the range of each batch',
  minOpset: 11, // DynamicQuantizeLinear
  foldsNorms: true,
  addsIntegers: true,
  determinism: 'batch-dependent',
  tolerance: 0.1,
  apply: applyDynamic,
};

async function applyDynamic(model: OnnxModel, request: SchemeRequest): Promise<QuantizedModel> {
  const rewriter = new DynamicRewriter(new GraphEdit(model), request);
  const gathers = new GatherRewriter(rewriter.edit, request);
  const quantized: string[] = [];
  const excluded: Excluded[] = [];
  for (const node of model.graph.node) {
    const gathered = gathers.reads(node);
    const candidate = gathered || rewriter.reads(node);
    const why = gathered
      ? await gathers.rewrite(node)
      : candidate
        ? (request.exclude(node) ?? (await rewriter.rewrite(node)))
        : undefined;
    if (candidate && why === undefined) quantized.push(nodeLabel(node));
    else rewriter.edit.nodes.push(node);
    if (why !== undefined) excluded.push({ node: nodeLabel(node), why });
  }
  return { model: rewriter.edit.finish(), quantized, excluded, session: {}, notes: [] };
}

interface IntegerWeight {
  readonly values: string;
  readonly scale: string;
}

interface QuantizedInput {
  readonly values: string;
  readonly scale: string;
  readonly zeroPoint: string;
}

class DynamicRewriter {
  private readonly inputs = new Map<string, QuantizedInput>();
  private readonly weights = new Map<string, IntegerWeight | string>();

  constructor(
    readonly edit: GraphEdit,
    private readonly request: SchemeRequest,
  ) {}

  /** Whether a node multiplies by a constant weight, so that it has an integer form. */
  reads(node: NodeProto): boolean {
    if (!isStandard(node) || !['MatMul', 'Gemm', 'Conv'].includes(node.opType)) return false;
    const weight = this.edit.constants.get(node.input[1]);
    return weight !== undefined && weight.dims.length >= 2;
  }

  /** Appends the integer form of a node; or says why it has none. */
  async rewrite(node: NodeProto): Promise<string | undefined> {
    if (node.opType === 'Gemm' && !isPlainGemm(node))
      return 'a Gemm that scales or transposes its input has no integer form';
    const weight = await this.weight(node);
    if (typeof weight === 'string') return weight;
    const { edit } = this;
    const input = this.quantize(node.input[0]);
    const label = nodeLabel(node);
    const isConv = node.opType === 'Conv';
    const product = edit.node(
      isConv ? 'ConvInteger' : 'MatMulInteger',
      [input.values, weight.values, input.zeroPoint],
      edit.freshName(`${label}.int32`),
      isConv ? { attribute: node.attribute } : {},
    );
    const asFloat = edit.node('Cast', [product], edit.freshName(`${label}.float`), {
      attribute: [intAttribute('to', DATA_TYPE.FLOAT)],
    });
    const scale = edit.node('Mul', [input.scale, weight.scale], edit.freshName(`${label}.scale`));
    const bias = node.input[2] ? this.bias(node) : undefined;
    const scaled = bias ? edit.freshName(`${label}.scaled`) : node.output[0];
    edit.node('Mul', [asFloat, scale], scaled, { name: bias ? scaled : node.name });
    if (bias) edit.node('Add', [scaled, bias], node.output[0], { name: node.name });
    edit.retire(node.input[1]);
    return undefined;
  }

  /** One quantized form of a value for all that read it. */
  private quantize(value: string): QuantizedInput {
    const known = this.inputs.get(value);
    if (known) return known;
    const made = {
      values: this.edit.freshName(`${value}.quantized`),
      scale: this.edit.freshName(`${value}.scale`),
      zeroPoint: this.edit.freshName(`${value}.zero_point`),
    };
    this.edit.node('DynamicQuantizeLinear', [value], made.values, {
      output: [made.values, made.scale, made.zeroPoint],
    });
    this.inputs.set(value, made);
    return made;
  }

  /** The bias as it broadcasts against the result; that of a convolution is moved before the spatial axes. */
  private bias(node: NodeProto): string {
    if (node.opType !== 'Conv') return node.input[2];
    const [channels, , ...spatial] = this.edit.constants.get(node.input[1])!.dims;
    const dims = [channels, ...spatial.map(() => 1)];
    const shape = this.edit.initializer({
      name: this.edit.freshName(`${nodeLabel(node)}.bias_shape`),
      dims: [dims.length],
      dataType: DATA_TYPE.INT64,
      int64Data: BigInt64Array.from(dims, BigInt),
    });
    return this.edit.node('Reshape', [node.input[2], shape], this.edit.freshName(`${nodeLabel(node)}.bias`));
  }

  private async weight(node: NodeProto): Promise<IntegerWeight | string> {
    const transposed = node.opType === 'Gemm' && intOf(node, 'transB', 0) === 1;
    const key = `${node.input[1]}${transposed ? ' transposed' : ''}`;
    const known = this.weights.get(key);
    if (known !== undefined) return known;
    const made = await this.makeWeight(node, transposed);
    this.weights.set(key, made);
    return made;
  }

  private async makeWeight(node: NodeProto, transposed: boolean): Promise<IntegerWeight | string> {
    const [, name] = node.input;
    const proto = this.edit.constants.get(name)!;
    const isConv = node.opType === 'Conv';
    if (!isConv && proto.dims.length > 2)
      return 'MatMulInteger takes one scale a column, this weight is a stack of matrices';
    if (!paysOff(proto, 1)) return 'its weight is too small to gain from int8';
    const tensor = transposed ? transposeMatrix(renameTensor(tensorOf(proto), name)) : undefined;
    const scaled = await scaleWeight(proto, {
      axis: this.request.perChannel ? (isConv ? 0 : 1) : null,
      tensor,
      // ConvInteger adds in 32 bits everywhere.
      pairwise: !isConv && !this.request.fullRange,
    });
    if (typeof scaled === 'string') return scaled;
    return {
      values: this.edit.initializer(
        quantizedWeight(this.edit.freshName(`${name}.quantized`), scaled.tensor, scaled.layout, scaled.scales),
      ),
      scale: this.edit.initializer(
        floats(this.edit.freshName(`${name}.scale`), scaleDims(scaled, isConv), scaled.scales),
      ),
    };
  }
}

/** A convolution's channels stand before its spatial axes. */
function scaleDims({ axis, scales, tensor }: ScaledWeight, isConv: boolean): number[] {
  if (axis === null) return [];
  return isConv ? [scales.length, ...tensor.shape.slice(2).map(() => 1)] : [scales.length];
}

const isPlainGemm = (node: NodeProto): boolean =>
  intOf(node, 'transA', 0) === 0 && floatOf(node, 'alpha', 1) === 1 && floatOf(node, 'beta', 1) === 1;
