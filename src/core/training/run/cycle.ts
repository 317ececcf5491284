import { Random } from '../../bytes/random.js';

/**
 * An endless order of examples in which every stratum comes equally often and every example of a stratum before any comes
 * again. The n-th example depends on the seed and n alone, so a resumed run goes on where it was.
 */
export class StratifiedCycle {
  private readonly strata: readonly (readonly number[])[];
  private readonly orders: { epoch: number; order: readonly number[] }[];

  /** @param strata - the stratum of each example; not empty */
  constructor(
    strata: readonly string[],
    private readonly seed: string,
  ) {
    const members = new Map<string, number[]>();
    for (const [i, stratum] of strata.entries()) {
      const known = members.get(stratum);
      if (known) known.push(i);
      else members.set(stratum, [i]);
    }
    this.strata = [...members.keys()].sort().map((stratum) => members.get(stratum)!);
    this.orders = this.strata.map(() => ({ epoch: -1, order: [] }));
  }

  /** Index of the n-th example, n from 0. */
  at(n: number): number {
    const which = n % this.strata.length;
    const members = this.strata[which];
    const place = Math.floor(n / this.strata.length);
    const epoch = Math.floor(place / members.length);
    const known = this.orders[which];
    if (known.epoch !== epoch) {
      known.order = new Random(`${this.seed}/${which}/${epoch}`).permutation(members.length);
      known.epoch = epoch;
    }
    return members[known.order[place % members.length]];
  }
}
