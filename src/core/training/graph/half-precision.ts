import { Emitter } from '../../autodiff/emitter.js';
import type { BoundGraph, Operand } from '../../autodiff/types.js';
import { DATA_TYPE, intAttribute, type NodeProto } from '../../onnx/model.js';
import { isStandard } from '../../onnx/passes/uses.js';

/** Products: what float16 is for. Norms, softmaxes, sums and all that is added stay float32. */
const PRODUCTS: ReadonlySet<string> = new Set(['MatMul', 'Gemm', 'Conv', 'ConvTranspose']);

/**
 * The graph with products in float16 between casts, everything else as it was (Micikevicius et al., 2018): weights stay float32
 * and are cast where they are used. A gradient of the graph then has its products in float16 too, since that of a cast is a cast.
 * Products that no parameter reaches stay float32: the spectra of a log-mel are among them, whose logarithm would lose.
 */
export function withHalfProducts(bound: BoundGraph, parameters: readonly string[]): BoundGraph {
  const rewriter = new HalfProducts(bound);
  const reached = new Set(parameters);
  for (const node of bound.model.graph.node) {
    const isReached = node.input.some((name) => reached.has(name));
    if (isReached) for (const name of node.output) reached.add(name);
    rewriter.visit(node, isReached);
  }
  return rewriter.finish();
}

class HalfProducts {
  private readonly nodes: NodeProto[] = [];
  private readonly types: Map<string, Operand>;
  /** Float16 forms of values, by name. */
  private readonly halves = new Map<string, string>();

  constructor(private readonly bound: BoundGraph) {
    this.types = new Map(Array.from(bound.types, ([name, type]) => [name, { name, ...type }]));
  }

  visit(node: NodeProto, isReached: boolean): void {
    const values = node.input.filter(Boolean);
    const isFloat = values.every((name) => this.types.get(name)?.dtype === 'F32');
    if (!isReached || !isFloat || !isStandard(node) || !PRODUCTS.has(node.opType)) {
      this.nodes.push(node);
      return;
    }
    const [result] = node.output;
    const half = `${result}/product.half`;
    const input = node.input.map((name) => name && this.half(name));
    this.type(half, 'F16', result);
    this.nodes.push({ ...node, input, output: [half] }, castNode(half, result, DATA_TYPE.FLOAT));
  }

  private half(name: string): string {
    const known = this.halves.get(name);
    if (known) return known;
    const half = `${name}/half`;
    this.type(half, 'F16', name);
    this.nodes.push(castNode(name, half, DATA_TYPE.FLOAT16));
    this.halves.set(name, half);
    return half;
  }

  private type(name: string, dtype: 'F16', like: string): void {
    this.types.set(name, { name, dtype, shape: this.types.get(like)!.shape });
  }

  finish(): BoundGraph {
    const { model, constants } = this.bound;
    return {
      model: { ...model, graph: { ...model.graph, node: this.nodes } },
      types: new Map(Array.from(this.types, ([name, { dtype, shape }]) => [name, { dtype, shape }])),
      constants,
    };
  }
}

const castNode = (from: string, to: string, type: number): NodeProto => ({
  name: `${to}.cast`,
  opType: 'Cast',
  input: [from],
  output: [to],
  attribute: [intAttribute('to', type)],
});

/** Input of a loss model in mixed precision: what its loss is multiplied by before it is differentiated, []. */
export const LOSS_SCALE = 'loss_scale';

export interface ScaledLoss {
  readonly graph: BoundGraph;
  /** The scale. */
  readonly input: Operand;
  /** Name of the product. */
  readonly scaled: string;
}

/** Appends the loss times its scale. */
export function scaleLoss(bound: BoundGraph, loss: string): ScaledLoss {
  const input: Operand = { name: LOSS_SCALE, dtype: 'F32', shape: [] };
  const types = new Map([...bound.types, [LOSS_SCALE, { dtype: input.dtype, shape: input.shape }] as const]);
  const graph = new Emitter({ ...bound, types }, 'scale/');
  const scaled = graph.mul(graph.operand(loss), input);
  return { graph: graph.finish(), input, scaled: scaled.name };
}

/** Saved with a run. */
export interface LossScaleState {
  readonly scale: number;
  /** Steps since it last changed. */
  readonly good: number;
}

/** Where a scale starts, and after how many steps without an overflow it doubles: as torch.amp.GradScaler. */
const FIRST_SCALE = 2 ** 16;
const GROWTH_INTERVAL = 2000;
/** Below this, gradients are not finite for another reason than the scale. */
const LEAST_SCALE = 1;

/** The factor that keeps small gradients above float16's least: halved where they overflow, doubled when they have not for long. */
export class LossScale {
  constructor(private current: LossScaleState = { scale: FIRST_SCALE, good: 0 }) {}

  get state(): LossScaleState {
    return this.current;
  }

  get scale(): number {
    return this.current.scale;
  }

  /** Takes note of a step. @returns whether training can go on */
  update(finite: boolean): boolean {
    const { scale, good } = this.current;
    if (!finite) this.current = { scale: scale / 2, good: 0 };
    else if (good + 1 < GROWTH_INTERVAL) this.current = { scale, good: good + 1 };
    else this.current = { scale: scale * 2, good: 0 };
    return this.current.scale >= LEAST_SCALE;
  }
}
