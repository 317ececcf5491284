import { withOutputs } from '../../autodiff/emitter.js';
import type { OnnxModel } from '../../onnx/model.js';
import type { DeviceValue, LocalSession } from '../../runtime/ort.js';
import { float32Value, floatsOf, type TensorValue } from '../../runtime/value.js';
import type { EngineOptions } from '../engines/engine.js';
import { openOnDevice } from '../engines/onnxruntime.js';
import {
  buildOptimizer,
  CORRECTION_ROWS,
  CORRECTIONS,
  correctionsOf,
  FACTOR,
  gradientName,
  LEARNING_RATE,
  type OptimizerSettings,
  partName,
  partsOf,
  type SlabPart,
} from '../graph/optimizer-graph.js';
import { vectorModel } from '../graph/vector-model.js';
import type { Parameters, SlabState } from '../update/parameters.js';

type Held = TensorValue | DeviceValue;

interface Optimizer {
  readonly session: LocalSession;
  readonly norm: string;
  /** Of each slab, the outputs that are its vectors after the step. */
  readonly updated: readonly ReadonlyMap<SlabPart, string>[];
}

/**
 * Parameters, moments and averages in the memory of the device: gradients are added up and applied there, and nothing but the norm
 * and the losses reaches the host until it asks.
 */
export class ResidentUpdate {
  /** By `partName`; the values of the host until the first step has made newer ones. */
  private readonly vectors = new Map<string, Held>();
  private readonly sums = new Map<string, DeviceValue>();
  private readonly optimizers = new Map<string, Promise<Optimizer>>();
  private helpers: { readonly add: Promise<LocalSession>; readonly copy: Promise<LocalSession> } | null = null;
  /** Whether the host's values are those of an earlier step. */
  private ahead = false;

  constructor(
    private readonly parameters: Parameters,
    private readonly settings: OptimizerSettings,
    private readonly options: EngineOptions,
  ) {}

  /** The parameters by slab, for sessions on the same device. */
  feeds(): ReadonlyMap<string, Held> {
    if (this.vectors.size === 0) {
      for (const state of this.parameters.states)
        for (const [part, data] of this.hostVectors(state))
          this.vectors.set(partName(state.slab, part), float32Value([data.length], data));
    }
    return this.vectors;
  }

  private hostVectors(state: SlabState): (readonly [SlabPart, Float32Array])[] {
    return partsOf(this.settings.averageDecay > 0).map((part) => [part, state[part]!] as const);
  }

  /** Adds the gradients of one run, by slab; they belong to this from now on. */
  async add(gradients: ReadonlyMap<string, DeviceValue>): Promise<void> {
    for (const [name, gradient] of gradients) {
      const sum = this.sums.get(name);
      if (!sum) {
        this.sums.set(name, gradient);
        continue;
      }
      const session = await this.openHelpers().add;
      const both = new Map([
        ['a', sum],
        ['b', gradient],
      ]);
      const { resident } = await session.runResident(both);
      sum.release();
      gradient.release();
      this.sums.set(name, resident.values().next().value!);
    }
  }

  /** Forgets the gradients of a step that did not come to its end. */
  discard(): void {
    for (const sum of this.sums.values()) sum.release();
    this.sums.clear();
  }

  /**
   * One step by the gradients added since the last, all multiplied by `factor`. Where their norm is no finite number, everything
   * stays as it was.
   * @returns the norm, before clipping
   */
  async update(lr: number, factor: number): Promise<number> {
    const states = this.parameters.states.filter(({ slab }) => this.sums.has(slab.name));
    const { session, norm, updated } = await this.optimizer(states);
    const vectors = this.feeds();
    const feeds = new Map<string, Held>();
    for (const { slab } of states) {
      for (const part of updated[0].keys()) feeds.set(partName(slab, part), vectors.get(partName(slab, part))!);
      feeds.set(gradientName(slab), this.sums.get(slab.name)!);
    }
    const corrections = states.flatMap(({ updates }) => correctionsOf(updates + 1, this.settings));
    feeds.set(CORRECTION_ROWS, float32Value([states.length, CORRECTIONS], Float32Array.from(corrections)));
    feeds.set(LEARNING_RATE, float32Value([], Float32Array.of(lr)));
    feeds.set(FACTOR, float32Value([], Float32Array.of(factor)));
    const { values, resident } = await session.runResident(feeds);
    this.discard();
    const [length] = floatsOf(values.get(norm)!);
    if (Number.isFinite(length)) this.adopt(states, updated, resident);
    else for (const value of resident.values()) value.release();
    return length;
  }

  private adopt(
    states: readonly SlabState[],
    updated: Optimizer['updated'],
    resident: ReadonlyMap<string, DeviceValue>,
  ): void {
    for (const [i, state] of states.entries()) {
      state.updates++;
      for (const [part, output] of updated[i]) {
        const name = partName(state.slab, part);
        const old = this.vectors.get(name)!;
        if ('release' in old) old.release();
        this.vectors.set(name, resident.get(output)!);
      }
    }
    this.ahead = true;
  }

  /** Brings the values of the host up to the last step. */
  async settle(): Promise<void> {
    if (!this.ahead) return;
    const session = await this.openHelpers().copy;
    for (const state of this.parameters.states) {
      for (const [part, data] of this.hostVectors(state)) {
        const value = this.vectors.get(partName(state.slab, part))!;
        if (!('release' in value)) continue;
        const { values } = await session.runResident(new Map([['a', value]]));
        data.set(floatsOf(values.values().next().value!));
      }
    }
    this.ahead = false;
  }

  private optimizer(states: readonly SlabState[]): Promise<Optimizer> {
    const key = states.map(({ slab }) => slab.name).join();
    const known = this.optimizers.get(key);
    if (known) return known;
    const opened = this.openOptimizer(states);
    this.optimizers.set(key, opened);
    return opened;
  }

  private async openOptimizer(states: readonly SlabState[]): Promise<Optimizer> {
    const graph = buildOptimizer(
      states.map(({ slab }) => slab),
      this.settings,
    );
    const { norm, updated } = graph;
    const stays = updated.flatMap((parts) => [...parts.values()]);
    const { session } = await openOnDevice(withOutputs(graph, [norm, ...stays]).model, this.options, stays);
    return { session, norm, updated };
  }

  private openHelpers(): { readonly add: Promise<LocalSession>; readonly copy: Promise<LocalSession> } {
    const open = async (model: OnnxModel, stays: boolean): Promise<LocalSession> => {
      const resident = stays ? model.graph.output.map(({ name }) => name) : [];
      return (await openOnDevice(model, this.options, resident)).session;
    };
    this.helpers ??= {
      add: open(vectorModel('Add', ['a', 'b']), true),
      copy: open(vectorModel('Identity', ['a']), false),
    };
    return this.helpers;
  }

  async release(): Promise<void> {
    this.discard();
    for (const value of this.vectors.values()) if ('release' in value) value.release();
    this.vectors.clear();
    for (const optimizer of this.optimizers.values()) await (await optimizer).session.release();
    this.optimizers.clear();
    if (this.helpers) for (const session of Object.values(this.helpers)) await (await session).release();
    this.helpers = null;
  }
}
