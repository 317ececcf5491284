/** Shares of the wealth that are staked. */
const STAKES = [0.05, 0.1, 0.2, 0.4] as const;
/** Sides that a bet on calibration may take: the winner is right more or less often than said, the left more or less often. */
const DIRECTIONS = 4;

/** What a bettor keeps between looks. */
export interface Wealth {
  /** Logarithms of what each bet has come to. */
  readonly logs: readonly number[];
  /** Bets made so far. */
  readonly n: number;
}

/**
 * Wealth that is bet many ways at once. Half of it is staked from the beginning and the rest is held back, to be staked little by
 * little: whatever begins late is still found, at a cost that grows with the logarithm of how late it is, where bets that have lost
 * for long would take as long to win it back.
 */
class Purse {
  private readonly logs: Float64Array;
  private n: number;

  constructor(bets: number, wealth?: Wealth) {
    this.logs = wealth
      ? Float64Array.from(wealth.logs)
      : new Float64Array(bets).fill(Math.log(1 - heldBack(0)) - Math.log(bets));
    this.n = wealth?.n ?? 0;
  }

  /** @param gain - what a bet returns for 1, less 1; in expectation at most 0 where there is nothing to be found */
  bet(gain: (bet: number) => number): void {
    this.n++;
    const staked = Math.log((heldBack(this.n - 1) - heldBack(this.n)) / this.logs.length);
    for (let i = 0; i < this.logs.length; i++) {
      this.logs[i] = logSum(this.logs[i], staked) + Math.log1p(gain(i));
    }
  }

  get wealth(): Wealth {
    return { logs: [...this.logs], n: this.n };
  }

  /** Logarithm of all there is: evidence. */
  get logE(): number {
    let sum = Math.log(heldBack(this.n));
    for (const log of this.logs) sum = logSum(sum, log);
    return sum;
  }
}

/** Share of the first wealth that is not staked yet after n bets. */
const heldBack = (n: number): number => 0.5 / (1 + Math.log1p(n));

/** log(exp(a) + exp(b)). */
const logSum = (a: number, b: number): number => Math.max(a, b) + Math.log1p(Math.exp(-Math.abs(a - b)));

/**
 * Evidence that probabilities do not hold, which may be looked at after every label: the wealth of someone who bets on what is left
 * of each label, y - p, at odds that are fair where the probabilities hold. It is then at most 1 in expectation at any time that one
 * may choose to stop, and reaches 1 / alpha ever with a chance of at most alpha (Ville 1939).
 *
 * One bet is made a cluster, on the mean of its rows: rows of one prompt may depend on each other.
 *
 * @see Waudby-Smith and Ramdas (2024); Arnold, Henzi and Ziegel (2023)
 */
export class CalibrationBet {
  private readonly purse: Purse;

  constructor(wealth?: Wealth) {
    this.purse = new Purse(STAKES.length * DIRECTIONS, wealth);
  }

  /** @param rows - of one cluster: probability, and label in [0, 1] */
  take(rows: readonly { readonly probability: number; readonly label: number }[]): void {
    let [left, winner] = [0, 0];
    for (const { probability, label } of rows) {
      left += (label - probability) / rows.length;
      winner += (Math.sign(probability - 0.5) * (label - probability)) / rows.length;
    }
    const sides = [-winner, winner, -left, left];
    this.purse.bet((bet) => STAKES[Math.floor(bet / DIRECTIONS)] * sides[bet % DIRECTIONS]);
  }

  get wealth(): Wealth {
    return this.purse.wealth;
  }

  get logE(): number {
    return this.purse.logE;
  }
}

/** Bets on conformal p-values: that scores are higher, lower, further out, or further in than they were. */
const SHAPES: readonly ((u: number) => number)[] = [
  (u) => 2 * u - 1,
  (u) => 1 - 2 * u,
  (u) => 6 * (u - 0.5) ** 2 - 0.5,
  (u) => 0.5 - 6 * (u - 0.5) ** 2,
];
const SHAPE_STAKES = [0.1, 0.25, 0.5, 0.9] as const;

/**
 * Evidence that scores are not what they were, at any time: a conformal test martingale. The rank of each score among the reference
 * and all scores since, ties broken by chance, is uniform and independent of those before it for as long as scores and reference are
 * exchangeable; bets are made against that. Scores are ranked by the cell between knots that they fall into, which loses little and
 * keeps the state small.
 *
 * @see Vovk, Gammerman and Shafer (2005), chapter 8
 */
export class RankBet {
  private readonly purse: Purse;
  private readonly seen: Float64Array;
  private total: number;

  /**
   * @param knots - ascending; n of them make n + 1 cells, of which a score that equals a knot is above it
   * @param counts - of each cell, the reference's among them
   */
  constructor(
    private readonly knots: Float64Array,
    counts: readonly number[],
    wealth?: Wealth,
  ) {
    this.purse = new Purse(SHAPES.length * SHAPE_STAKES.length, wealth);
    this.seen = Float64Array.from(counts);
    this.total = this.seen.reduce((sum, count) => sum + count, 0);
  }

  /** @param tie - uniform in [0, 1), independent of all else */
  take(score: number, tie: number): void {
    const cell = cellOf(this.knots, score);
    let below = 0;
    for (let i = 0; i < cell; i++) below += this.seen[i];
    this.seen[cell]++;
    this.total++;
    const u = (below + tie * this.seen[cell]) / this.total;
    const gains = SHAPES.map((shape) => shape(u));
    this.purse.bet((bet) => SHAPE_STAKES[bet % SHAPE_STAKES.length] * gains[Math.floor(bet / SHAPE_STAKES.length)]);
  }

  get counts(): readonly number[] {
    return [...this.seen];
  }

  get wealth(): Wealth {
    return this.purse.wealth;
  }

  get logE(): number {
    return this.purse.logE;
  }
}

/** How many knots are at most `x`. */
export function cellOf(knots: Float64Array, x: number): number {
  let [low, high] = [0, knots.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (knots[middle] <= x) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * Which of several monitors speak, at a false discovery rate of alpha: the k with most evidence, for the largest k whose least is
 * at least K / (k alpha). However they depend on each other; and for as long as all hypotheses hold, ever with a chance of at most
 * alpha, since the mean of e-processes is one.
 *
 * @param logs - logarithms of e-values
 * @see Wang and Ramdas (2022)
 */
export function eBenjaminiHochberg(logs: readonly number[], alpha: number): boolean[] {
  const descending = logs.map((_, i) => i).sort((a, b) => logs[b] - logs[a]);
  let rejected = 0;
  descending.forEach((index, rank) => {
    if (logs[index] >= Math.log(logs.length / ((rank + 1) * alpha))) rejected = rank + 1;
  });
  const speaks = new Array<boolean>(logs.length).fill(false);
  for (const index of descending.slice(0, rejected)) speaks[index] = true;
  return speaks;
}
