/**
 * Tests that may be looked at after every vote: an e-value is a bet against the hypothesis, fair if that holds, so that its gain ever
 * reaches 1 / a with a probability of at most a (Ville). No correction for looking often is needed.
 * @see Ramdas et al., "Game-theoretic statistics and safe anytime-valid inference" (2023)
 */

/** At this gain a rater's answers on gold are taken to be worse than they should: 1 in 20 by chance. */
export const GOLD_ALARM = 20;
/** At this gain a rater is taken to prefer a place to a picture: 1 in 1000 by chance, since many raters are looked at for long. */
export const SIDE_ALARM = 1000;
/** What a rater should answer right on gold. */
export const GOLD_ACCURACY = 0.8;

/** Accuracies that are bet on. */
const ALTERNATIVES = 40;

/** The bet that right answers come with a probability under `accuracy`: mean of the likelihood ratios of even steps below it. */
export class AccuracyTest {
  private readonly logGains = new Float64Array(ALTERNATIVES);
  right = 0;
  wrong = 0;

  constructor(readonly accuracy = GOLD_ACCURACY) {}

  add(isRight: boolean): void {
    if (isRight) this.right++;
    else this.wrong++;
    for (let i = 0; i < ALTERNATIVES; i++) {
      const p = (this.accuracy * (i + 0.5)) / ALTERNATIVES;
      this.logGains[i] += isRight ? Math.log(p / this.accuracy) : Math.log((1 - p) / (1 - this.accuracy));
    }
  }

  /** Mean of the bets' gains; Infinity where a double has no room for it. */
  get eValue(): number {
    return Math.exp(logSumExp(this.logGains) - Math.log(ALTERNATIVES));
  }
}

/**
 * The bet that a rater does not choose the first of the two as often as the second: the mixture of all probabilities, evenly,
 * against one half. Sides are drawn, so that one half holds for whoever looks at what is shown, whatever the pairs are.
 *
 * @param first - votes for what stood first
 * @param second - votes for what stood second
 */
export function sideEValue(first: number, second: number): number {
  const n = first + second;
  // The integral of p^first (1 - p)^second over [0, 1] is first! second! / (n + 1)!; by one half it is 2^-n.
  return Math.exp(logFactorial(first) + logFactorial(second) - logFactorial(n + 1) + n * Math.LN2);
}

const logFactorials: number[] = [0];

function logFactorial(n: number): number {
  for (let i = logFactorials.length; i <= n; i++) logFactorials.push(logFactorials[i - 1] + Math.log(i));
  return logFactorials[n];
}

function logSumExp(values: Float64Array): number {
  const most = values.reduce((a, b) => Math.max(a, b));
  return most + Math.log(values.reduce((sum, value) => sum + Math.exp(value - most), 0));
}
