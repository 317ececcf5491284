import { Random } from '../bytes/random.js';
import { fitLogistic } from '../calibration/logistic-fit.js';
import { STALENESS_CLUSTERS, type StalenessTest, testStaleness } from '../calibration/staleness.js';
import type { JoinedPairs } from '../data/join.js';
import { turns } from '../run.js';
import { type Estimate, estimateOf } from '../stats/bootstrap.js';
import { prepareEce } from '../stats/calibration-error.js';
import { logit, sigmoid } from '../stats/logistic.js';
import type { Outcomes } from '../stats/outcomes.js';

/** Probabilities beside the votes of raters. */
export interface JudgedProbabilities {
  readonly joined: JoinedPairs;
  readonly probability: Float64Array;
}

/** Whether probabilities still hold on labels of the window. */
export interface CalibrationDrift {
  readonly n: number;
  readonly clusters: number;
  readonly tests: readonly StalenessTest[];
  /** The smaller of the tests' p-values, adjusted for there being several of them. */
  readonly pValue: number;
  /** Adjusted for all questions of the check. */
  readonly holm: number;
  /** Calibration error in the window: the effect. */
  readonly ece: number;
  readonly floor: number;
  /** Whether probabilities are said to be calibrated, so that not to hold is to have gone stale. */
  readonly claimed: boolean;
  readonly moved: boolean;
  readonly accuracy: number;
  readonly refit: Refit | null;
}

/** What fitting the calibrator again would change in the window, with 95 % intervals by clusters. */
export interface Refit {
  /** Of the log-odds: 1 and 0 where nothing changes. */
  readonly slope: Estimate;
  readonly intercept: Estimate;
  /** Pairs whose winner changes, as a share. */
  readonly flips: Estimate;
  /** Mean change of a probability. */
  readonly change: Estimate;
}

export type CalibrationTests = Omit<CalibrationDrift, 'holm' | 'floor' | 'claimed' | 'moved' | 'refit'>;

/**
 * @param symmetric - both orders of a pair are one judgement: there is no side to be partial to
 * @returns null where labels are of too few clusters
 */
export function testCalibration(
  { joined, probability }: JudgedProbabilities,
  symmetric: boolean,
): CalibrationTests | null {
  if (joined.clusterCount < STALENESS_CLUSTERS) return null;
  const outcomes = outcomesOf(joined);
  const { tests } = testStaleness(probability, outcomes, clustersOf(joined), { symmetric });
  let [votes, agreed] = [0, 0];
  for (let row = 0; row < joined.count; row++) {
    const { positive, negative } = outcomes;
    votes += positive[row] + negative[row];
    agreed +=
      probability[row] === 0.5
        ? (positive[row] + negative[row]) / 2
        : probability[row] > 0.5
          ? positive[row]
          : negative[row];
  }
  return {
    n: joined.count,
    clusters: joined.clusterCount,
    tests,
    pValue: Math.min(...tests.map(({ holm }) => holm)),
    ece: prepareEce(probability, outcomes)() ?? 0,
    accuracy: votes > 0 ? agreed / votes : 0,
  };
}

const outcomesOf = ({ votesLeft, votesRight }: JoinedPairs): Outcomes => ({
  positive: votesLeft,
  negative: votesRight,
});
const clustersOf = ({ cluster, clusterCount }: JoinedPairs) => ({ of: cluster, count: clusterCount });

/** Log-odds are kept this far in: a probability of 0 or 1 would have none. */
const MOST_LOG_ODDS = 36;
const RESAMPLES = 200;

/**
 * Logistic recalibration (Cox 1958) of what is there, and what it would change.
 * @param symmetric - both orders of a pair are one judgement: there is no intercept, and no flip
 */
export async function refitCalibration(
  { joined, probability }: JudgedProbabilities,
  { symmetric, seed, signal }: { readonly symmetric: boolean; readonly seed: number; readonly signal?: AbortSignal },
): Promise<Refit> {
  const odds = probability.map((p) => Math.min(Math.max(logit(p), -MOST_LOG_ODDS), MOST_LOG_ODDS));
  const features = symmetric ? [odds] : [odds, new Float64Array(odds.length).fill(1)];
  const weigh = (draws?: Float64Array): Outcomes => {
    if (!draws) return outcomesOf(joined);
    const weighted = (votes: Float64Array) => votes.map((vote, row) => vote * draws[joined.cluster[row]]);
    return { positive: weighted(joined.votesLeft), negative: weighted(joined.votesRight) };
  };
  const figures = (draws?: Float64Array): readonly number[] => {
    const [slope, intercept = 0] = fitLogistic(features, weigh(draws));
    let [rows, flips, change] = [0, 0, 0];
    for (let row = 0; row < odds.length; row++) {
      const weight = draws ? draws[joined.cluster[row]] : 1;
      const after = slope * odds[row] + intercept;
      rows += weight;
      if (Math.sign(after) !== Math.sign(odds[row])) flips += weight;
      change += weight * Math.abs(sigmoid(after) - probability[row]);
    }
    return [slope, intercept, flips / rows, change / rows];
  };
  const random = new Random(`${seed}/drift/refit`);
  const draws = new Float64Array(joined.clusterCount);
  const turn = turns(signal);
  const resampled: (readonly number[])[] = [];
  for (let i = 0; i < RESAMPLES; i++) {
    random.countDraws(draws);
    resampled.push(figures(draws));
    await turn();
  }
  const whole = figures();
  const [slope, intercept, flips, change] = whole.map((value, i) =>
    estimateOf({ value, values: resampled.map((one) => one[i]) }, clustersOf(joined)),
  );
  return { slope, intercept, flips, change };
}
