import { formatDevice } from '../../runtime/device.js';
import type { LocalSession } from '../../runtime/ort.js';
import { concatRows, float32Value, floatsOf, type TensorValue, takeRows } from '../../runtime/value.js';
import type { EngineOptions } from '../engines/engine.js';
import { type BoundLossModel, differentiate, openOnDevice } from '../engines/onnxruntime.js';
import { buildLoop, firstName, lastName, NORM, STEPS, stackedName } from '../graph/loop-graph.js';
import {
  CORRECTION_ROWS,
  CORRECTIONS,
  correctionsOf,
  FACTOR,
  LEARNING_RATE,
  type OptimizerSettings,
  partName,
  partsOf,
  type SlabPart,
} from '../graph/optimizer-graph.js';
import type { Parameters, SlabState } from '../update/parameters.js';

/** What one of several steps in a run gave. */
export interface LoopStep {
  /** Of the loss model. */
  readonly outputs: ReadonlyMap<string, TensorValue>;
  readonly gradientNorm: number;
}

/** A model whose session takes several steps in one run; in between, weights are where the session computes. */
export class LoopSession {
  private constructor(
    readonly device: string,
    private readonly session: LocalSession,
    private readonly states: readonly SlabState[],
    private readonly outputs: readonly string[],
    private readonly settings: OptimizerSettings,
  ) {}

  static async open(
    model: BoundLossModel,
    parameters: Parameters,
    settings: OptimizerSettings,
    options: EngineOptions,
  ): Promise<LoopSession> {
    const differentiated = await differentiate(model);
    const states = parameters.states.filter(({ slab }) => differentiated.gradients.has(slab.name));
    const slabs = states.map(({ slab }) => slab);
    const { session, device } = await openOnDevice(buildLoop(differentiated, slabs, settings), options);
    return new LoopSession(formatDevice(device), session, states, differentiated.outputs, settings);
  }

  /**
   * Steps in a row; the parameters are those after the last. A step whose norm is no finite number leaves them as they were.
   * @param batches - the data of each step
   * @param rates - the learning rate of each step
   * @param factor - what gradients are multiplied by
   */
  async run(
    batches: readonly ReadonlyMap<string, TensorValue>[],
    rates: readonly number[],
    factor: number,
  ): Promise<LoopStep[]> {
    const steps = batches.length;
    const feeds = new Map<string, TensorValue>([
      [STEPS, { dtype: 'I64', shape: [], data: BigInt64Array.of(BigInt(steps)) }],
      [stackedName(LEARNING_RATE), float32Value([steps], Float32Array.from(rates))],
      [stackedName(CORRECTION_ROWS), this.corrections(steps)],
      [FACTOR, float32Value([], Float32Array.of(factor))],
    ]);
    for (const name of batches[0].keys())
      feeds.set(stackedName(name), concatRows(batches.map((batch) => asRow(batch.get(name)!))));
    for (const [name, data] of this.vectors()) feeds.set(firstName(name), float32Value([data.length], data));
    const known = new Set(this.session.inputs.map(({ name }) => name));
    const results = await this.session.run(new Map([...feeds].filter(([name]) => known.has(name))));
    for (const [name, data] of this.vectors()) data.set(floatsOf(results.get(lastName(name))!));
    const norms = floatsOf(results.get(stackedName(NORM))!);
    const taken = norms.filter(Number.isFinite).length;
    for (const state of this.states) state.updates += taken;
    return Array.from(norms, (gradientNorm, step) => {
      const outputs = new Map(
        this.outputs.map((name) => [name, takeRows(results.get(stackedName(name))!, [step])] as const),
      );
      return { outputs, gradientNorm };
    });
  }

  private corrections(steps: number): TensorValue {
    const values = Array.from({ length: steps }, (_, taken) =>
      this.states.map(({ updates }) => correctionsOf(updates + taken + 1, this.settings)),
    );
    return float32Value([steps, this.states.length, CORRECTIONS], Float32Array.from(values.flat(2)));
  }

  private vectors(): (readonly [string, Float32Array])[] {
    const parts: readonly SlabPart[] = partsOf(this.settings.averageDecay > 0);
    return this.states.flatMap((state) => parts.map((part) => [partName(state.slab, part), state[part]!] as const));
  }

  release(): Promise<void> {
    return this.session.release();
  }
}

/** A copy as the one element of a stack. */
const asRow = (value: TensorValue): TensorValue => ({ ...value, shape: [1, ...value.shape] });
