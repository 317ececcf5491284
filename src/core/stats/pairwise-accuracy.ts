import { assertLength, assertOutcomes, assertWeights, type Outcomes } from './outcomes.js';
import { ratioOfSums, type Statistic } from './statistic.js';

/** What a decision earns: `won` votes agree with it, `lost` do not; a logit of exactly 0 earns one half of both. */
const credit = (logit: number, won: number, lost: number): number => {
  if (Number.isNaN(logit)) throw new RangeError('a logit is NaN');
  return logit > 0 ? won : logit < 0 ? lost : (won + lost) / 2;
};

/**
 * Votes of each row that the sign of its pair logit agrees with; a zero logit, and a tie vote, count one half.
 *
 * @throws RangeError if a logit is NaN or a vote count is negative or not finite
 */
export function votesAgreed(logits: Float64Array, outcomes: Outcomes): Float64Array {
  assertOutcomes(outcomes, logits.length);
  return logits.map((logit, i) => credit(logit, outcomes.positive[i], outcomes.negative[i]));
}

/** Share of votes that the sign of the pair logit agrees with, in [0, 1]: every vote counts once. @throws RangeError as `votesAgreed` */
export const prepareVoteAccuracy = (logits: Float64Array, outcomes: Outcomes): Statistic =>
  ratioOfSums(
    votesAgreed(logits, outcomes),
    outcomes.positive.map((votes, i) => votes + outcomes.negative[i]),
  );

/**
 * 1, 0.5 or 0 for each row: does the sign of its pair logit agree with the majority of its votes? A zero logit, and an even vote,
 * count one half; so does a row without votes.
 *
 * @throws RangeError as `votesAgreed`
 */
export function majorityAgreed(logits: Float64Array, outcomes: Outcomes): Float64Array {
  assertOutcomes(outcomes, logits.length);
  return logits.map((logit, i) => {
    const left = majorityCredit(outcomes.positive[i] - outcomes.negative[i]);
    return credit(logit, left, 1 - left);
  });
}

/** 1 for a lead of the left, 0 for one of the right, 0.5 for none. */
const majorityCredit = (lead: number): number => (Math.sign(lead) + 1) / 2;

/** Share of rows on which the sign of the pair logit agrees with the majority: every row with votes counts once. */
export const prepareMajorityAccuracy = (logits: Float64Array, outcomes: Outcomes): Statistic => {
  const judged = outcomes.positive.map((votes, i) => (votes + outcomes.negative[i] > 0 ? 1 : 0));
  return ratioOfSums(
    majorityAgreed(logits, outcomes).map((agreed, i) => agreed * judged[i]),
    judged,
  );
};

/** Outcomes, and how many of the votes behind them were ties (each counted one half on either side there). */
export interface VoteCounts extends Outcomes {
  readonly ties: Float64Array;
}

/** Decided votes and ties of a row. */
interface RowVotes {
  readonly left: number;
  readonly right: number;
  readonly ties: number;
}

function prepareCeiling(
  votes: VoteCounts,
  rowWeight: (n: number) => number,
  agreement: (row: RowVotes) => number,
): Statistic {
  const { positive, negative, ties } = votes;
  assertOutcomes(votes, positive.length);
  assertLength('ties', ties, positive.length);
  assertWeights(ties);
  const weights = positive.map((count, i) => (count + negative[i] >= 2 ? rowWeight(count + negative[i]) : 0));
  const agreed = weights.map((weight, i) =>
    weight === 0
      ? 0
      : weight * agreement({ left: positive[i] - ties[i] / 2, right: negative[i] - ties[i] / 2, ties: ties[i] }),
  );
  return ratioOfSums(agreed, weights);
}

/**
 * The human ceiling of `prepareVoteAccuracy`: how often one vote agrees with another of the same row, a tie counting one half. Rows
 * count by their votes; rows with one vote do not count.
 *
 * @throws RangeError if a count is negative or not finite
 */
export const prepareVoteCeiling = (votes: VoteCounts): Statistic =>
  prepareCeiling(
    votes,
    (n) => n,
    ({ left, right, ties }) => {
      const n = left + right + ties;
      const agreeing = left * (left - 1) + right * (right - 1);
      const halfAgreeing = 2 * ties * (left + right) + ties * (ties - 1);
      return (agreeing + halfAgreeing / 2) / (n * (n - 1));
    },
  );

/**
 * The human ceiling of `prepareMajorityAccuracy`: how often a rater agrees with the majority of the row's other votes, a tie on
 * either side counting one half. Rows count once; rows with one vote do not count.
 *
 * @throws RangeError if a count is negative or not finite
 */
export const prepareMajorityCeiling = (votes: VoteCounts): Statistic =>
  prepareCeiling(
    votes,
    () => 1,
    ({ left, right, ties }) => {
      const lead = left - right;
      const agreed = left * majorityCredit(lead - 1) + right * (1 - majorityCredit(lead + 1)) + ties / 2;
      return agreed / (left + right + ties);
    },
  );
