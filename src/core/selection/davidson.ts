/**
 * Bradley and Terry's model of votes with ties (Davidson 1970): where utilities differ by d, votes are for the left, for the right and
 * for neither as exp(d / 2) : exp(-d / 2) : nu. Without ties (nu = 0) that is sigmoid(d).
 */

/** Votes on one pair; soft labels and tied votes under nu = 0 count in parts. */
export interface PairVotes {
  readonly left: number;
  readonly right: number;
  readonly ties: number;
}

export const NO_VOTES: PairVotes = { left: 0, right: 0, ties: 0 };

export const votesOn = ({ left, right, ties }: PairVotes): number => left + right + ties;

/** Votes of a row: 1 left, 0 right, 0.5 tie, and between them a soft label. */
export function countVotes(votes: readonly number[]): PairVotes {
  let [left, ties] = [0, 0];
  for (const vote of votes) {
    if (vote === 0.5) ties++;
    else left += vote;
  }
  return { left, right: votes.length - ties - left, ties };
}

export interface Outcome {
  readonly left: number;
  readonly right: number;
  readonly tie: number;
  /** In bits. */
  readonly entropy: number;
}

/** How probable each vote is where utilities differ by d, and the entropy of that. */
export function outcomeOf(d: number, nu: number): Outcome {
  const size = Math.abs(d);
  const small = Math.exp(-size); // all three over exp(|d| / 2), which may be beyond a double
  const tied = nu * Math.exp(-size / 2);
  const total = 1 + small + tied;
  const [ahead, behind, tie] = [1 / total, small / total, tied / total];
  const nats = Math.log(total) + size * behind + (tie > 0 ? tie * (size / 2 - Math.log(nu)) : 0);
  const entropy = nats / Math.LN2;
  return d >= 0 ? { left: ahead, right: behind, tie, entropy } : { left: behind, right: ahead, tie, entropy };
}

/** exp(-|d| / 2) times the sum of what the three votes are in proportion to. */
const totalAt = (size: number, nu: number): number => 1 + Math.exp(-size) + (nu === 0 ? 0 : nu * Math.exp(-size / 2));

/** The log likelihood of votes on a pair, less what does not depend on d. */
export function logLikelihood(votes: PairVotes, d: number, nu: number): number {
  const size = Math.abs(d);
  return ((votes.left - votes.right) / 2) * d - votesOn(votes) * (size / 2 + Math.log(totalAt(size, nu)));
}

/** Its first derivative by d. */
export function likelihoodSlope(votes: PairVotes, d: number, nu: number): number {
  return (votes.left - votes.right) / 2 - votesOn(votes) * meanLead(d, nu);
}

/** (P(left) - P(right)) / 2. */
function meanLead(d: number, nu: number): number {
  const size = Math.abs(d);
  const lead = -Math.expm1(-size) / (2 * totalAt(size, nu));
  return d < 0 ? -lead : lead;
}

/** What one vote says of d, as a precision: less the second derivative of its log likelihood, whichever vote it is. */
export function information(d: number, nu: number): number {
  const size = Math.abs(d);
  return (1 + Math.exp(-size)) / (4 * totalAt(size, nu)) - meanLead(d, nu) ** 2;
}

/**
 * The nu under which votes have as many ties as were seen, where utilities differ as given; half a tie in one vote is imagined, so that
 * a few votes without any do not rule ties out.
 *
 * @param differences - of each voted pair
 */
export function fitTies(differences: ArrayLike<number>, votes: readonly PairVotes[]): number {
  const total = votes.reduce((sum, one) => sum + votesOn(one), 0);
  const ties = votes.reduce((sum, one) => sum + one.ties, 0);
  if (total === 0 || ties === 0) return 0;
  const expected = (nu: number): number =>
    votes.reduce((sum, one, i) => sum + votesOn(one) * outcomeOf(differences[i], nu).tie, outcomeOf(0, nu).tie);
  let [low, high] = [Math.log(1e-6), Math.log(1e3)];
  for (let step = 0; step < 60; step++) {
    const middle = (low + high) / 2;
    if (expected(Math.exp(middle)) < ties + 0.5) low = middle;
    else high = middle;
  }
  return Math.exp((low + high) / 2);
}
