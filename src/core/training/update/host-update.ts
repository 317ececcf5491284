import type { OptimizerSettings } from '../graph/optimizer-graph.js';
import { adamW, average, clipFactor, globalNorm } from './adamw.js';
import type { Parameters } from './parameters.js';

/** Gradients of one run that are added later, by slab. */
export interface HeldGradients {
  readonly gradients: ReadonlyMap<string, Float32Array>;
  readonly factor: number;
}

/** Gradients are added up and applied by the host: see `ResidentUpdate` for the device. */
export class HostUpdate {
  private readonly sums = new Map<string, Float32Array>();
  /** Slabs that the step's runs have given gradients of. */
  private readonly touched = new Set<string>();

  constructor(
    private readonly parameters: Parameters,
    private readonly settings: OptimizerSettings,
  ) {}

  /** Adds the gradients of one run, by slab, times `factor`. */
  add(gradients: ReadonlyMap<string, Float32Array>, factor: number): void {
    for (const [name, gradient] of gradients) {
      addTimes(this.sumOf(name, gradient.length), gradient, factor, !this.touched.has(name));
      this.touched.add(name);
    }
  }

  /** Slabs that have a gradient, in the order of the first. */
  get touchedSlabs(): readonly string[] {
    return [...this.touched];
  }

  /** The sum of a slab's gradients. */
  sumOf(name: string, length: number): Float32Array {
    const sum = this.sums.get(name) ?? new Float32Array(length);
    this.sums.set(name, sum);
    return sum;
  }

  /** Adds to a piece of a slab's sum what runs gave, in their order. @param isFirst - nothing has been added before */
  addHeld(name: string, held: readonly HeldGradients[], start: number, end: number, isFirst: boolean): void {
    const sum = this.sums.get(name)!.subarray(start, end);
    let first = isFirst;
    for (const { gradients, factor } of held) {
      const gradient = gradients.get(name);
      if (gradient === undefined) continue;
      addTimes(sum, gradient.subarray(start, end), factor, first);
      first = false;
    }
  }

  /** The sums of these slabs, in this order, are those of the step. */
  touch(names: readonly string[]): void {
    this.touched.clear();
    for (const name of names) this.touched.add(name);
  }

  /** Forgets the gradients of a step that did not come to its end. */
  discard(): void {
    this.touched.clear();
  }

  /**
   * One step by the gradients added since the last. Where their norm is no finite number, everything stays as it was.
   * @returns the norm, before clipping
   */
  update(lr: number): number {
    const states = this.parameters.states.filter(({ slab }) => this.touched.has(slab.name));
    const norm = globalNorm(Array.from(this.touched, (name) => this.sums.get(name)!));
    const { clipNorm, averageDecay } = this.settings;
    const scale = clipFactor(norm, clipNorm);
    if (Number.isFinite(norm)) {
      for (const state of states) {
        state.updates++;
        const weightDecay = state.slab.decayed ? this.settings.weightDecay : 0;
        const settings = { ...this.settings, lr, weightDecay, step: state.updates };
        adamW(state, this.sums.get(state.slab.name)!, settings, scale);
        if (state.average) average(state.average, state.parameters, averageDecay, state.updates);
      }
    }
    this.touched.clear();
    return norm;
  }
}

function addTimes(sum: Float32Array, gradient: Float32Array, factor: number, isFirst: boolean): void {
  if (!isFirst) for (let i = 0; i < sum.length; i++) sum[i] += factor * gradient[i];
  else if (factor === 1) sum.set(gradient);
  else for (let i = 0; i < sum.length; i++) sum[i] = factor * gradient[i];
}
