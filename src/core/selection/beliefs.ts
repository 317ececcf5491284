import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import { gaussHermite } from '../stats/gauss-hermite.js';
import { information, likelihoodSlope, logLikelihood, type PairVotes, votesOn } from './davidson.js';

/** What is believed of a difference of two utilities: normal. */
export interface Difference {
  readonly mean: number;
  readonly variance: number;
}

export interface Prior {
  /** Of each item. */
  readonly mean: Float64Array;
  /** The same of every item. */
  readonly variance: number;
  /** How often equal utilities tie: see `outcomeOf`. */
  readonly ties: number;
}

/** What the votes on one pair say of the difference, as a normal factor with precision and precision times mean. */
interface Site {
  /** Items, the lower number first: the difference is that of their utilities in this order. */
  readonly low: number;
  readonly high: number;
  votes: PairVotes;
  precision: number;
  shift: number;
}

/** Items that votes connect. Between items of two blocks there is no covariance. */
interface Block {
  readonly items: number[];
  readonly sites: Site[];
  mean: Float64Array;
  /** k by k, row by row. */
  covariance: Float64Array;
}

const MOST_SWEEPS = 100;
/** Of Newton's method, towards the mode of one factor. */
const MOST_STEPS = 50;
/** Sweeps end where no mean and no deviation moves by more. */
const CLOSE = 1e-4;
const NODES = gaussHermite(21);

/**
 * The posterior of utilities given votes: normal, by expectation propagation (Minka 2001), whose moments are closer to the true ones
 * than those at the mode. Items no vote has touched keep their prior and cost nothing, whatever the number of them.
 */
export class Beliefs {
  private readonly blocks: (Block | undefined)[] = [];
  /** Of an item within its block. */
  private readonly place: Int32Array;
  private readonly sites = new Map<number, Map<number, Site>>();
  private column = new Float64Array(16);

  constructor(private prior: Prior) {
    this.place = new Int32Array(prior.mean.length);
  }

  get ties(): number {
    return this.prior.ties;
  }

  get priorVariance(): number {
    return this.prior.variance;
  }

  meanOf(item: number): number {
    const block = this.blocks[item];
    return block ? block.mean[this.place[item]] : this.prior.mean[item];
  }

  varianceOf(item: number): number {
    const block = this.blocks[item];
    return block ? block.covariance[this.place[item] * (block.items.length + 1)] : this.prior.variance;
  }

  difference(left: number, right: number): Difference {
    const block = this.blocks[left];
    const shared = block && block === this.blocks[right] ? this.covarianceIn(block, left, right) : 0;
    const variance = this.varianceOf(left) + this.varianceOf(right) - 2 * shared;
    return { mean: this.meanOf(left) - this.meanOf(right), variance: Math.max(variance, 1e-12) };
  }

  /** Items that votes have touched. */
  *touched(): Generator<number> {
    for (const block of new Set(this.blocks)) if (block) yield* block.items;
  }

  /** Pairs with votes. */
  *judged(): Generator<{ readonly left: number; readonly right: number; readonly votes: PairVotes }> {
    for (const of of this.sites.values())
      for (const { low, high, votes } of of.values()) yield { left: low, right: high, votes };
  }

  /** Sets what has been said of pairs, all of it; blocks that it concerns are fitted anew. */
  observe(pairs: Iterable<{ readonly left: number; readonly right: number; readonly votes: PairVotes }>): void {
    const blocks = new Set<Block>();
    const concerned: number[] = [];
    for (const { left, right, votes } of pairs) {
      if (left === right) continue; // the same item on both sides: nothing to learn
      const site = this.siteOf(left, right);
      site.votes = left < right ? votes : { left: votes.right, right: votes.left, ties: votes.ties };
      concerned.push(left);
    }
    for (const item of concerned) blocks.add(this.blocks[item]!);
    for (const block of blocks) this.fit(block);
  }

  /** Fits all again under another prior. */
  refit(prior: Prior): void {
    this.prior = prior;
    for (const block of new Set(this.blocks)) if (block) this.fit(block);
  }

  /** Expects a vote on a pair: what will be known better, while nobody knows which way. Gone with the next fit of the block. */
  expectVote(left: number, right: number): void {
    if (left === right) return;
    const block = this.joined(left, right);
    const { mean, variance } = this.difference(left, right);
    const spread = Math.sqrt(variance);
    let precision = 0;
    for (let i = 0; i < NODES.nodes.length; i++) {
      precision += NODES.weights[i] * information(mean + spread * NODES.nodes[i], this.prior.ties);
    }
    this.addFactor(block, left, right, precision, precision * mean);
  }

  private covarianceIn({ items, covariance }: Block, left: number, right: number): number {
    return covariance[this.place[left] * items.length + this.place[right]];
  }

  private siteOf(left: number, right: number): Site {
    const [low, high] = left < right ? [left, right] : [right, left];
    const of = this.sites.get(low) ?? new Map<number, Site>();
    this.sites.set(low, of);
    let site = of.get(high);
    if (!site) {
      const block = this.joined(low, high, true);
      site = { low, high, votes: { left: 0, right: 0, ties: 0 }, precision: 0, shift: 0 };
      of.set(high, site);
      block.sites.push(site);
    }
    return site;
  }

  /** The block of two items, made where there is none. @param toBeFitted - what is believed of it is found anew, and need not be kept */
  private joined(left: number, right: number, toBeFitted = false): Block {
    const first = this.blocks[left] ?? this.single(left);
    const second = this.blocks[right] ?? this.single(right);
    if (first === second) return first;
    const [a, b] = first.items.length >= second.items.length ? [first, second] : [second, first];
    const [n, m] = [a.items.length, b.items.length];
    if (n + m > LIMITS.comparedItems) throw tooManyItems();
    if (!toBeFitted) appendBelief(a, b);
    for (const item of b.items) {
      this.place[item] = a.items.push(item) - 1;
      this.blocks[item] = a;
    }
    a.sites.push(...b.sites);
    return a;
  }

  private single(item: number): Block {
    const block: Block = {
      items: [item],
      sites: [],
      mean: Float64Array.of(this.prior.mean[item]),
      covariance: Float64Array.of(this.prior.variance),
    };
    this.place[item] = 0;
    this.blocks[item] = block;
    return block;
  }

  private fit(block: Block): void {
    const { items, sites } = block;
    const size = items.length;
    if (block.mean.length !== size) {
      block.mean = new Float64Array(size);
      block.covariance = new Float64Array(size * size);
    }
    for (let i = 0; i < size; i++) block.mean[i] = this.prior.mean[items[i]];
    block.covariance.fill(0);
    for (let i = 0; i < size; i++) block.covariance[i * (size + 1)] = this.prior.variance;
    for (const { low, high, precision, shift } of sites) this.addFactor(block, low, high, precision, shift);
    for (let sweep = 0; sweep < MOST_SWEEPS; sweep++) {
      let moved = 0;
      for (const site of sites) moved = Math.max(moved, this.improve(block, site));
      if (moved < CLOSE) return;
    }
  }

  /** Fits the factor of one site to its votes, given all the others. @returns how far the difference moved */
  private improve(block: Block, site: Site): number {
    const { mean, variance } = this.difference(site.low, site.high);
    const cavityPrecision = 1 / variance - site.precision;
    const cavity = { mean: (mean / variance - site.shift) / cavityPrecision, variance: 1 / cavityPrecision };
    const tilted = tiltedBy(site.votes, cavity, this.prior.ties);
    // The likelihood is log-concave, so votes never make the difference less certain.
    const precision = Math.max(0, 1 / tilted.variance - cavityPrecision);
    const shift = tilted.mean / tilted.variance - cavity.mean * cavityPrecision;
    this.addFactor(block, site.low, site.high, precision - site.precision, shift - site.shift);
    site.precision = precision;
    site.shift = shift;
    const now = this.difference(site.low, site.high);
    return Math.max(Math.abs(now.mean - mean), Math.abs(Math.sqrt(now.variance) - Math.sqrt(variance)));
  }

  /** Multiplies the posterior by a normal factor of a difference (Sherman and Morrison). */
  private addFactor(block: Block, left: number, right: number, precision: number, shift: number): void {
    const { mean, covariance } = block;
    const size = block.items.length;
    const [i, j] = [this.place[left], this.place[right]];
    if (this.column.length < size) this.column = new Float64Array(2 * size);
    const { column } = this;
    for (let k = 0; k < size; k++) column[k] = covariance[i * size + k] - covariance[j * size + k];
    const variance = column[i] - column[j];
    const scale = 1 + precision * variance;
    const step = (shift - precision * (mean[i] - mean[j])) / scale;
    const shrink = precision / scale;
    for (let k = 0; k < size; k++) {
      mean[k] += column[k] * step;
      if (shrink === 0 || column[k] === 0) continue;
      const by = shrink * column[k];
      const row = k * size;
      for (let l = 0; l < size; l++) covariance[row + l] -= by * column[l];
    }
  }
}

/** Puts what is believed of one block's items after that of another's. */
function appendBelief(block: Block, added: Block): void {
  const [n, m] = [block.mean.length, added.mean.length];
  const size = n + m;
  const covariance = new Float64Array(size * size);
  for (let i = 0; i < n; i++) covariance.set(block.covariance.subarray(i * n, (i + 1) * n), i * size);
  for (let i = 0; i < m; i++) covariance.set(added.covariance.subarray(i * m, (i + 1) * m), (n + i) * size + n);
  const mean = new Float64Array(size);
  mean.set(block.mean);
  mean.set(added.mean, n);
  block.covariance = covariance;
  block.mean = mean;
}

/** Mean and variance of a normal difference once votes are seen, by quadrature about the mode, wherever that lies. */
export function tiltedBy(votes: PairVotes, { mean, variance }: Difference, ties: number): Difference {
  const count = votesOn(votes);
  if (count === 0) return { mean, variance };
  let mode = mean;
  let precision = 0;
  const longest = 2 * Math.sqrt(variance); // Newton's own step may leap beyond where the curvature holds
  for (let step = 0; step < MOST_STEPS; step++) {
    precision = 1 / variance + count * information(mode, ties);
    const change = (likelihoodSlope(votes, mode, ties) - (mode - mean) / variance) / precision;
    const held = Math.abs(change) > longest ? Math.sign(change) * longest : change;
    mode += held;
    if (Math.abs(held) * Math.sqrt(precision) < 1e-3) break; // the nodes need not stand at the mode to the digit
  }
  const spread = 1 / Math.sqrt(precision);
  const highest = logLikelihood(votes, mode, ties) - (mode - mean) ** 2 / (2 * variance);
  let [total, first, second] = [0, 0, 0];
  for (let i = 0; i < NODES.nodes.length; i++) {
    const z = NODES.nodes[i];
    const d = mode + spread * z;
    const log = logLikelihood(votes, d, ties) - (d - mean) ** 2 / (2 * variance) - highest;
    const weight = NODES.weights[i] * Math.exp(log + (z * z) / 2);
    total += weight;
    first += weight * z;
    second += weight * z * z;
  }
  const centre = first / total;
  return {
    mean: mode + spread * centre,
    variance: Math.max(spread * spread * (second / total - centre * centre), 1e-12),
  };
}

const tooManyItems = (): HpsError =>
  new HpsError('DATA_INVALID', `votes connect more than ${LIMITS.comparedItems} items of one prompt`, {
    hint: 'Give rows their prompt_id: only items of one prompt are compared.',
    details: { limit: LIMITS.comparedItems },
  });
