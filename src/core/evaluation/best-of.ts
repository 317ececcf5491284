import type { JoinedAbsolutes, JoinedPairs } from '../data/join.js';
import { HpsError } from '../errors.js';
import { type BestOf, prepareBestOf } from '../stats/best-of.js';
import { type BootstrapOptions, type Estimate, estimateOf, replicate } from '../stats/bootstrap.js';
import { holmAdjust } from '../stats/holm.js';
import { compareReplicates } from '../stats/paired.js';
import { type MetricComparison, sharedRows } from './baseline.js';
import { allRows } from './judged-statistics.js';
import { itemsOfComparisons, itemsOfRatings, type PairSides, type PromptItems } from './prompt-items.js';

/** Largest N that is asked of a scorer's picks. */
export const MOST_BEST_OF = 100_000;

/** What the item that a scorer picks among N of a prompt is worth to people. */
export interface BestOfFigures {
  readonly n: number;
  /** Prompts that have as many items; the figures are null where none has. */
  readonly prompts: number;
  /** Expected human score of the pick, on the scale of the labels; of pairs the share of votes it gets against the others. */
  readonly humanScore: Estimate;
  /** Chance that people prefer the pick to another item of its prompt; one half where the scorer says nothing. */
  readonly winRate: Estimate;
  /** How much better people's own pick of the same N is. */
  readonly regret: Estimate;
  /** Share of what picking well can gain over picking blindly that this scorer gains. */
  readonly captured: Estimate;
  /** The human score of the pick against that of the baseline's, on the rows both scored. */
  readonly baseline?: MetricComparison & { readonly prompts: number };
}

export interface BestOfReport {
  readonly from: PromptItems['from'];
  readonly items: number;
  readonly prompts: number;
  /** Prompts left out, since not all their items were compared with each other. */
  readonly incomplete: number;
  readonly picks: readonly BestOfFigures[];
}

/** Whose picks are judged. */
export interface BestOfRows {
  readonly joined: JoinedPairs | JoinedAbsolutes;
  /** Which items the pairs of `joined` are of; null for rated items. */
  readonly sides: PairSides | null;
  /** The same labels with the scores of another model. */
  readonly baseline?: JoinedPairs | JoinedAbsolutes;
}

/** Sizes as a report has them: ascending, each once. @throws HpsError USAGE for one that is no size */
export function bestOfSizes(sizes: readonly number[]): number[] {
  const wrong = sizes.find((n) => !(Number.isSafeInteger(n) && n >= 1 && n <= MOST_BEST_OF));
  if (wrong === undefined && sizes.length > 0) return [...new Set(sizes)].sort((a, b) => a - b);
  throw new HpsError('USAGE', `\`bestOf\` ${wrong ?? '[]'}: expected whole numbers from 1 to ${MOST_BEST_OF}`, {
    hint: 'Give the numbers of items to pick among, say 1, 2 and 4.',
    details: { bestOf: [...sizes] },
  });
}

/**
 * What picking the best of N by a scorer comes to, for each N, with intervals by prompts.
 *
 * @throws HpsError DATA_INVALID where no prompt has as many items as the smallest N, or two at all
 */
export async function judgeBestOf(
  { joined, sides, baseline }: BestOfRows,
  sizes: readonly number[],
  options: BootstrapOptions,
): Promise<BestOfReport> {
  const items = itemsOf(joined, allRows(joined), sides);
  const counts = itemsByPrompt(items);
  const most = counts.reduce((a, b) => Math.max(a, b), 0);
  if (most < Math.max(2, sizes[0])) throw tooFewItems(most, sizes, items);
  const both = baseline && sharedItems(joined, baseline, sides);
  const picks: BestOfFigures[] = [];
  for (const n of sizes) {
    const figures = prepareBestOf(items, n);
    const statistics = FIGURES.map((key) => figures[key]);
    const replicates = await replicate(statistics, items.clusters, options);
    const [humanScore, winRate, regret, captured] = replicates.map((one) =>
      estimateOf(one, items.clusters, options.level),
    );
    const compared = both && (await comparePicks(both, n, options));
    picks.push({
      n,
      prompts: figures.prompts,
      humanScore,
      winRate,
      regret,
      captured,
      ...(compared && { baseline: compared }),
    });
  }
  return {
    from: items.from,
    items: items.scores.length,
    prompts: counts.length,
    incomplete: items.incomplete,
    picks: withHolm(picks),
  };
}

const FIGURES = ['humanScore', 'winRate', 'regret', 'captured'] as const satisfies readonly (keyof BestOf)[];

function itemsOf(
  joined: JoinedPairs | JoinedAbsolutes,
  rows: Int32Array,
  sides: PairSides | null,
  sideOf?: (row: number) => number,
): PromptItems {
  return joined.kind === 'absolute' ? itemsOfRatings(joined, rows) : itemsOfComparisons(joined, rows, sides!, sideOf);
}

/** How many items each prompt with any has. */
function itemsByPrompt({ clusters: { of, count } }: PromptItems): number[] {
  const counts = new Array<number>(count).fill(0);
  for (const cluster of of) counts[cluster]++;
  return counts.filter((items) => items > 0);
}

/** The same items, in the same order, by two models. */
interface BothItems {
  readonly model: PromptItems;
  readonly baseline: PromptItems;
}

/** Items of the rows that both models scored: the same in both, in the same order. */
function sharedItems(
  joined: JoinedPairs | JoinedAbsolutes,
  baseline: JoinedPairs | JoinedAbsolutes,
  sides: PairSides | null,
): BothItems {
  const { ours, theirs } = sharedRows(joined, baseline);
  const ourRow = new Map(Array.from(theirs, (row, i) => [row, ours[i]]));
  // Clusters of the model's table for both, so that one resample draws the same prompts.
  const cluster = Int32Array.from({ length: baseline.count }, (_, row) => joined.cluster[ourRow.get(row) ?? 0]);
  const aligned = { ...baseline, cluster, clusterCount: joined.clusterCount };
  return {
    model: itemsOf(joined, ours, sides),
    baseline: itemsOf(aligned, theirs, sides, (row) => ourRow.get(row)!),
  };
}

/** What two models' picks of the same items come to; undefined without a prompt. */
export async function comparePicks({ model, baseline }: BothItems, n: number, options: BootstrapOptions) {
  const figures = [model, baseline].map((items) => prepareBestOf(items, n));
  const { clusters } = model;
  if (clusters.count === 0) return undefined;
  const statistics = figures.map(({ humanScore }) => humanScore);
  const [first, second] = await replicate(statistics, clusters, options);
  const [ofModel, ofBaseline] = [first, second].map((one) => estimateOf(one, clusters, options.level));
  const paired = compareReplicates(first, second, 'higher', clusters, options.level);
  return { prompts: figures[0].prompts, model: ofModel, baseline: ofBaseline, ...paired, holm: null };
}

/** Best of 1 picks nothing: it is compared with nobody, and counts for no test. */
const isTested = ({ n, baseline }: BestOfFigures): boolean => n > 1 && baseline?.pValue != null;

function withHolm(picks: readonly BestOfFigures[]): BestOfFigures[] {
  const adjusted = holmAdjust(picks.filter(isTested).map(({ baseline }) => baseline!.pValue!));
  return picks.map((one) =>
    isTested(one) ? { ...one, baseline: { ...one.baseline!, holm: adjusted.shift()! } } : one,
  );
}

function tooFewItems(most: number, sizes: readonly number[], { from, incomplete }: PromptItems): HpsError {
  const left = incomplete > 0 ? `; of ${incomplete} prompts not all items were compared with each other` : '';
  const rule = `no prompt has ${Math.max(2, sizes[0])} judged items that are scored, the largest has ${most}${left}`;
  return new HpsError('DATA_INVALID', `best of ${sizes.join(', ')}: ${rule}`, {
    hint:
      from === 'ratings'
        ? 'Items of one prompt share a prompt_id: state it in the labels, or ask for a smaller N.'
        : 'Pairs of one prompt share a prompt_id, and all its items must be compared: state it, or ask for a smaller N.',
    details: { sizes: [...sizes], most, incomplete },
  });
}

/** What a reader must know of the sizes, one sentence each. */
export function bestOfWarnings({ picks, prompts, incomplete }: BestOfReport): string[] {
  const warnings: string[] = [];
  if (incomplete > 0)
    warnings.push(`Best of N leaves ${incomplete} prompts out: not all their items were compared with each other.`);
  for (const { n, prompts: having } of picks) {
    if (having === 0) warnings.push(`No prompt has ${n} judged items: best of ${n} cannot be told.`);
    else if (having < prompts)
      warnings.push(`Best of ${n} is of the ${having} of ${prompts} prompts that have ${n} items.`);
  }
  return warnings;
}
