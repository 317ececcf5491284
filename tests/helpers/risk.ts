import { Random } from '../../src/core/bytes/random.js';
import { controlRisk } from '../../src/core/calibration/abstention.js';
import type { ClusteredVotes } from '../../src/core/calibration/pair-task.js';
import { PAIR_TASK } from '../../src/core/calibration/pair-task.js';

export interface SplitCounts {
  /** Splits whose fitting half found no margin. */
  none: number;
  /** Splits whose held-out half has more votes against the decisions than was asked for. */
  exceeded: number;
  /** Mean share of held-out rows that are decided, of the splits with a margin. */
  coverage: number;
}

/** Fits a margin to one random half of the prompts and holds it to the other, so many times. */
export function splitRisk(rows: ClusteredVotes, risk: number, splits: number, seed: string): SplitCounts {
  const random = new Random(seed);
  const { codes, names } = rows.cluster;
  const counts: SplitCounts = { none: 0, exceeded: 0, coverage: 0 };
  for (let split = 0; split < splits; split++) {
    const order = Array.from({ length: names.length }, (_, i) => i);
    for (let i = order.length - 1; i > 0; i--) {
      const j = random.integer(0, i + 1);
      [order[i], order[j]] = [order[j], order[i]];
    }
    const fitting = new Set(order.slice(0, names.length >> 1));
    const half = (isFitting: boolean) =>
      PAIR_TASK.select(
        rows,
        Int32Array.from(codes.keys()).filter((row) => fitting.has(codes[row]) === isFitting),
      );
    const { margin } = controlRisk(half(true), risk);
    if (margin === null) {
      counts.none++;
      continue;
    }
    const { error, coverage } = judgeMargin(half(false), margin);
    if (error !== null && error > risk) counts.exceeded++;
    counts.coverage += coverage;
  }
  return { ...counts, coverage: counts.coverage / Math.max(1, splits - counts.none) };
}

/** Error and coverage of the rows that a margin decides. */
export function judgeMargin({ logits, outcomes: { positive, negative } }: ClusteredVotes, margin: number) {
  let [wrong, votes, decided] = [0, 0, 0];
  for (const [row, logit] of logits.entries()) {
    if (Math.abs(logit) < margin) continue;
    decided++;
    votes += positive[row] + negative[row];
    wrong += logit === 0 ? (positive[row] + negative[row]) / 2 : logit > 0 ? negative[row] : positive[row];
  }
  return { error: votes > 0 ? wrong / votes : null, coverage: decided / logits.length };
}

export interface DrawnVotes {
  readonly prompts: number;
  /** Pairs of a prompt. */
  readonly pairs?: number;
  /** True log-odds a logit. */
  readonly slope?: number;
  /** Spread of how hard a prompt is: rows of one depend on each other. */
  readonly hardness?: number;
  readonly seed: string;
}

/** Votes on pairs whose errors cluster by prompt. */
export function drawVotes({ prompts, pairs = 3, slope = 1.5, hardness = 1, seed }: DrawnVotes): ClusteredVotes {
  const random = new Random(seed);
  const count = prompts * pairs;
  const [logits, positive, negative] = [new Float64Array(count), new Float64Array(count), new Float64Array(count)];
  const codes = Int32Array.from({ length: count }, (_, row) => Math.floor(row / pairs));
  const hard = Float64Array.from({ length: prompts }, () => hardness * random.normal());
  for (let row = 0; row < count; row++) {
    const logit = 2 * random.normal();
    const right = 1 / (1 + Math.exp(-(slope * Math.abs(logit) + hard[codes[row]])));
    logits[row] = logit;
    for (let vote = 0; vote < 3; vote++) {
      const left = random.uniform() < right === logit > 0;
      (left ? positive : negative)[row]++;
    }
  }
  return {
    logits,
    outcomes: { positive, negative },
    cluster: { names: Array.from(hard.keys(), String), codes },
  };
}
