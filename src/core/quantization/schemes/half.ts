import {
  DATA_TYPE,
  intAttribute,
  type NodeProto,
  type OnnxModel,
  opsetOf,
  type TensorProto,
} from '../../onnx/model.js';
import { countUses, isStandard } from '../../onnx/passes/uses.js';
import { dataTypeName, tensorOf } from '../../onnx/tensor-data.js';
import { numel } from '../../tensor/shape.js';
import type { Tensor } from '../../tensor/tensor.js';
import { castTensor, tensorStatistics } from '../../tensor/transform.js';
import { GraphEdit } from '../graph-edit.js';
import {
  type Excluded,
  nodeLabel,
  type QuantizationScheme,
  type QuantizedModel,
  type SchemeRequest,
} from './scheme.js';

/** Largest float16. */
const HALF_MAX = 65_504;
/** Clip has a float16 form since this opset. */
const CLIP_OPSET = 12;
/** Largest magnitude an activation may have shown to be trusted to float16, which ends at 65504: a factor of two for inputs not seen. */
const SAFE_MAGNITUDE = 32_752;
/** Products by a weight: what float16 is for. */
const WEIGHTED: ReadonlySet<string> = new Set(['Conv', 'ConvTranspose', 'MatMul', 'Gemm']);
/** Operators that neither sum many terms nor leave the range of their inputs by much; they go along where all they read is float16 already. */
const ALONG: ReadonlySet<string> = new Set([
  ...['Add', 'Mul', 'Relu', 'LeakyRelu', 'Clip', 'Sigmoid', 'Tanh', 'MaxPool', 'AveragePool', 'Concat'],
  ...['Reshape', 'Transpose', 'Flatten', 'Squeeze', 'Unsqueeze'],
]);
/** Inputs of those that are shapes and axes, not values. */
const VALUE_INPUTS: ReadonlyMap<string, number> = new Map([
  ...['Reshape', 'Transpose', 'Flatten', 'Squeeze', 'Unsqueeze'].map((opType) => [opType, 1] as const),
]);

/**
 * Products in float16 with weights stored so, everything that loses by it in float32 (norms, exponentials, long sums), inputs
 * and outputs float32. Casts stand where the two meet.
 */
export const half: QuantizationScheme = {
  id: 'fp16',
  label: 'float16 weights and products, float32 inputs and outputs',
  minOpset: 7,
  foldsNorms: true,
  determinism: 'rounded',
  tolerance: 0.01,
  observes(model, { exclude }) {
    const weighted = model.graph.node.filter((node) => isWeighted(node, model) && exclude(node) === undefined);
    return { model, values: [...new Set(weighted.flatMap(({ input, output }) => [input[0], output[0]]))] };
  },
  apply: applyHalf,
};

function isWeighted(node: NodeProto, { graph }: OnnxModel): boolean {
  if (!isStandard(node) || !WEIGHTED.has(node.opType)) return false;
  const weight = graph.initializer.find(({ name }) => name === node.input[1]);
  return weight !== undefined && weight.dims.length >= 2;
}

async function applyHalf(model: OnnxModel, request: SchemeRequest): Promise<QuantizedModel> {
  const rewriter = new HalfRewriter(model, request);
  for (const node of model.graph.node) await rewriter.visit(node);
  return rewriter.finish();
}

class HalfRewriter {
  private readonly edit: GraphEdit;
  private readonly uses: ReadonlyMap<string, number>;
  /** Values that exist as float16, by their float32 names. */
  private readonly halves = new Map<string, string>();
  /** Float32 values that are made from their float16 form once something asks. */
  private readonly pending = new Map<string, string>();
  private readonly unfit = new Map<string, string | null>();
  private readonly quantized: string[] = [];
  private readonly excluded: Excluded[] = [];

  constructor(
    private readonly model: OnnxModel,
    private readonly request: SchemeRequest,
  ) {
    this.edit = new GraphEdit(model);
    this.uses = countUses(model.graph);
  }

  async visit(node: NodeProto): Promise<void> {
    const weighted = this.weighted(node);
    const why = weighted ? (this.request.exclude(node) ?? (await this.unsafe(node))) : undefined;
    if (why !== undefined) this.excluded.push({ node: nodeLabel(node), why });
    if (weighted ? why === undefined : await this.goesAlong(node)) {
      this.emitHalf(node);
      if (weighted) this.quantized.push(nodeLabel(node));
    } else {
      this.settleFor(node);
      this.edit.nodes.push(node);
    }
  }

  finish(): QuantizedModel {
    for (const { name } of this.model.graph.output) this.settle(name);
    return {
      model: this.edit.finish(),
      quantized: this.quantized,
      excluded: this.excluded,
      session: {},
      notes: [],
    };
  }

  private weighted(node: NodeProto): boolean {
    const weight = this.edit.constants.get(node.input[1]);
    return isStandard(node) && WEIGHTED.has(node.opType) && (weight?.dims.length ?? 0) >= 2;
  }

  /** Every value read is float16 already or a constant that fits, and one of them is computed. */
  private async goesAlong(node: NodeProto): Promise<boolean> {
    if (!isStandard(node) || !ALONG.has(node.opType) || node.output.length !== 1) return false;
    if (node.opType === 'Clip' && (opsetOf(this.model) ?? 0) < CLIP_OPSET) return false;
    if (this.request.exclude(node) !== undefined) return false;
    const values = this.valuesRead(node);
    if (!values.some((name) => this.halves.has(name))) return false;
    for (const name of values) if (!this.halves.has(name) && (await this.whyUnfit(name)) !== null) return false;
    return true;
  }

  private valuesRead(node: NodeProto): string[] {
    return node.input.slice(0, VALUE_INPUTS.get(node.opType)).filter(Boolean);
  }

  private async unsafe(node: NodeProto): Promise<string | undefined> {
    for (const name of [node.input[0], node.output[0]]) {
      const range = this.request.ranges?.get(name);
      const magnitude = range ? Math.max(-range.low, range.high) : 0;
      if (!(magnitude <= SAFE_MAGNITUDE)) return `${name} reaches ${magnitude.toPrecision(3)}, float16 ends at 65504`;
    }
    for (const name of node.input.slice(1).filter(Boolean)) {
      const why = await this.whyUnfit(name);
      if (why !== null) return why;
    }
    return undefined;
  }

  /** Why a value is no constant that float16 holds, or null; each constant is read once. */
  private async whyUnfit(name: string): Promise<string | null> {
    const known = this.unfit.get(name);
    if (known !== undefined) return known;
    const proto = this.edit.constants.get(name);
    const why = proto ? await unfit(proto) : `${name} is no constant`;
    this.unfit.set(name, why);
    return why;
  }

  private emitHalf(node: NodeProto): void {
    const { edit } = this;
    const values = new Set(this.valuesRead(node));
    const input = node.input.map((name) => (values.has(name) ? this.asHalf(name) : name));
    const [result] = node.output;
    const made = edit.freshName(`${result}.half`);
    edit.nodes.push({ ...node, input, output: [made] });
    this.halves.set(result, made);
    this.pending.set(result, made);
  }

  private asHalf(name: string): string {
    const known = this.halves.get(name);
    if (known) return known;
    const constant = this.edit.constants.get(name);
    const made = this.edit.freshName(`${name}.half`);
    if (constant) {
      this.edit.initializer(halfTensor(made, constant));
      this.edit.retire(name);
    } else this.cast(name, made, DATA_TYPE.FLOAT16);
    this.halves.set(name, made);
    return made;
  }

  /** Makes the float32 form of whatever a node reads, also from inside its subgraphs. */
  private settleFor(node: NodeProto): void {
    for (const name of this.pending.keys()) {
      if (node.input.includes(name) || (node.attribute.some(({ g, graphs }) => g || graphs) && this.uses.has(name)))
        this.settle(name);
    }
  }

  private settle(name: string): void {
    const made = this.pending.get(name);
    if (made === undefined) return;
    this.cast(made, name, DATA_TYPE.FLOAT);
    this.pending.delete(name);
  }

  private cast(from: string, to: string, type: number): void {
    this.edit.node('Cast', [from], to, {
      name: this.edit.freshName(`${to}.cast`),
      attribute: [intAttribute('to', type)],
    });
  }
}

async function unfit(proto: TensorProto): Promise<string | null> {
  const { name, dataType } = proto;
  if (dataType !== DATA_TYPE.FLOAT) return `${name} is ${dataTypeName(dataType)}, not FLOAT`;
  const { min, max, nonfinite } = await tensorStatistics(tensorOf(proto));
  if (nonfinite > 0) return `${name} holds NaN or an infinity`;
  return Math.max(-(min ?? 0), max ?? 0) > HALF_MAX ? `${name} goes beyond ${HALF_MAX}` : null;
}

function halfTensor(name: string, proto: TensorProto): TensorProto {
  const tensor: Tensor = castTensor(tensorOf(proto), 'F16');
  const rawData = { byteLength: 2 * numel(proto.dims), chunks: () => tensor.chunks() };
  return { name, dims: proto.dims, dataType: DATA_TYPE.FLOAT16, rawData };
}
