import { rowsByCode } from '../data/columns.js';
import type { JoinedAbsolutes, JoinedPairs } from '../data/join.js';
import { quantileOfSorted } from '../stats/quantile.js';
import type { GroupBy } from './groups.js';
import { allRows } from './judged-statistics.js';

/** How predictions spread over all rows, or over those of a group. */
export interface Distribution {
  /** Null for all rows. */
  readonly by: string | null;
  readonly value: string | null;
  readonly n: number;
  /** Rows in each of the equal parts from `low` to `high`. */
  readonly counts: readonly number[];
  /** The 5, 25, 50, 75 and 95 % quantiles. */
  readonly quantiles: readonly number[];
}

export interface Distributions {
  /** What spreads: the probability of the side that most raters preferred (right of 0.5 the model agrees), or the prediction. */
  readonly of: 'probability-of-majority' | 'prediction';
  readonly low: number;
  readonly high: number;
  readonly rows: readonly Distribution[];
}

const BINS = 20;
const QUANTILES = [0.05, 0.25, 0.5, 0.75, 0.95];

/** Predictions over all rows, then by the values of each column; groups under `minRows` are left out. Even votes have no majority. */
export function distributionsOf(
  joined: JoinedPairs | JoinedAbsolutes,
  values: Float64Array,
  columns: readonly GroupBy[],
  minRows: number,
): Distributions {
  const spread = joined.kind === 'pair' ? ofMajority(joined, values) : values;
  const [low, high] = joined.kind === 'pair' ? [0, 1] : rangeOf(spread);
  const describe = (by: string | null, value: string | null, rows: Int32Array): Distribution[] => {
    const sorted = numbersOf(spread, rows).sort();
    if (rows.length < minRows || sorted.length === 0) return [];
    const counts = new Array<number>(BINS).fill(0);
    for (const one of sorted)
      counts[Math.min(BINS - 1, Math.max(0, Math.floor(((one - low) / (high - low)) * BINS)))]++;
    return [{ by, value, n: sorted.length, counts, quantiles: QUANTILES.map((p) => quantileOfSorted(sorted, p)) }];
  };
  const groups = columns.flatMap(({ name, column }) => {
    const { names } = column;
    const rows = rowsByCode(column);
    return [...names.keys()]
      .sort((a, b) => (names[a] < names[b] ? -1 : 1))
      .flatMap((code) => describe(name, names[code], rows[code]));
  });
  return {
    of: joined.kind === 'pair' ? 'probability-of-majority' : 'prediction',
    low,
    high,
    rows: [...describe(null, null, allRows(joined)), ...groups],
  };
}

/** The values of rows but for those that are NaN. A loop: `filter` makes an object of each number on the way. */
function numbersOf(values: Float64Array, rows: Int32Array): Float64Array {
  const numbers = new Float64Array(rows.length);
  let count = 0;
  for (const row of rows) if (!Number.isNaN(values[row])) numbers[count++] = values[row];
  return numbers.subarray(0, count);
}

/** NaN where the votes are even. */
const ofMajority = ({ votesLeft, votesRight }: JoinedPairs, probabilities: Float64Array): Float64Array =>
  probabilities.map((p, row) => {
    const lead = votesLeft[row] - votesRight[row];
    return lead === 0 ? Number.NaN : lead > 0 ? p : 1 - p;
  });

/** Least and greatest value, apart even where all are alike. */
function rangeOf(values: Float64Array): [number, number] {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return low < high ? [low, high] : [low - 0.5, low + 0.5];
}
