import type { JoinedAbsolutes, JoinedPairs } from '../data/join.js';
import { visitJudgedRows } from '../data/judged-items.js';
import type { LabelLayout } from '../data/layouts/apply.js';
import type { Item } from '../data/rows.js';
import type { RatedItems } from '../stats/best-of.js';

/** Items of prompts as a scorer and people have put them, and how they were had. */
export interface PromptItems extends RatedItems {
  /**
   * `ratings`: each row is an item. `comparisons`: rows are pairs; an item's human score is the mean share of votes it got against each
   * other item of its prompt, and the scorer's is its mean pair logit against them.
   */
  readonly from: 'ratings' | 'comparisons';
  /** Prompts left out, since not all their items were compared with each other; 0 for ratings. */
  readonly incomplete: number;
}

/** Which item stands on either side of a pair: equal contents of one prompt are one item. */
export interface PairSides {
  readonly left: Int32Array;
  readonly right: Int32Array;
}

/** Reads which items the pairs are of. @throws HpsError as `readLabels` */
export async function readPairSides(
  labels: string,
  joined: JoinedPairs,
  reading: { readonly signal?: AbortSignal } & LabelLayout = {},
): Promise<PairSides> {
  const [left, right] = [new Int32Array(joined.count), new Int32Array(joined.count)];
  const codes = new Map<string, number>();
  const codeOf = (cluster: number, item: Item): number => {
    const key = `${cluster} ${JSON.stringify(item)}`;
    const code = codes.get(key) ?? codes.size;
    codes.set(key, code);
    return code;
  };
  await visitJudgedRows(
    labels,
    joined,
    (place, row) => {
      if (row.kind !== 'pair') return;
      left[place] = codeOf(joined.cluster[place], row.left);
      right[place] = codeOf(joined.cluster[place], row.right);
    },
    reading,
  );
  return { left, right };
}

/** Rated items as they are. @param rows - of the table, those that count */
export function itemsOfRatings(
  { logit, score, cluster, clusterCount }: Pick<JoinedAbsolutes, 'logit' | 'score' | 'cluster' | 'clusterCount'>,
  rows: Int32Array,
): PromptItems {
  return {
    from: 'ratings',
    incomplete: 0,
    scores: Float64Array.from(rows, (row) => logit[row]),
    human: Float64Array.from(rows, (row) => score[row]),
    clusters: { of: Int32Array.from(rows, (row) => cluster[row]), count: clusterCount },
  };
}

/** What a prompt's pairs say of one item against another. */
interface Duel {
  logit: number;
  rows: number;
  won: number;
  votes: number;
}

/**
 * Items of the prompts whose items were all compared with each other: where opponents differ, so does what a share of votes means.
 *
 * @param rows - of the table, those that count
 * @param sideOf - items of a row of the table
 */
export function itemsOfComparisons(
  {
    logit,
    votesLeft,
    votesRight,
    cluster,
    clusterCount,
  }: Pick<JoinedPairs, 'logit' | 'votesLeft' | 'votesRight' | 'cluster' | 'clusterCount'>,
  rows: Int32Array,
  sides: PairSides,
  sideOf: (row: number) => number = (row) => row,
): PromptItems {
  const prompts = Array.from({ length: clusterCount }, () => new Map<number, Map<number, Duel>>());
  for (const row of rows) {
    const at = sideOf(row);
    const [left, right] = [sides.left[at], sides.right[at]];
    if (left === right) continue; // an item against itself says nothing
    for (const [own, other, sign, won] of [
      [left, right, 1, votesLeft[row]],
      [right, left, -1, votesRight[row]],
    ] as const) {
      const duels = entryOf(prompts[cluster[row]], own, () => new Map<number, Duel>());
      const duel = entryOf(duels, other, () => ({ logit: 0, rows: 0, won: 0, votes: 0 }));
      duel.logit += sign * logit[row];
      duel.rows++;
      duel.won += won;
      duel.votes += votesLeft[row] + votesRight[row];
    }
  }
  const [scores, human, of]: [number[], number[], number[]] = [[], [], []];
  let [count, incomplete] = [0, 0];
  for (const items of prompts) {
    if (items.size === 0) continue;
    if ([...items.values()].some((duels) => duels.size < items.size - 1)) {
      incomplete++;
      continue;
    }
    for (const duels of items.values()) {
      const mean = (figure: (duel: Duel) => number) =>
        [...duels.values()].reduce((sum, duel) => sum + figure(duel), 0) / duels.size;
      scores.push(mean((duel) => duel.logit / duel.rows));
      human.push(mean((duel) => duel.won / duel.votes));
      of.push(count);
    }
    count++;
  }
  return {
    from: 'comparisons',
    incomplete,
    scores: Float64Array.from(scores),
    human: Float64Array.from(human),
    clusters: { of: Int32Array.from(of), count },
  };
}

function entryOf<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}
