/** Stakes of the bets, a share of the wealth each; what comes out is the mean over all of them. */
const STAKES = [0.05, 0.1, 0.2, 0.4] as const;
/** Sides that a bet on calibration may take: the winner is right more or less often than said, the left more or less often. */
const DIRECTIONS = 4;

/** Logarithms of the wealth of each bet: what a monitor keeps between looks. */
export type Wealth = readonly number[];

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
  private readonly logs: Float64Array;

  constructor(wealth?: Wealth) {
    this.logs = wealth ? Float64Array.from(wealth) : new Float64Array(STAKES.length * DIRECTIONS);
  }

  /** @param residuals - label less probability of each row of one cluster, each in [-1, 1]; with the probability itself */
  take(rows: readonly { readonly probability: number; readonly label: number }[]): void {
    let [left, winner] = [0, 0];
    for (const { probability, label } of rows) {
      left += (label - probability) / rows.length;
      winner += (Math.sign(probability - 0.5) * (label - probability)) / rows.length;
    }
    STAKES.forEach((stake, i) => {
      const at = DIRECTIONS * i;
      this.logs[at] += Math.log1p(-stake * winner);
      this.logs[at + 1] += Math.log1p(stake * winner);
      this.logs[at + 2] += Math.log1p(-stake * left);
      this.logs[at + 3] += Math.log1p(stake * left);
    });
  }

  get wealth(): Wealth {
    return [...this.logs];
  }

  get logE(): number {
    return logMean(this.logs);
  }
}

/** log of the mean of exp, without overflow. */
export function logMean(logs: ArrayLike<number>): number {
  const values = Array.from(logs);
  const most = Math.max(...values);
  return most + Math.log(values.reduce((sum, value) => sum + Math.exp(value - most), 0) / values.length);
}

/** Bets on conformal p-values: that scores are higher, lower, further out, or further in than they were. */
const SHAPES: readonly ((u: number) => number)[] = [
  (u) => 2 * u - 1,
  (u) => 1 - 2 * u,
  (u) => 6 * (u - 0.5) ** 2 - 0.5,
  (u) => 0.5 - 6 * (u - 0.5) ** 2,
];
const SHAPE_STAKES = [0.1, 0.25, 0.5, 0.9] as const;
/** Share of the wealth that goes back to the even spread each time: bets that lost for long can still win. */
const SHARING = 0.001;

/** What a monitor of scores keeps between looks. */
export interface RankState {
  readonly wealth: Wealth;
  /** Of the logarithm of what was shared out so far. */
  readonly logE: number;
  /** Scores seen in each cell between the knots, the reference's among them. */
  readonly counts: readonly number[];
}

/**
 * Evidence that scores are not what they were, at any time: a conformal test martingale. The rank of each score among the reference
 * and all scores since, ties broken by chance, is uniform and independent of those before it for as long as scores and reference are
 * exchangeable; bets are made against that. Scores are ranked by the cell between knots that they fall into, which loses little and
 * keeps the state small.
 *
 * @see Vovk, Gammerman and Shafer (2005), chapter 8
 */
export class RankBet {
  private readonly logs: Float64Array;
  private log: number;
  private readonly counts: Float64Array;
  private total: number;

  /** @param knots - ascending; n of them make n + 1 cells, of which a score that equals a knot is above it */
  constructor(
    private readonly knots: Float64Array,
    state: RankState,
  ) {
    this.logs = Float64Array.from(state.wealth);
    this.log = state.logE;
    this.counts = Float64Array.from(state.counts);
    this.total = this.counts.reduce((sum, count) => sum + count, 0);
  }

  /** @param counts - of the reference in each cell */
  static start(counts: readonly number[]): RankState {
    return { wealth: new Array<number>(SHAPES.length * SHAPE_STAKES.length).fill(0), logE: 0, counts };
  }

  /** @param tie - uniform in [0, 1), independent of all else */
  take(score: number, tie: number): void {
    const cell = cellOf(this.knots, score);
    let below = 0;
    for (let i = 0; i < cell; i++) below += this.counts[i];
    this.counts[cell]++;
    this.total++;
    const u = (below + tie * this.counts[cell]) / this.total;
    SHAPES.forEach((shape, s) => {
      SHAPE_STAKES.forEach((stake, i) => {
        this.logs[s * SHAPE_STAKES.length + i] += Math.log1p(stake * shape(u));
      });
    });
    this.share();
  }

  /** Part of the wealth is spread evenly; what it all comes to does not change by that. */
  private share(): void {
    const mean = logMean(this.logs);
    this.log += mean;
    for (let i = 0; i < this.logs.length; i++) {
      this.logs[i] = Math.log((1 - SHARING) * Math.exp(this.logs[i] - mean) + SHARING);
    }
  }

  get state(): RankState {
    return { wealth: [...this.logs], logE: this.log, counts: [...this.counts] };
  }

  get logE(): number {
    return this.log;
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
