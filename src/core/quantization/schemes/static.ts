import { intAttribute, type NodeProto, type OnnxModel, opsetOf, type TensorProto } from '../../onnx/model.js';
import { tensorOf } from '../../onnx/tensor-data.js';
import { readFloat32 } from '../../tensor/transform.js';
import { fixedInitializers, GraphEdit } from '../graph-edit.js';
import { quantizedBias, quantizedWeight, scalesForBias } from '../kernels/int8-weight.js';
import { type ActivationScale, activationScale, isFiniteRange, type Range } from '../ranges/range.js';
import { floats, ints32, scalarFloat, scalarU8, zeros8 } from '../tensors.js';
import { type ScaledWeight, scaleWeight, weightAxis } from '../weights.js';
import { insertGains } from './gains.js';
import { GatherRewriter } from './gather.js';
import {
  nodeLabel,
  type ObservedModel,
  type QuantizationScheme,
  type QuantizedModel,
  type SchemeRequest,
} from './scheme.js';
import { planStatic, type StaticPlan } from './static-plan.js';

/** Scales along an axis exist in QuantizeLinear and DequantizeLinear since this opset. */
const PER_AXIS_OPSET = 13;

/**
 * u8 activations of fixed ranges, symmetric s8 weights, int32 biases, written as QuantizeLinear and DequantizeLinear around
 * standard operators (QDQ), in the forms that onnxruntime turns into integer kernels: scales and zero points of activations
 * have rank 0, and a range that begins at 0 lets it drop the Relu.
 */
export const staticInt8: QuantizationScheme = {
  id: 'static',
  label: 'int8 weights and activations, ranges from calibration',
  minOpset: 10, // QuantizeLinear
  foldsNorms: true,
  sparesHead: true,
  addsIntegers: true,
  determinism: 'rounded',
  tolerance: 0.15,
  observes,
  readAhead: (model, request, signal) =>
    staticWeights(model, request).firstUnusable(planStatic(model, request), signal),
  apply: applyStatic,
};

function observes(model: OnnxModel, request: SchemeRequest): ObservedModel {
  const gained = insertGains(model, planStatic(model, request));
  return { ...gained, values: planStatic(gained.model, request).observed };
}

const staticWeights = (model: OnnxModel, { perChannel, fullRange }: SchemeRequest): StaticWeights =>
  new StaticWeights(model, perChannel && (opsetOf(model) ?? 0) >= PER_AXIS_OPSET, fullRange);

async function applyStatic(model: OnnxModel, request: SchemeRequest): Promise<QuantizedModel> {
  const ranges = request.ranges ?? new Map<string, Range>();
  const weights = staticWeights(model, request);
  const unusable = new Map<NodeProto, string>();
  // A node that must stay float leaves what it makes unquantized for the nodes behind it: then the plan is made again.
  for (;;) {
    const plan = planStatic(model, { ...request, exclude: (node) => request.exclude(node) ?? unusable.get(node) });
    const found = firstWithoutRange(plan, ranges) ?? (await weights.firstUnusable(plan));
    if (found === undefined)
      return new StaticRewriter(model, plan, ranges, weights, request).run(request.perChannel && !weights.perChannel);
    unusable.set(found.node, found.why);
  }
}

interface Unusable {
  readonly node: NodeProto;
  readonly why: string;
}

function firstWithoutRange({ nodes }: StaticPlan, ranges: ReadonlyMap<string, Range>): Unusable | undefined {
  for (const { kind, node, output } of nodes.values()) {
    for (const value of [kind === 'weighted' ? node.input[0] : undefined, output]) {
      const range = value === undefined ? undefined : ranges.get(value);
      if (value === undefined || (range && isFiniteRange(range))) continue;
      const why = range ? 'takes NaN, an infinity or more than float32 holds in calibration' : 'was not calibrated';
      return { node, why: `${value} ${why}` };
    }
  }
  return undefined;
}

const weightKey = (node: NodeProto): string => `${node.input[1]} by ${weightAxis(node, 1, 2)}`;

/** The weights of the planned nodes, each read once however often the plan is made again. */
class StaticWeights {
  private readonly scaled = new Map<string, ScaledWeight | string>();
  private readonly constants: ReadonlyMap<string, TensorProto>;

  constructor(
    { graph }: OnnxModel,
    readonly perChannel: boolean,
    private readonly fullRange: boolean,
  ) {
    this.constants = fixedInitializers(graph);
  }

  async firstUnusable({ nodes }: StaticPlan, signal?: AbortSignal): Promise<Unusable | undefined> {
    for (const { kind, node } of nodes.values()) {
      signal?.throwIfAborted();
      if (kind !== 'weighted') continue;
      const key = weightKey(node);
      const proto = this.constants.get(node.input[1])!;
      const axis = this.perChannel ? weightAxis(node, 1, proto.dims.length) : null;
      const weight = this.scaled.get(key) ?? (await scaleWeight(proto, { axis, pairwise: !this.fullRange }));
      this.scaled.set(key, weight);
      if (typeof weight === 'string') return { node, why: weight };
    }
    return undefined;
  }

  get(node: NodeProto): ScaledWeight {
    return this.scaled.get(weightKey(node)) as ScaledWeight;
  }
}

/** Writes the plan into the graph. */
class StaticRewriter {
  private readonly edit: GraphEdit;
  private readonly gathers: GatherRewriter;
  private readonly scales = new Map<string, ActivationScale>();
  private readonly biases = new Map<string, Float32Array>();
  private readonly weightScales = new Map<string, Float32Array>();
  /** Names of what was written already: quantized forms of inputs, weights and biases. */
  private readonly written = new Map<string, string>();

  constructor(
    private readonly model: OnnxModel,
    private readonly plan: StaticPlan,
    private readonly ranges: ReadonlyMap<string, Range>,
    private readonly weights: StaticWeights,
    request: SchemeRequest,
  ) {
    this.edit = new GraphEdit(model);
    this.gathers = new GatherRewriter(this.edit, request);
  }

  async run(saysPerTensor: boolean): Promise<QuantizedModel> {
    const { edit, plan } = this;
    this.chooseScales();
    await this.fitWeightsToBiases();
    const gathered: string[] = [];
    const excluded = [...plan.excluded];
    for (const node of this.model.graph.node) {
      if (this.gathers.reads(node)) {
        const why = await this.gathers.rewrite(node);
        if (why === undefined) {
          gathered.push(nodeLabel(node));
          continue;
        }
        excluded.push({ node: nodeLabel(node), why });
      }
      const entry = plan.nodes.get(node);
      const input = entry?.kind === 'weighted' ? this.weightedInputs(node) : node.input;
      const [result, ...rest] = node.output;
      if (!plan.owned.has(result)) {
        edit.nodes.push({ ...node, input });
        continue;
      }
      const raw = edit.freshName(`${result}.float`);
      edit.nodes.push({ ...node, input, output: [raw, ...rest] });
      this.quantizeAndBack(raw, result, this.scales.get(result)!, result);
    }
    return {
      model: edit.finish(),
      quantized: [...Array.from(plan.nodes.keys(), nodeLabel), ...gathered],
      excluded,
      session: {},
      notes: saysPerTensor
        ? [`Opset ${opsetOf(this.model)} has no scales per channel (${PER_AXIS_OPSET} has): one scale a weight.`]
        : [],
    };
  }

  /** In the order of the graph, so that what shares a scale finds it. */
  private chooseScales(): void {
    for (const [value, range] of this.ranges) this.scales.set(value, activationScale(range));
    for (const entry of this.plan.nodes.values()) {
      // A maximum of 8-bit values is one of them: the same scale loses nothing.
      if (entry.kind === 'pass' && entry.sharesRange) {
        this.scales.set(entry.output, this.scales.get(entry.node.input[0])!);
      }
    }
  }

  private async fitWeightsToBiases(): Promise<void> {
    const constants = fixedInitializers(this.model.graph);
    for (const { kind, node } of this.plan.nodes.values()) {
      if (kind !== 'weighted') continue;
      const key = weightKey(node);
      const scales = this.weightScales.get(key) ?? this.weights.get(node).scales;
      const [input, , biasName] = node.input;
      if (!biasName) {
        this.weightScales.set(key, scales);
        continue;
      }
      const bias = this.biases.get(biasName) ?? (await readFloat32(tensorOf(constants.get(biasName)!)));
      this.biases.set(biasName, bias);
      this.weightScales.set(key, scalesForBias(scales, bias, this.scales.get(input)!.scale));
    }
  }

  private weightedInputs(node: NodeProto): string[] {
    const [value, , bias] = node.input;
    const input = this.plan.owned.has(value) ? value : this.quantizedInput(value);
    return [input, this.quantizedWeight(node), ...(bias ? [this.quantizedBias(node)] : [])];
  }

  private quantizedInput(value: string): string {
    return this.once(`input ${value}`, () => {
      const result = this.edit.freshName(`${value}.dequantized`);
      this.quantizeAndBack(value, result, this.scales.get(value)!, value);
      return result;
    });
  }

  private quantizedWeight(node: NodeProto): string {
    const { edit } = this;
    return this.once(`weight ${weightKey(node)}`, () => {
      const { tensor, layout, axis } = this.weights.get(node);
      const [, name] = node.input;
      const scales = this.weightScales.get(weightKey(node))!;
      const dims = axis === null ? [] : [scales.length];
      const parts = [
        edit.initializer(quantizedWeight(edit.freshName(`${name}.quantized`), tensor, layout, scales)),
        edit.initializer(floats(edit.freshName(`${name}.scale`), dims, scales)),
        edit.initializer(zeros8(edit.freshName(`${name}.zero_point`), dims, scales.length)),
      ];
      edit.retire(name);
      return this.dequantize(parts, edit.freshName(`${name}.dequantized`), axis);
    });
  }

  private quantizedBias(node: NodeProto): string {
    const { edit } = this;
    const [value, , name] = node.input;
    const inputScale = this.scales.get(value)!.scale;
    return this.once(`bias ${name} ${weightKey(node)} ${inputScale}`, () => {
      const scales = this.weightScales.get(weightKey(node))!;
      const dims = scales.length === 1 && this.weights.get(node).axis === null ? [] : [scales.length];
      const bias = this.biases.get(name)!;
      const products = scales.map((scale) => scale * inputScale);
      const parts = [
        edit.initializer(ints32(edit.freshName(`${name}.quantized`), [bias.length], quantizedBias(bias, products))),
        edit.initializer(floats(edit.freshName(`${name}.scale`), dims, products)),
      ];
      edit.retire(name);
      return this.dequantize(parts, edit.freshName(`${name}.dequantized`), dims.length === 0 ? null : 0);
    });
  }

  private once(key: string, write: () => string): string {
    const name = this.written.get(key) ?? write();
    this.written.set(key, name);
    return name;
  }

  private dequantize(parts: readonly string[], output: string, axis: number | null): string {
    const attribute = axis === null ? [] : [intAttribute('axis', axis)];
    return this.edit.node('DequantizeLinear', parts, output, { attribute });
  }

  private quantizeAndBack(from: string, to: string, { scale, zeroPoint }: ActivationScale, label: string): void {
    const { edit } = this;
    const parts = [
      edit.initializer(scalarFloat(edit.freshName(`${label}.scale`), scale)),
      edit.initializer(scalarU8(edit.freshName(`${label}.zero_point`), zeroPoint)),
    ];
    const quantized = edit.node('QuantizeLinear', [from, ...parts], edit.freshName(`${label}.quantized`));
    edit.node('DequantizeLinear', [quantized, ...parts], to, { name: edit.freshName(`${label}.dequantize`) });
  }
}
