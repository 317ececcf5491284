import type { OptimizerSettings } from '../graph/optimizer-graph.js';
import { adamW, average, clipFactor, globalNorm } from './adamw.js';
import type { Parameters } from './parameters.js';

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
      const sum = this.sums.get(name) ?? new Float32Array(gradient.length);
      this.sums.set(name, sum);
      if (this.touched.has(name)) for (let i = 0; i < sum.length; i++) sum[i] += factor * gradient[i];
      else if (factor === 1) sum.set(gradient);
      else for (let i = 0; i < sum.length; i++) sum[i] = factor * gradient[i];
      this.touched.add(name);
    }
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
