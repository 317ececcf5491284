import { BinCounter, type BinCounts } from '../tensor/bins.js';
import { floatsOf, type TensorValue } from './value.js';

/** What becomes of an output over all runs: counts of its values, or one number for each place, NaN where any was. */
export type TallyKind = 'bins' | 'min' | 'max' | 'sum';

/** By output. */
export type TallyKinds = ReadonlyMap<string, TallyKind>;

export interface Tallies {
  /** Of outputs whose values are counted. */
  readonly bins: ReadonlyMap<string, BinCounts>;
  /** Of the others, which have the same shape at every run. */
  readonly folded: ReadonlyMap<string, Float64Array>;
}

const FOLDS: Readonly<Record<Exclude<TallyKind, 'bins'>, (a: number, b: number) => number>> = {
  min: Math.min,
  max: Math.max,
  sum: (a, b) => a + b,
};

/** Puts outputs of runs together where they are: passing them on would take longer than a run. */
export class Tally implements Tallies {
  readonly bins = new Map<string, BinCounter>();
  readonly folded = new Map<string, Float64Array>();

  add(outputs: ReadonlyMap<string, TensorValue>, kinds: TallyKinds): void {
    for (const [name, kind] of kinds) {
      const values = floatsOf(outputs.get(name)!);
      if (kind === 'bins') {
        const counter = this.bins.get(name) ?? new BinCounter();
        this.bins.set(name, counter);
        counter.add(values);
        continue;
      }
      const before = this.folded.get(name);
      if (before === undefined) this.folded.set(name, new Float64Array(values));
      else for (let i = 0; i < before.length; i++) before[i] = FOLDS[kind](before[i], values[i]);
    }
  }
}
