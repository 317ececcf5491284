import { comparePicks } from '../../evaluation/best-of.js';
import { itemsOfComparisons, itemsOfRatings, type PromptItems } from '../../evaluation/prompt-items.js';
import { prepareBestOf } from '../../stats/best-of.js';
import type { Estimate } from '../../stats/bootstrap.js';
import type { PairedComparison } from '../../stats/paired.js';
import type { SampleJudgements } from '../sample-rows.js';

/** Numbers of items that a pick is made of, as far as prompts have as many. */
const SIZES = [2, 4, 8, 16, 32];
const RESAMPLES = 2000;

/** What the best of N by score is worth to people, before and after: what a flip rate over random pairs understates. */
export interface PicksChange {
  /** Whether the items are rated, or a human score is the share of votes that an item got against each other one of its prompt. */
  readonly from: PromptItems['from'];
  readonly prompts: number;
  /** Prompts left out, since not all their items were compared with each other. */
  readonly incomplete: number;
  readonly picks: readonly PickChange[];
}

/** `difference` is quantized less float, with its interval by prompts. */
export interface PickChange extends PairedComparison {
  readonly n: number;
  /** Prompts that have as many items. */
  readonly prompts: number;
  /** Human score of the pick. */
  readonly float: Estimate;
  readonly quantized: Estimate;
  /** How much better people's own pick of the same N is. */
  readonly regret: { readonly float: number | null; readonly quantized: number | null };
}

/** @param scores - of each row, by the float model and by the quantized one. @returns null where no prompt has two judged items */
export async function comparePromptPicks(
  scores: { readonly float: Float64Array; readonly quantized: Float64Array },
  judgements: Pick<SampleJudgements, 'comparisons' | 'ratings'>,
  options: { readonly seed: number; readonly signal?: AbortSignal },
): Promise<PicksChange | null> {
  const [float, quantized] = [scores.float, scores.quantized].map((values) => promptItems(values, judgements));
  const { clusters, from, incomplete } = float;
  const items = new Array<number>(clusters.count).fill(0);
  for (const prompt of clusters.of) items[prompt]++;
  const most = items.reduce((a, b) => Math.max(a, b), 0);
  const picks: PickChange[] = [];
  for (const n of SIZES.filter((size) => size <= most)) {
    const compared = await comparePicks({ model: quantized, baseline: float }, n, {
      seed: `${options.seed}/picks`,
      resamples: RESAMPLES,
      signal: options.signal,
    });
    if (!compared) return null;
    const { prompts, model, baseline, difference, ci, pValue, verdict } = compared;
    const [before, after] = [float, quantized].map((one) => prepareBestOf(one, n).regret());
    const regret = { float: before, quantized: after };
    picks.push({ n, prompts, float: baseline, quantized: model, regret, difference, ci, pValue, verdict });
  }
  return picks.length === 0 ? null : { from, prompts: items.filter((n) => n > 0).length, incomplete, picks };
}

/** Items of the prompts by what a model says of the rows: compared pairs, where there are any, else rated items. */
function promptItems(
  scores: Float64Array,
  { comparisons, ratings }: Pick<SampleJudgements, 'comparisons' | 'ratings'>,
) {
  if (comparisons.length === 0) {
    return itemsOfRatings(
      {
        logit: Float64Array.from(ratings, ({ row }) => scores[row]),
        score: Float64Array.from(ratings, ({ score }) => score),
        ...clustersOf(ratings),
      },
      rowsOf(ratings),
    );
  }
  const [left, right] = [new Int32Array(comparisons.length), new Int32Array(comparisons.length)];
  const codes = new Map<string, number>();
  const codeOf = (promptId: string, item: string): number => {
    const key = JSON.stringify([promptId, item]);
    const code = codes.get(key) ?? codes.size;
    codes.set(key, code);
    return code;
  };
  for (const [i, each] of comparisons.entries()) {
    left[i] = codeOf(each.promptId, each.left);
    right[i] = codeOf(each.promptId, each.right);
  }
  return itemsOfComparisons(
    {
      // A pair is one row of a model of pairs, and two of a model of items.
      logit: Float64Array.from(comparisons, ({ rows: [own, other] }) =>
        other === undefined ? scores[own] : scores[own] - scores[other],
      ),
      votesLeft: Float64Array.from(comparisons, ({ votesLeft }) => votesLeft),
      votesRight: Float64Array.from(comparisons, ({ votesRight }) => votesRight),
      ...clustersOf(comparisons),
    },
    rowsOf(comparisons),
    { left, right },
  );
}

const rowsOf = (all: readonly unknown[]): Int32Array => Int32Array.from(all, (_, i) => i);

function clustersOf(all: readonly { readonly promptId: string }[]) {
  const codes = new Map<string, number>();
  const cluster = Int32Array.from(all, ({ promptId }) => {
    const code = codes.get(promptId) ?? codes.size;
    codes.set(promptId, code);
    return code;
  });
  return { cluster, clusterCount: codes.size };
}
