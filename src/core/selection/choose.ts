import type { Random } from '../bytes/random.js';

/** Chosen for what it is expected to tell, or by lot. */
export type Reason = 'gain' | 'random';

export interface Choice {
  readonly candidate: number;
  readonly gain: number;
  readonly reason: Reason;
  /** How probable it was that this candidate would be in the queue. */
  readonly propensity: number;
}

export interface ChooseOptions {
  readonly budget: number;
  /** Share of the budget that is drawn by lot. */
  readonly randomShare: number;
  /** Most candidates of one prompt among those chosen for their gain. */
  readonly perPrompt: number;
  readonly promptOf: (candidate: number) => number;
  /** What it takes to judge, in seconds: gains are divided by it. */
  readonly costOf: (candidate: number) => number;
  /** In bits, of each of the candidates, before any is chosen. */
  readonly gains: Float64Array;
  /** As things stand: asked again as more is chosen, and never more than before. */
  readonly gainOf: (candidate: number) => number;
  readonly onChosen: (candidate: number) => void;
  readonly random: Random;
}

/**
 * The next candidates to ask for. Those for their gain come greedily, each in view of what the earlier ones will tell; a gain is computed
 * again only when it is about to win (Minoux 1978). The others are drawn by lot from what is left. Whom the gain chooses, it chooses for
 * certain, so that propensities are exact: 1, and for all others the share of the rest that the lot takes.
 *
 * @param candidates - numbers of candidates
 */
export function choose(candidates: Int32Array, options: ChooseOptions): Choice[] {
  const { random, gainOf } = options;
  const budget = Math.min(options.budget, candidates.length);
  const lots = budget === candidates.length ? 0 : Math.ceil(budget * options.randomShare);
  const greedy = chooseGreedily(candidates, budget - lots, options);
  const taken = new Set(greedy.map(({ candidate }) => candidate));
  const rest = candidates.filter((candidate) => !taken.has(candidate));
  const drawn = Math.min(budget - greedy.length, rest.length);
  for (let i = 0; i < drawn; i++) {
    const other = random.integer(i, rest.length);
    [rest[i], rest[other]] = [rest[other], rest[i]];
  }
  const propensity = drawn / rest.length;
  const byLot = Array.from(rest.subarray(0, drawn), (candidate): Choice => {
    return { candidate, gain: gainOf(candidate), reason: 'random', propensity };
  });
  return spread(greedy, byLot);
}

function chooseGreedily(candidates: Int32Array, count: number, options: ChooseOptions): Choice[] {
  const { promptOf, costOf, gains, gainOf, onChosen, perPrompt } = options;
  const chosen: Choice[] = [];
  if (count === 0) return chosen;
  const rate = gains.map((gain, i) => gain / costOf(candidates[i]));
  const heap = new Heap(rate);
  const fromPrompt = new Map<number, number>();
  while (chosen.length < count && heap.size > 0) {
    const top = heap.top;
    const candidate = candidates[top];
    const prompt = promptOf(candidate);
    const earlier = fromPrompt.get(prompt) ?? 0;
    if (earlier >= perPrompt) {
      heap.pop();
      continue;
    }
    const gain = gainOf(candidate);
    const now = gain / costOf(candidate);
    if (now < rate[top]) {
      rate[top] = now;
      if (heap.settle() !== top) continue;
    }
    heap.pop();
    fromPrompt.set(prompt, earlier + 1);
    chosen.push({ candidate, gain, reason: 'gain', propensity: 1 });
    onChosen(candidate);
  }
  return chosen;
}

/** The second among the first at even distances, so that whoever stops early has some of both. */
function spread(first: readonly Choice[], second: readonly Choice[]): Choice[] {
  const all: Choice[] = [];
  const total = first.length + second.length;
  let taken = 0;
  for (let i = 0; i < total; i++) {
    const due = Math.floor(((i + 1) * second.length) / total);
    all.push(due > taken ? second[taken++] : first[i - taken]);
  }
  return all;
}

/** Places in order of their value, the highest first; of equal ones the first. */
class Heap {
  private readonly places: Uint32Array;
  size: number;

  constructor(private readonly values: Float64Array) {
    this.size = values.length;
    this.places = Uint32Array.from(values.keys());
    for (let i = (this.size >> 1) - 1; i >= 0; i--) this.sink(i);
  }

  get top(): number {
    return this.places[0];
  }

  pop(): void {
    this.places[0] = this.places[--this.size];
    this.sink(0);
  }

  /** Puts the first in its place after its value fell. @returns which is first now */
  settle(): number {
    this.sink(0);
    return this.places[0];
  }

  private sink(at: number): void {
    const { places, size } = this;
    const moving = places[at];
    let hole = at;
    for (;;) {
      let child = 2 * hole + 1;
      if (child >= size) break;
      if (child + 1 < size && this.isBefore(places[child + 1], places[child])) child++;
      if (!this.isBefore(places[child], moving)) break;
      places[hole] = places[child];
      hole = child;
    }
    places[hole] = moving;
  }

  private isBefore(a: number, b: number): boolean {
    return this.values[a] > this.values[b] || (this.values[a] === this.values[b] && a < b);
  }
}
