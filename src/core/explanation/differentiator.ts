import { bindShapes, inferShapes } from '../autodiff/bind.js';
import { withOutputs } from '../autodiff/emitter.js';
import { type BoundGraph, isFloatType, type TensorType } from '../autodiff/types.js';
import { HpsError } from '../errors.js';
import { extractSubgraph } from '../onnx/extract.js';
import { DATA_TYPE, type OnnxModel } from '../onnx/model.js';
import { concatRows, floatsOf, type TensorValue } from '../runtime/value.js';
import { numel } from '../tensor/shape.js';
import type { GradientSession } from '../training/engines/engine.js';
import { onnxruntimeEngine } from '../training/engines/onnxruntime.js';
import { type Decision, LOGIT, TOTAL } from './decision.js';

/** Feeds of one row, by the names of the graph. */
export type RowFeeds = ReadonlyMap<string, TensorValue>;

/** What a run tells of its rows. Arrays are the caller's. */
export interface Gradients {
  /** f of each row. */
  readonly logits: Float32Array;
  /** d f / d value of all rows, one after the other; zeros where f does not depend on the value. */
  readonly gradients: ReadonlyMap<string, Float32Array>;
  /** The values of the last run, if asked for. */
  readonly values: ReadonlyMap<string, TensorValue>;
}

export interface DifferentiatorOptions {
  /** Values to differentiate by; what they are may depend on the types of all values, which are known once sizes are. */
  readonly wrt: readonly string[] | ((types: ReadonlyMap<string, TensorType>) => readonly string[]);
  /** Values that are fed in place of what computes them. */
  readonly fed?: readonly string[];
  /** Whether the values themselves are handed out too. */
  readonly withValues?: boolean;
  readonly threads?: number;
}

/** Memory that one run of a gradient graph may take for its values, roughly. */
const RUN_BYTES = 768 * 2 ** 20;
/** More rows than this make no run faster. */
const MOST_ROWS = 12;
/** Rows from which on it pays to have the weights in the order of the kernels, which takes as long as some runs (measured). */
const PACKING_ROWS = 48;

const CPU_MAPPED = { device: { kind: 'cpu' }, mapWeights: true } as const;

/**
 * f and its gradients, from one graph. It runs at a fixed number of rows: what does not fill is filled up with repeats.
 * @throws HpsError GRADIENT_UNSUPPORTED naming the operator on the way that has no gradient
 */
export class Differentiator {
  private constructor(
    private readonly session: GradientSession,
    readonly rows: number,
    private readonly wrt: readonly string[],
    private readonly withValues: boolean,
    /** Inputs, without what the cut has left behind. */
    private readonly inputs: readonly string[],
    private readonly shapes: ReadonlyMap<string, readonly number[]>,
  ) {}

  /**
   * @param example - a row: the sizes to work with
   * @param wanted - rows that will be asked for at a time; fewer are run at once where memory says so
   */
  static async open(
    { model }: Decision,
    example: RowFeeds,
    options: DifferentiatorOptions,
    wanted = 1,
  ): Promise<Differentiator> {
    const { fed = [], withValues = false, threads } = options;
    const cut = cutAt(model, fed);
    const inputs = cut.graph.input.map(({ name }) => name);
    const feedsOf = (rows: number): Map<string, TensorValue> =>
      new Map(inputs.map((name) => [name, repeated(example.get(name)!, rows)]));
    const most = hasFixedRows(cut) ? 1 : MOST_ROWS;
    let rows = evenly(wanted, most);
    let bound = await inferShapes(cut, feedsOf(rows));
    if (bound === null) {
      rows = 1;
      bound = await bindShapes(cut, feedsOf(rows));
    }
    const fitting = evenly(wanted, Math.min(most, Math.floor((rows * RUN_BYTES) / runBytes(bound))));
    if (fitting !== rows) {
      rows = fitting;
      bound = await bindShapes(cut, feedsOf(rows));
    }
    const wrt = typeof options.wrt === 'function' ? options.wrt(bound.types) : options.wrt;
    const shown = withOutputs(bound, [LOGIT, TOTAL, ...(withValues ? wrt : [])]);
    const loss = { model: shown.model, loss: TOTAL, parameters: wrt, bound: shown };
    const packWeights = wanted >= PACKING_ROWS;
    const session = await explained(() => onnxruntimeEngine.open(loss, { ...CPU_MAPPED, threads, packWeights }));
    const shapes = new Map(wrt.map((name) => [name, bound.types.get(name)!.shape]));
    return new Differentiator(session, rows, wrt, withValues, inputs, shapes);
  }

  /**
   * @param each - one row after the other; feeds may be the same objects
   * @throws HpsError GRADIENT_NONFINITE
   */
  async run(each: readonly RowFeeds[]): Promise<Gradients> {
    const { wrt } = this;
    const logits = new Float32Array(each.length);
    const strides = new Map(wrt.map((name) => [name, numel(this.shapes.get(name)!) / this.rows]));
    const gradients = new Map(wrt.map((name) => [name, new Float32Array(each.length * strides.get(name)!)]));
    const values = new Map<string, TensorValue>();
    for (let start = 0; start < each.length; start += this.rows) {
      const taken = Array.from({ length: this.rows }, (_, i) => each[Math.min(start + i, each.length - 1)]);
      const feeds = new Map(this.inputs.map((name) => [name, concatRows(taken.map((row) => row.get(name)!))]));
      const step = await this.session.run(feeds);
      const count = Math.min(this.rows, each.length - start);
      logits.set(floatsOf(step.outputs.get(LOGIT)!).subarray(0, count), start);
      for (const [name, target] of gradients) {
        const stride = strides.get(name)!;
        const found = step.gradients.get(name);
        if (found) target.set(found.subarray(0, count * stride), start * stride);
      }
      for (const name of this.withValues ? wrt : []) {
        const { dtype, shape, data } = step.outputs.get(name)!;
        values.set(name, { dtype, shape, data: data.slice() });
      }
    }
    for (const [name, gradient] of gradients) assertFinite(name, gradient);
    return { logits, gradients, values };
  }

  close(): Promise<void> {
    return this.session.release();
  }
}

/** Rows of a run such that all runs are of one size, at most `most`, and the last one is filled up with as little as can be. */
const evenly = (wanted: number, most: number): number => Math.ceil(wanted / Math.ceil(wanted / Math.max(1, most)));

/** Memory that the values of a run take, roughly: a gradient for each beside it. */
function runBytes({ model, types }: BoundGraph): number {
  const weights = new Set(model.graph.initializer.map(({ name }) => name));
  let bytes = 1;
  for (const [name, type] of types) if (isFloatType(type) && !weights.has(name)) bytes += 2 * 4 * numel(type.shape);
  return bytes;
}

/** A graph that is fed inner values. What computed them is left behind, inputs included. */
function cutAt(model: OnnxModel, fed: readonly string[]): OnnxModel {
  if (fed.length === 0) return model;
  const types = new Map(fed.map((name) => [name, { name, type: { tensorType: { elemType: DATA_TYPE.FLOAT } } }]));
  const outputs = new Map(model.graph.output.map((output) => [output.name, output]));
  const inputs = [...fed, ...model.graph.input.map(({ name }) => name)];
  const cut = extractSubgraph(model, { inputs, outputs: [...outputs.keys()], types: new Map([...outputs, ...types]) });
  const used = new Set(cut.graph.node.flatMap(({ input }) => input));
  return { ...cut, graph: { ...cut.graph, input: cut.graph.input.filter(({ name }) => used.has(name)) } };
}

const repeated = (value: TensorValue, rows: number): TensorValue =>
  rows === 1 ? value : concatRows(Array.from({ length: rows }, () => value));

/** A model of another tool may have its batch size built in. */
const hasFixedRows = ({ graph }: OnnxModel): boolean =>
  graph.input.some(({ type }) => type?.tensorType?.shape?.dim[0]?.dimValue !== undefined);

/** Says what helps here: hints of the gradient rules are for training. */
export async function explained<T>(work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof HpsError) || error.code !== 'GRADIENT_UNSUPPORTED') throw error;
    throw new HpsError('GRADIENT_UNSUPPORTED', error.message, {
      hint: 'Explain it with `method` occlusion or leave-one-out, which need no gradient.',
      details: error.details,
      cause: error,
    });
  }
}

function assertFinite(value: string, gradient: Float32Array): void {
  const at = gradient.findIndex((x) => !Number.isFinite(x));
  if (at < 0) return;
  throw new HpsError('GRADIENT_NONFINITE', `the gradient at ${value} is ${gradient[at]}`, {
    hint: 'The model overflows on this input: verify it with `hpsv3 verify`, or explain it with `method` occlusion.',
    details: { value, found: String(gradient[at]) },
  });
}
