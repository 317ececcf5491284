import { clusterFolds } from '../data/split.js';
import { HpsError } from '../errors.js';
import { percentileInterval, replicate, sortedValues } from '../stats/bootstrap.js';
import type { Interval } from '../stats/interval.js';
import { sigmoid, softplus } from '../stats/logistic.js';
import { comparePaired, type PairedComparison } from '../stats/paired.js';
import { type Clusters, ratioOfSums } from '../stats/statistic.js';

/** Fewer clusters say nothing of a rule beside the scale that is fitted with it. */
export const WINDOW_RULE_CLUSTERS = 50;

/** Labelled rows with the logits of their windows. */
export interface WindowedRows {
  readonly kind: 'pair' | 'absolute';
  /** Of each row, the logits of the windows of its one item, or of both sides. */
  readonly sides: readonly (readonly Float64Array[])[];
  /** Of pairs: the votes for the left, and for the right. */
  readonly votes?: { readonly left: Float64Array; readonly right: Float64Array };
  /** Of items: the human score, and how much each counts. */
  readonly scores?: { readonly score: Float64Array; readonly weight: Float64Array };
  readonly clusters: Clusters;
  readonly clusterNames: readonly string[];
}

export interface FitWindowRuleOptions {
  readonly folds: number;
  readonly seed: number;
  readonly resamples: number;
  readonly signal?: AbortSignal;
}

/** Whether labels held out are told better by the fitted rule than by no score at all, or by the scores turned around. */
export type Following = 'follow' | 'against' | 'unclear';

/** How a rule does on rows that were held out, and how the fitted one compares with it. */
interface ComparedRule {
  readonly loss: number;
  readonly comparison: PairedComparison;
}

export interface WindowRuleFit {
  readonly sharpness: number;
  /** To a step of the grid; null where labels do not follow the scores, so that nothing is known of it. */
  readonly ci: Interval | null;
  /** Whether the upper end of the interval is only that of the grid, from where on the worst window decides alone. */
  readonly isOpen: boolean;
  readonly labels: Following;
  /** Of labels held out, without a score. */
  readonly lossOfNone: number;
  readonly heldOut: { readonly fitted: number } & Readonly<Record<'mean' | 'worst' | 'last', ComparedRule>>;
}

/** A way to one logit a side: a sharpness, the last window, the mean turned around, or nothing. */
type Rule = number | 'last' | 'against' | 'none';

/** What a rule gives each row: of a pair left less right. */
type Column = Float64Array;

/** What the column becomes before it is held against labels: of pairs a slope, of items a slope and a level. */
interface Scale {
  readonly slope: number;
  readonly level: number;
}

/**
 * Fits by maximum likelihood how sharply low windows count: with votes through a Bradley–Terry link of free slope, with scores under
 * errors of one normal distribution on a line. Between the mean (0) and the worst window (without bound) lies one parameter.
 *
 * @throws HpsError TOO_FEW_CLUSTERS; DATA_INVALID where the windows of no row differ, or all labels are one
 */
export async function fitWindowRule(rows: WindowedRows, options: FitWindowRuleOptions): Promise<WindowRuleFit> {
  const { clusters, clusterNames } = rows;
  const { folds, seed, resamples, signal } = options;
  if (clusters.count < WINDOW_RULE_CLUSTERS) {
    throw new HpsError(
      'TOO_FEW_CLUSTERS',
      `a rule of windows needs ${WINDOW_RULE_CLUSTERS} clusters (prompts) with more than one window, there are ${clusters.count}`,
      {
        hint: `Label ${WINDOW_RULE_CLUSTERS - clusters.count} more prompts, or take \`mean\` or \`worst\`.`,
        details: { clusters: clusters.count, needed: WINDOW_RULE_CLUSTERS },
      },
    );
  }
  assertLabelsDiffer(rows);
  const grid = gridOf(rows);
  const columns = new Map<Rule, Column>();
  const columnOf = (rule: Rule): Column => {
    const column = columns.get(rule) ?? columnBy(rows, rule);
    columns.set(rule, column);
    return column;
  };
  const likelihood = likelihoodOf(rows);
  const loss = (rule: Rule, weights: Float64Array): number => likelihood.fit(columnOf(rule), weights).loss;
  const coarse = (weights: Float64Array): number => leastOf(grid, (at) => loss(at, weights));
  const fine = (weights: Float64Array): number => refined(grid, coarse(weights), (at) => loss(at, weights));

  const all = new Float64Array(clusters.of.length).fill(1);
  const sharpness = fine(all);
  const [drawn] = await replicate([(weights = all) => coarse(weights)], clusters, {
    resamples,
    seed: `${seed}/windows`,
    signal,
  });

  const foldOf = clusterFolds(clusterNames, folds, seed);
  const losses = {
    fitted: likelihood.empty(),
    mean: likelihood.empty(),
    worst: likelihood.empty(),
    last: likelihood.empty(),
    against: likelihood.empty(),
    none: likelihood.empty(),
  };
  for (let fold = 0; fold < folds; fold++) {
    const train = all.map((_, row) => Number(foldOf[clusters.of[row]] !== fold));
    const named = { mean: 0, worst: Number.POSITIVE_INFINITY, last: 'last', against: 'against', none: 'none' } as const;
    const rules = { fitted: fine(train), ...named };
    for (const [name, rule] of Object.entries(rules) as [keyof typeof rules, Rule][]) {
      const column = columnOf(rule);
      const { scale } = likelihood.fit(column, train);
      for (let row = 0; row < column.length; row++)
        if (train[row] === 0) losses[name][row] = likelihood.loss(column[row], row, scale);
    }
  }
  const weights = likelihood.weights;
  const fitted = ratioOfSums(losses.fitted, weights);
  const none = ratioOfSums(losses.none, weights);
  const compared = async (rule: 'mean' | 'worst' | 'last' | 'none'): Promise<ComparedRule> => {
    const other = ratioOfSums(losses[rule], weights);
    const comparison = await comparePaired(fitted, other, 'lower', clusters, { seed: `${seed}/${rule}`, signal });
    return { loss: other()!, comparison };
  };
  const turned = await comparePaired(ratioOfSums(losses.against, weights), none, 'lower', clusters, {
    seed: `${seed}/against`,
    signal,
  });
  const follows = (await compared('none')).comparison.verdict === 'better';
  const ci = follows ? toSteps(percentileInterval(sortedValues(drawn)), grid) : null;
  return {
    sharpness,
    ci,
    isOpen: ci?.[1] === grid.at(-1),
    labels: follows ? 'follow' : turned.verdict === 'better' ? 'against' : 'unclear',
    lossOfNone: none()!,
    heldOut: {
      fitted: fitted()!,
      mean: await compared('mean'),
      worst: await compared('worst'),
      last: await compared('last'),
    },
  };
}

/** @throws HpsError DATA_INVALID where nothing can tell one rule from another */
function assertLabelsDiffer({ votes, scores }: WindowedRows): void {
  const areSame = scores?.score.every((score) => score === scores.score[0]);
  const areTies = votes?.left.every((left, row) => left === votes.right[row]);
  if (!areSame && !areTies) return;
  const what = areTies ? 'every pair is a tie' : `every score is ${scores!.score[0]}`;
  throw new HpsError('DATA_INVALID', `${what}: such labels say nothing of a rule of windows`, {
    hint: 'Give labels that differ, or take `mean` or `worst`.',
  });
}

/** The interval as wide as is known: a draw says between which neighbours of the grid its sharpness lies. */
function toSteps([low, high]: Interval, grid: readonly number[]): Interval {
  const below = grid.findLast((at) => at < low) ?? grid[0];
  const above = grid.find((at) => at > high) ?? grid[grid.length - 1];
  return [below, above];
}

/** Between neighbours of the grid the likelihood is as good as flat. */
const GRID_STEP = 2 ** 0.25;
/** Of what a window is apart from the mean of its item, in units of the spread: under the first the mean decides, over the last the worst. */
const GRID_FROM = 1 / 16;
const GRID_TO = 64;

/** Sharpnesses to look among, ascending: 0, and from where windows hardly count unequally to where one decides. */
function gridOf({ sides }: WindowedRows): number[] {
  let [squares, count] = [0, 0];
  for (const logits of sides.flat()) {
    const mean = logits.reduce((a, b) => a + b, 0) / logits.length;
    squares += logits.reduce((sum, logit) => sum + (logit - mean) ** 2, 0);
    count += logits.length;
  }
  const spread = Math.sqrt(squares / count);
  if (!(spread > 0)) {
    throw new HpsError('DATA_INVALID', 'the windows of every row have one logit: no rule says more than another', {
      hint: 'Give scores of items that are longer than a window.',
    });
  }
  const grid = [0];
  for (let at = GRID_FROM; at <= GRID_TO; at *= GRID_STEP) grid.push(at / spread);
  return grid;
}

/** The first of the places with the least value. */
function leastOf(places: readonly number[], value: (place: number) => number): number {
  let [least, best] = [places[0], Number.POSITIVE_INFINITY];
  for (const place of places) {
    const here = value(place);
    if (here < best) [least, best] = [place, here];
  }
  return least;
}

const GOLDEN = (Math.sqrt(5) - 1) / 2;
const REFINEMENTS = 24;

/** The least between the neighbours of a place of the grid, by golden section. */
function refined(grid: readonly number[], place: number, value: (place: number) => number): number {
  const at = grid.indexOf(place);
  let [low, high] = [grid[Math.max(0, at - 1)], grid[Math.min(grid.length - 1, at + 1)]];
  let [left, right] = [high - GOLDEN * (high - low), low + GOLDEN * (high - low)];
  let [ofLeft, ofRight] = [value(left), value(right)];
  for (let i = 0; i < REFINEMENTS; i++) {
    if (ofLeft <= ofRight) {
      [high, right, ofRight] = [right, left, ofLeft];
      left = high - GOLDEN * (high - low);
      ofLeft = value(left);
    } else {
      [low, left, ofLeft] = [left, right, ofRight];
      right = low + GOLDEN * (high - low);
      ofRight = value(right);
    }
  }
  return leastOf([place, (low + high) / 2], value); // an end of the grid is no worse for what lies beside it
}

function columnBy({ sides }: WindowedRows, rule: Rule): Column {
  const [left, right] = sides.map((side) => side.map((logits) => aggregated(logits, rule)));
  return Float64Array.from(left, (logit, row) => logit - (right?.[row] ?? 0));
}

function aggregated(logits: Float64Array, rule: Rule): number {
  if (rule === 'last') return logits[logits.length - 1];
  if (rule === 'none') return 0;
  if (rule === 'against') return -aggregated(logits, 0);
  const lowest = logits.reduce((low, logit) => Math.min(low, logit), Number.POSITIVE_INFINITY);
  if (rule === Number.POSITIVE_INFINITY) return lowest;
  let [sum, weights] = [0, 0];
  for (const logit of logits) {
    const weight = Math.exp(-rule * (logit - lowest));
    sum += weight * logit;
    weights += weight;
  }
  return sum / weights;
}

/** How labels are held against a column. */
interface Likelihood {
  /** What rows count in a loss. */
  readonly weights: Float64Array;
  empty(): Float64Array;
  /** The best scale and its mean loss, of rows that count so often. */
  fit(column: Column, rows: Float64Array): { readonly scale: Scale; readonly loss: number };
  /** Of one row, as often as it counts. */
  loss(value: number, row: number, scale: Scale): number;
}

const likelihoodOf = ({ votes, scores, clusters }: WindowedRows): Likelihood =>
  votes ? ofVotes(votes) : ofScores(scores!, clusters.of.length);

/** Newton steps for a slope: of pairs that a column tells apart without an error it has no end. */
const STEPS = 30;

function ofVotes({ left, right }: NonNullable<WindowedRows['votes']>): Likelihood {
  const weights = left.map((votes, row) => votes + right[row]);
  const lossAt = (x: number, row: number): number => left[row] * softplus(-x) + right[row] * softplus(x);
  return {
    weights,
    empty: () => new Float64Array(left.length),
    loss: (value, row, { slope }) => lossAt(slope * value, row),
    fit(column, rows) {
      let slope = 0;
      for (let step = 0; step < STEPS; step++) {
        let [gradient, curvature] = [0, 0];
        for (let row = 0; row < column.length; row++) {
          if (rows[row] === 0) continue;
          const p = sigmoid(slope * column[row]);
          gradient += rows[row] * column[row] * (left[row] - weights[row] * p);
          curvature += rows[row] * weights[row] * column[row] ** 2 * p * (1 - p);
        }
        const change = curvature > 0 ? gradient / curvature : 0;
        slope = Math.max(0, slope + change); // a rule does not turn a model around
        if (Math.abs(change) <= 1e-7 * (1 + slope)) break;
      }
      let [loss, count] = [0, 0];
      for (let row = 0; row < column.length; row++) {
        if (rows[row] === 0) continue;
        loss += rows[row] * lossAt(slope * column[row], row);
        count += rows[row] * weights[row];
      }
      return { scale: { slope, level: 0 }, loss: loss / count };
    },
  };
}

function ofScores({ score, weight }: NonNullable<WindowedRows['scores']>, count: number): Likelihood {
  return {
    weights: weight,
    empty: () => new Float64Array(count),
    loss: (value, row, { slope, level }) => weight[row] * (score[row] - level - slope * value) ** 2,
    fit(column, rows) {
      const sumOf = (of: (row: number) => number): number => {
        let sum = 0;
        for (let row = 0; row < count; row++) if (rows[row] > 0) sum += rows[row] * weight[row] * of(row);
        return sum;
      };
      const total = sumOf(() => 1);
      const [x, y] = [sumOf((row) => column[row]) / total, sumOf((row) => score[row]) / total];
      const [spread, both] = [
        sumOf((row) => (column[row] - x) ** 2),
        sumOf((row) => (column[row] - x) * (score[row] - y)),
      ];
      const slope = spread > 0 ? Math.max(0, both / spread) : 0;
      const level = y - slope * x;
      return { scale: { slope, level }, loss: sumOf((row) => (score[row] - level - slope * column[row]) ** 2) / total };
    },
  };
}
