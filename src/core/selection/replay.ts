import { Random } from '../bytes/random.js';
import { turns } from '../run.js';
import { percentileInterval } from '../stats/bootstrap.js';
import type { Interval } from '../stats/interval.js';
import { informationGain } from './acquisition.js';
import { Beliefs } from './beliefs.js';
import { choose } from './choose.js';
import { countVotes, NO_VOTES, type PairVotes, votesOn } from './davidson.js';
import { FIRST_SCALE, fitScale, priorOf, type Scale, type ScaleOptions } from './scale.js';
import type { Pairs } from './utilities.js';

/** Pairs that raters can be asked about, and what they would say. */
export interface World {
  /** What utilities are once all is known. */
  readonly truth: Float64Array;
  /** The next vote on a pair; undefined where there is none left. */
  vote(pair: number): number | undefined;
  hasVotes(pair: number): boolean;
}

export const REPLAY_METRICS = ['kendall', 'accuracy'] as const;
export type ReplayMetric = (typeof REPLAY_METRICS)[number];

export interface ReplayPool extends Pairs {
  readonly prompt: Int32Array;
  readonly prompts: number;
}

export interface ReplayOptions {
  readonly pool: ReplayPool;
  readonly scale: ScaleOptions;
  /** What a method that looks at the model alone makes of each pair, in bits; without it, the gain of the posterior. */
  readonly modelGain?: Float64Array;
  readonly worldOf: (replay: number) => World;
  readonly replays: number;
  readonly batch: number;
  /** Share of the way from no labels to all that is to be gone. */
  readonly target: number;
  readonly metric: ReplayMetric;
  readonly seed: number;
  readonly signal?: AbortSignal;
  /** Receives the share that is done. */
  readonly onProgress?: (share: number) => void;
}

/** Labels and the metric by prompt, one after another batch; equally long in all replays. */
interface Curve {
  readonly labels: Float64Array[];
  readonly values: Float64Array[];
}

export interface ReplayedMethod {
  /** Labels at which the mean curve reaches the goal; null where it does not. */
  readonly labels: number | null;
  readonly ci: Interval | null;
  /** Mean over the replays. */
  readonly curve: readonly { readonly labels: number; readonly value: number }[];
}

export interface ReplayResult {
  /** The metric without labels, with all of them, and what is to be reached. */
  readonly start: number;
  readonly full: number;
  readonly goal: number;
  readonly chosen: ReplayedMethod;
  readonly atRandom: ReplayedMethod;
  /** 1 - labels of the method / labels of random; above 0 where it needs fewer. Null where the target was not reached. */
  readonly saving: { readonly value: number | null; readonly ci: Interval | null };
}

const RESAMPLES = 1000;
/** The prior's scale is fitted again once there are so many times as many labels. */
const RESCALE = 1.3;
/** Curves go on beyond the target by this share of what is left, so that it is reached in resamples too. */
const BEYOND = 0.5;

/**
 * Labels as if they were not there, then asked for one batch after another: by the method, and at random. Both estimate utilities the same
 * way, so that they differ in what they ask alone. Intervals resample prompts and replays.
 */
export async function replay(options: ReplayOptions): Promise<ReplayResult> {
  const { replays, target, seed, pool, signal } = options;
  const turn = turns(signal);
  const every = Int32Array.from({ length: replays }, (_, i) => i);
  const scorers = Array.from(every, (i) => scorerOf(options, options.worldOf(i)));
  const average = (of: (scorer: Scorer) => number) => scorers.reduce((sum, scorer) => sum + of(scorer), 0) / replays;
  const start = average((scorer) => mean(scorer.start));
  const full = average((scorer) => mean(scorer.full));
  const stop = start + (target + BEYOND * (1 - target)) * (full - start);
  const goal = start + target * (full - start);
  const labelled = async (atRandom: boolean, done: number): Promise<Curve[]> => {
    const ways = scorers.map(
      (scorer, i) => new Labelling(options, options.worldOf(i), scorer, `${seed}/${i}/${atRandom}`, atRandom),
    );
    for (let going = true; going; ) {
      going = false;
      for (const way of ways) {
        going = way.step() || going;
        await turn();
      }
      const reached = ways.reduce((sum, { value }) => sum + value, 0) / replays;
      options.onProgress?.(done + Math.min(0.5, (0.5 * (reached - start)) / (stop - start)));
      if (reached >= stop) break;
    }
    return ways.map(({ curve }) => curve);
  };
  const curves = { chosen: await labelled(false, 0), atRandom: await labelled(true, 0.5) };
  const needed = (which: 'chosen' | 'atRandom', of: Int32Array, prompts: Float64Array) =>
    labelsAt(curves[which], of, prompts, goal);
  const once = new Float64Array(pool.prompts).fill(1);
  const [chosen, atRandom] = [needed('chosen', every, once), needed('atRandom', every, once)];
  const draws = { chosen: [] as number[], atRandom: [] as number[], saving: [] as number[] };
  const source = new Random(`${seed}/replay-bootstrap`);
  const prompts = new Float64Array(pool.prompts);
  for (let resample = 0; resample < RESAMPLES; resample++) {
    source.countDraws(prompts);
    const drawn = every.map(() => source.integer(0, replays));
    const [m, r] = [needed('chosen', drawn, prompts), needed('atRandom', drawn, prompts)];
    if (m !== null && r !== null) {
      draws.chosen.push(m);
      draws.atRandom.push(r);
      draws.saving.push(1 - m / r);
    }
    await turn();
  }
  const interval = (labels: number | null, values: number[]): Interval | null =>
    labels === null || values.length < 0.95 * RESAMPLES ? null : percentileInterval(Float64Array.from(values).sort());
  const saving = chosen === null || atRandom === null ? null : 1 - chosen / atRandom;
  return {
    start,
    full,
    goal,
    chosen: { labels: chosen, ci: interval(chosen, draws.chosen), curve: meanCurve(curves.chosen) },
    atRandom: { labels: atRandom, ci: interval(atRandom, draws.atRandom), curve: meanCurve(curves.atRandom) },
    saving: { value: saving, ci: interval(saving, draws.saving) },
  };
}

/** The metric of each prompt that has one. */
interface Scorer {
  score(beliefs: { meanOf(item: number): number }, prompt: number): number;
  readonly start: Float64Array;
  readonly full: Float64Array;
}

/** Utilities closer than this are equal: where votes say the same of two items, their posteriors differ by where the sweeps ended. */
const EQUAL = 1e-3;
const signOf = (d: number): number => (Math.abs(d) < EQUAL ? 0 : Math.sign(d));

function scorerOf({ pool, scale, metric }: ReplayOptions, world: World): Scorer {
  const { left, right, prompt, prompts } = pool;
  const comparisons = Array.from({ length: prompts }, (): { a: number; b: number; won: number; of: number }[] => []);
  if (metric === 'kendall') {
    const items = Array.from({ length: prompts }, () => new Set<number>());
    for (let pair = 0; pair < left.length; pair++) items[prompt[pair]].add(left[pair]).add(right[pair]);
    for (const [p, set] of items.entries()) {
      const list = [...set].sort((a, b) => a - b);
      for (let i = 0; i < list.length; i++)
        for (let j = 0; j < i; j++) {
          const won = signOf(world.truth[list[i]] - world.truth[list[j]]);
          if (won !== 0) comparisons[p].push({ a: list[i], b: list[j], won, of: 1 });
        }
    }
  } else {
    for (let pair = 0; pair < left.length; pair++) {
      const votes = allVotes(world, pair);
      const lead = votes.left - votes.right;
      comparisons[prompt[pair]].push({ a: left[pair], b: right[pair], won: lead, of: votesOn(votes) });
    }
  }
  const score = (beliefs: { meanOf(item: number): number }, p: number): number => {
    let [sum, total] = [0, 0];
    for (const { a, b, won, of } of comparisons[p]) {
      sum += signOf(beliefs.meanOf(a) - beliefs.meanOf(b)) * won;
      total += of;
    }
    const agreement = total === 0 ? Number.NaN : sum / total;
    return metric === 'kendall' ? agreement : (1 + agreement) / 2;
  };
  const of = (meanOf: (item: number) => number) =>
    Float64Array.from({ length: prompts }, (_, p) => score({ meanOf }, p));
  return { score, start: of((item) => scale.utilities[item]), full: of((item) => world.truth[item]) };
}

function allVotes(world: World, pair: number): PairVotes {
  const votes: number[] = [];
  for (let vote = world.vote(pair); vote !== undefined; vote = world.vote(pair)) votes.push(vote);
  return countVotes(votes);
}

/** Mean over the prompts that have a value, each counting as often as given. */
function mean(values: Float64Array, weights?: Float64Array): number {
  let [sum, total] = [0, 0];
  for (let p = 0; p < values.length; p++) {
    if (Number.isNaN(values[p])) continue;
    const weight = weights ? weights[p] : 1;
    sum += weight * values[p];
    total += weight;
  }
  return total > 0 ? sum / total : 0;
}

/** One replay of one way to choose, batch by batch. */
class Labelling {
  readonly curve: Curve;
  private readonly beliefs: Beliefs;
  private readonly random: Random;
  private readonly votes: PairVotes[];
  private readonly pairs: Int32Array;
  private scale: Scale;
  private asked = 0;
  private scaled = 0;

  constructor(
    private readonly options: ReplayOptions,
    private readonly world: World,
    private readonly scorer: Scorer,
    seed: string,
    private readonly atRandom: boolean,
  ) {
    const { pool, scale } = options;
    this.scale = { ...FIRST_SCALE, deviation: scale.deviation ?? FIRST_SCALE.deviation };
    this.beliefs = new Beliefs(priorOf(scale, this.scale));
    this.random = new Random(seed);
    this.votes = new Array<PairVotes>(pool.left.length).fill(NO_VOTES);
    this.pairs = Int32Array.from(pool.left.keys());
    this.curve = { labels: [new Float64Array(pool.prompts)], values: [Float64Array.from(scorer.start)] };
  }

  get value(): number {
    return mean(this.curve.values.at(-1)!);
  }

  /** Asks for one batch, and learns from it. @returns whether there was anything to ask for */
  step(): boolean {
    const { prompt, left, right } = this.options.pool;
    const { labels, values } = this.curve;
    const chosen = this.choose();
    const nowLabels = Float64Array.from(labels.at(-1)!);
    const nowValues = Float64Array.from(values.at(-1)!);
    const touched = new Set<number>();
    const observed = chosen.map((pair) => {
      const one = countVotes([this.world.vote(pair)!]);
      const before = this.votes[pair];
      const votes = { left: before.left + one.left, right: before.right + one.right, ties: before.ties + one.ties };
      this.votes[pair] = votes;
      nowLabels[prompt[pair]]++;
      touched.add(prompt[pair]);
      return { left: left[pair], right: right[pair], votes };
    });
    this.beliefs.observe(observed);
    this.asked += chosen.length;
    const rescaled = this.asked >= RESCALE * this.scaled;
    if (rescaled) {
      this.scale = fitScale(this.beliefs, this.scale, this.options.scale);
      this.scaled = this.asked;
    }
    for (const p of rescaled ? nowValues.keys() : touched) nowValues[p] = this.scorer.score(this.beliefs, p);
    labels.push(nowLabels);
    values.push(nowValues);
    return chosen.length > 0;
  }

  private choose(): number[] {
    const { beliefs, atRandom, random, votes } = this;
    const { pool, modelGain, batch } = this.options;
    const { left, right, prompt } = pool;
    // A method that looks at the model alone would ask for the same pair for ever.
    const gainOf = modelGain
      ? (pair: number) => modelGain[pair] / (1 + votesOn(votes[pair]))
      : (pair: number) => informationGain(beliefs.difference(left[pair], right[pair]), beliefs.ties);
    const open = this.pairs.filter((pair) => this.world.hasVotes(pair));
    return choose(open, {
      budget: Math.min(batch, open.length),
      randomShare: atRandom ? 1 : 0,
      perPrompt: Number.POSITIVE_INFINITY,
      promptOf: (pair) => prompt[pair],
      costOf: () => 1,
      gains: Float64Array.from(open, atRandom ? () => 0 : gainOf),
      gainOf: atRandom ? () => 0 : gainOf,
      onChosen: (pair) => !modelGain && beliefs.expectVote(left[pair], right[pair]),
      random,
    }).map(({ candidate }) => candidate);
  }
}

/**
 * Labels at which the mean curve of these replays and prompts first reaches a value, between batches in proportion; null where it never
 * does.
 */
function labelsAt(curves: readonly Curve[], replays: Int32Array, prompts: Float64Array, goal: number): number | null {
  const average = (of: (curve: Curve) => number): number => {
    let sum = 0;
    for (const replay of replays) sum += of(curves[replay]);
    return sum / replays.length;
  };
  const spentAt = (step: number) => average(({ labels }) => spentOn(labels[step], prompts));
  let before = 0;
  for (let step = 0; step < curves[0].values.length; step++) {
    const value = average(({ values }) => mean(values[step], prompts));
    if (value >= goal) {
      if (step === 0) return 0;
      const at = spentAt(step - 1);
      return at + ((goal - before) / (value - before)) * (spentAt(step) - at);
    }
    before = value;
  }
  return null;
}

function spentOn(labels: Float64Array, prompts: Float64Array): number {
  let spent = 0;
  for (let p = 0; p < labels.length; p++) spent += labels[p] * prompts[p];
  return spent;
}

/** Points of a curve that are reported. */
const MOST_POINTS = 200;

function meanCurve(curves: readonly Curve[]): { labels: number; value: number }[] {
  const { length } = curves[0].values;
  const each = Math.ceil(length / MOST_POINTS);
  const total = (of: (curve: Curve) => number) => curves.reduce((sum, curve) => sum + of(curve), 0) / curves.length;
  return Array.from({ length: Math.ceil(length / each) }, (_, i) => i * each).map((step) => ({
    labels: total(({ labels }) => labels[step].reduce((sum, count) => sum + count, 0)),
    value: total(({ values }) => mean(values[step])),
  }));
}
