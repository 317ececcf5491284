import { count, share } from '../documents/parts.js';
import { HpsError } from '../errors.js';
import { argsort } from '../stats/argsort.js';
import { studentQuantile } from '../stats/student.js';
import * as z from '../zod.js';
import { favouredSide } from './judged.js';
import type { ClusteredVotes } from './pair-task.js';

/** How surely the error stays under the risk that was asked for. */
export const RISK_CONFIDENCE = 0.9;
/** Coverages tried, from the surest rows on; fixed beforehand, so that trying many proves nothing by itself. */
const STEPS = 100;
/** Every so many of them stand in the file. */
const CURVE_EVERY = 5;
/** Below it the spread of clusters is not known well enough for a bound. */
export const FEWEST_RISK_CLUSTERS = 20;
/** Halvings of the interval that a bound is looked for in. */
const HALVINGS = 40;

const pointSchema = z.strictObject({
  /** Rows with a pair logit of at least this size are decided. */
  margin: z.number().nonnegative(),
  /** Share of the rows that are. */
  coverage: share,
  /** Share of their votes that are against the decision. */
  error: share,
  /** What the error stays under, with the stated confidence. */
  bound: share,
});

/** When not to decide: part of a calibrator file. */
export const abstentionSchema = z.strictObject({
  /** The error that was asked for. */
  risk: z.number().positive().lt(0.5),
  confidence: z.number().positive().lt(1),
  /** Smallest size of a pair logit that is decided; null where no margin reaches the risk. */
  margin: z.number().nonnegative().nullable(),
  coverage: share.nullable(),
  error: share.nullable(),
  bound: share.nullable(),
  clusters: count,
  /** The risk-coverage curve, from the surest rows on. */
  curve: z.array(pointSchema).max(STEPS),
});

export type Abstention = z.infer<typeof abstentionSchema>;
export type RiskPoint = z.infer<typeof pointSchema>;

/**
 * The smallest margin at which decisions err in at most `risk` of the votes, as far as clusters can tell: with 90 % confidence the
 * error on as many new prompts stays under it, not only the error that these prompts happen to have.
 *
 * Margins go from the surest rows on to all, each tested at the same level until the first that fails (fixed-sequence testing: Bauer
 * 1991; Angelopoulos et al., "Learn then Test", 2021). The test is of the excess of each cluster, wrong votes less `risk` times its
 * votes, with one more cluster imagined that is all wrong (conformal risk control: Angelopoulos et al. 2022), against Student's t.
 *
 * @throws HpsError TOO_FEW_CLUSTERS; RangeError unless 0 < risk < 0.5
 */
export function controlRisk(rows: ClusteredVotes, risk: number): Abstention {
  if (!(risk > 0 && risk < 0.5)) throw new RangeError(`risk ${risk} is not between 0 and 0.5`);
  const clusters = rows.cluster.names.length;
  const needed = clustersNeeded(risk);
  if (clusters < needed) {
    throw new HpsError(
      'TOO_FEW_CLUSTERS',
      `a risk of ${risk} needs ${needed} clusters (prompts), there are ${clusters}`,
      {
        hint: `Label ${needed - clusters} more prompts, or ask for a larger risk; rows of one prompt_id count once.`,
        details: { risk, clusters, needed },
      },
    );
  }
  const points = riskCurve(rows, Math.min(clusters, 2 * needed));
  const failed = points.findIndex(({ bound }) => bound > risk);
  const chosen = points[(failed < 0 ? points.length : failed) - 1];
  return {
    risk,
    confidence: RISK_CONFIDENCE,
    margin: chosen?.margin ?? null,
    coverage: chosen?.coverage ?? null,
    error: chosen?.error ?? null,
    bound: chosen?.bound ?? null,
    clusters,
    curve: points.filter((point, i) => point === chosen || i === points.length - 1 || i % CURVE_EVERY === 0),
  };
}

/** Fewer clusters than this could show such a risk in no case, though none of them erred. */
const clustersNeeded = (risk: number): number =>
  Math.max(FEWEST_RISK_CLUSTERS, Math.ceil(Math.log(1 - RISK_CONFIDENCE) / Math.log(1 - risk)));

/** Sums over clusters of wrong votes, votes, and their products. */
interface Moments {
  wrong: number;
  votes: number;
  wrongSquared: number;
  product: number;
  votesSquared: number;
}

/** Errors of the rows of at least each margin, from the first on that decides rows of `fewest` clusters. */
function riskCurve(rows: ClusteredVotes, fewest: number): RiskPoint[] {
  const { logits, outcomes } = favouredSide(rows); // a logit of 0 counts as a decision for the left: below, one half
  const { codes, names } = rows.cluster;
  const order = argsort(logits).reverse();
  const [wrong, votes] = [new Float64Array(names.length), new Float64Array(names.length)];
  const sums: Moments = { wrong: 0, votes: 0, wrongSquared: 0, product: 0, votesSquared: 0 };
  const points: RiskPoint[] = [];
  let decided = 0;
  let at = 0;
  for (let step = 1; step <= STEPS; step++) {
    const last = Math.ceil((step * order.length) / STEPS) - 1;
    if (last < at) continue; // fewer rows than steps, or they tie with those before
    const margin = logits[order[last]];
    for (; at < order.length && logits[order[at]] >= margin; at++) {
      const row = order[at];
      const [own, against] = [outcomes.positive[row], outcomes.negative[row]];
      const cluster = codes[row];
      if (votes[cluster] === 0 && own + against > 0) decided++;
      addMoments(sums, wrong[cluster], votes[cluster], -1);
      wrong[cluster] += logits[row] === 0 ? (own + against) / 2 : against;
      votes[cluster] += own + against;
      addMoments(sums, wrong[cluster], votes[cluster], 1);
    }
    if (decided < fewest || sums.votes === 0) continue;
    points.push({
      margin: at === order.length ? 0 : margin,
      coverage: at / order.length,
      error: Math.min(1, sums.wrong / sums.votes),
      bound: boundOf(sums, names.length, sums.votes / decided),
    });
  }
  return points;
}

function addMoments(sums: Moments, wrong: number, votes: number, sign: 1 | -1): void {
  sums.wrong += sign * wrong;
  sums.votes += sign * votes;
  sums.wrongSquared += sign * wrong * wrong;
  sums.product += sign * wrong * votes;
  sums.votesSquared += sign * votes * votes;
}

/** The smallest risk that the test does not refute. @param imagined - votes of the cluster that is all wrong */
function boundOf(sums: Moments, clusters: number, imagined: number): number {
  const count = clusters + 1;
  const t = studentQuantile(RISK_CONFIDENCE, count - 1);
  const holds = (risk: number): boolean => {
    const worst = (1 - risk) * imagined;
    const mean = (sums.wrong - risk * sums.votes + worst) / count;
    const squares = sums.wrongSquared - 2 * risk * sums.product + risk * risk * sums.votesSquared + worst * worst;
    const variance = Math.max(0, squares - count * mean * mean) / (count - 1);
    // Twice the variance of the mean: that of these clusters, and that of as many new ones.
    return mean <= -t * Math.sqrt((2 * variance) / count);
  };
  let [low, high] = [sums.wrong / sums.votes, 1];
  for (let i = 0; i < HALVINGS; i++) {
    const middle = (low + high) / 2;
    if (holds(middle)) high = middle;
    else low = middle;
  }
  return Math.min(1, high);
}

/** What is worth knowing of a margin, one sentence each. */
export function abstentionWarnings({ risk, margin, clusters, curve }: Abstention): string[] {
  if (margin !== null) return [];
  const best = curve.reduce((least, { bound }) => Math.min(least, bound), 1);
  return [
    `No margin reaches a risk of ${risk} on ${clusters} clusters: the best that can be promised is ${best.toFixed(3)}. Label more prompts, or ask for a larger risk.`,
  ];
}
