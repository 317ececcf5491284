import { voteAgreement } from './agreement.js';
import { type DawidSkeneRater, fitDawidSkene } from './dawid-skene.js';
import type { PairRow } from './rows.js';

export const CONSENSUS_METHODS = ['majority', 'agreement-weighted', 'dawid-skene'] as const;
export type ConsensusMethod = (typeof CONSENSUS_METHODS)[number];

export interface ConsensusOptions {
  readonly method: ConsensusMethod;
  /** Rows whose votes agree less than this (see `voteAgreement`) are dropped; in [0, 1]. */
  readonly minAgreement?: number;
}

export interface Consensus {
  /** The rows kept, each with one vote: 1, 0 or 0.5 by majority, else the probability that left is preferred. */
  readonly rows: readonly PairRow[];
  /** Rows dropped for low agreement. */
  readonly disagreed: number;
  /** Rows dropped because nobody has judged them. */
  readonly unlabelled: number;
  /** Raters with the estimated probability that they are right; by dawid-skene only. */
  readonly raters?: readonly DawidSkeneRater[];
}

/**
 * One answer a row from the votes of several raters. Agreement is judged on the votes; rows that are dropped for it have
 * counted towards what is known of the raters.
 *
 * @throws HpsError DATA_INVALID when dawid-skene finds a row without raters
 */
export function consensus(rows: readonly PairRow[], options: ConsensusOptions): Consensus {
  const labelled = rows.filter((row) => row.votes.length > 0);
  const fit = options.method === 'dawid-skene' ? fitDawidSkene(labelled) : undefined;
  const answers = fit?.left ?? (options.method === 'majority' ? majority(labelled) : agreementWeighted(labelled));
  const minAgreement = options.minAgreement ?? 0;
  const kept = labelled
    .map((row, i) => ({ row, answer: answers[i] }))
    .filter(({ row }) => voteAgreement(row.votes) >= minAgreement)
    .map(({ row: { raters: _, ...row }, answer }): PairRow => ({ ...row, votes: [answer] }));
  return {
    rows: kept,
    disagreed: labelled.length - kept.length,
    unlabelled: rows.length - labelled.length,
    ...(fit && { raters: fit.raters }),
  };
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

/** The side with more votes, a tie counting half for each: 1, 0, or 0.5 where they are equal. */
function majority(rows: readonly PairRow[]): Float64Array {
  return Float64Array.from(rows, ({ votes }) => (Math.sign(2 * sum(votes) - votes.length) + 1) / 2);
}

/**
 * Share of votes for the left, each weighted by how well its rater agrees with the others: the mean, over the rows shared
 * with others, of the share of the other raters' votes that equal the rater's own. Votes without a rater's name, and
 * raters who never shared a row, weigh 1/2; if all weights of a row are 0 its votes weigh alike.
 */
function agreementWeighted(rows: readonly PairRow[]): Float64Array {
  const weights = raterWeights(rows);
  return Float64Array.from(rows, ({ votes, raters }) => {
    const weightOf = (i: number): number => (raters && weights.get(raters[i])) ?? 0.5;
    const total = sum(votes.map((_, i) => weightOf(i)));
    return total > 0 ? sum(votes.map((vote, i) => vote * weightOf(i))) / total : sum(votes) / votes.length;
  });
}

function raterWeights(rows: readonly PairRow[]): Map<string, number> {
  const totals = new Map<string, { agreed: number; rows: number }>();
  for (const { votes, raters } of rows) {
    if (!raters || votes.length < 2) continue;
    votes.forEach((vote, i) => {
      const total = totals.get(raters[i]) ?? { agreed: 0, rows: 0 };
      const equals = votes.filter((other) => other === vote).length - 1;
      totals.set(raters[i], { agreed: total.agreed + equals / (votes.length - 1), rows: total.rows + 1 });
    });
  }
  return new Map([...totals].map(([name, total]) => [name, total.agreed / total.rows]));
}
