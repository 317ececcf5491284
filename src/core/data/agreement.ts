/**
 * How far raters agree beyond chance. Units are rows; each has any number of judgements, in any order, by any raters.
 */

export type MeasurementLevel = 'nominal' | 'ordinal' | 'interval';

/**
 * Krippendorff's alpha: 1 is perfect agreement, 0 is chance, negative is systematic disagreement.
 *
 * Interval and ordinal distances are squared differences (of values, and of the values' mid-ranks), so that sums of
 * squares replace the coincidence matrix: O(n log n), whatever the number of distinct values.
 *
 * @param units - the judgements of each row; rows with fewer than two do not count
 * @returns null when no two judgements can be compared, or all are equal and chance is undefined
 * @see Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011)
 */
export function krippendorffAlpha(units: Iterable<readonly number[]>, level: MeasurementLevel): number | null {
  const pairable = [...units].filter((unit) => unit.length >= 2);
  if (level === 'nominal') return nominalAlpha(pairable);
  return intervalAlpha(level === 'ordinal' ? midRanks(pairable) : pairable);
}

/** 1 - observed / expected disagreement, where two judgements disagree or do not. */
function nominalAlpha(units: readonly (readonly number[])[]): number | null {
  const totals = new Map<number, number>();
  let n = 0;
  let observed = 0;
  for (const unit of units) {
    n += unit.length;
    let equalPairs = 0;
    for (const [value, count] of countValues(unit)) {
      equalPairs += count * (count - 1);
      totals.set(value, (totals.get(value) ?? 0) + count);
    }
    observed += unit.length - equalPairs / (unit.length - 1);
  }
  let expected = n * (n - 1);
  for (const count of totals.values()) expected -= count * (count - 1);
  return ratioAlpha(observed, expected / (n - 1));
}

/** The same with squared differences; values are centred first, against cancellation. */
function intervalAlpha(units: readonly (readonly number[])[]): number | null {
  let n = 0;
  let total = 0;
  for (const unit of units) {
    n += unit.length;
    for (const value of unit) total += value;
  }
  const mean = total / n;
  let observed = 0;
  let sum = 0;
  let squares = 0;
  for (const unit of units) {
    let unitSum = 0;
    let unitSquares = 0;
    for (const value of unit) {
      unitSum += value - mean;
      unitSquares += (value - mean) ** 2;
    }
    observed += (2 * (unit.length * unitSquares - unitSum ** 2)) / (unit.length - 1);
    sum += unitSum;
    squares += unitSquares;
  }
  return ratioAlpha(observed, (2 * (n * squares - sum ** 2)) / (n - 1));
}

function ratioAlpha(observed: number, expected: number): number | null {
  return expected > 0 ? 1 - observed / expected : null;
}

/** Every value's mid-rank among all judgements: the ordinal distance of two values is the difference of theirs. */
function midRanks(units: readonly (readonly number[])[]): number[][] {
  const totals = new Map<number, number>();
  for (const unit of units) for (const value of unit) totals.set(value, (totals.get(value) ?? 0) + 1);
  const ranks = new Map<number, number>();
  let below = 0;
  for (const [value, count] of [...totals].sort(([a], [b]) => a - b)) {
    ranks.set(value, below + count / 2);
    below += count;
  }
  const ranked = new Map<readonly number[], number[]>(); // rows with equal judgements may share a list
  for (const unit of units) {
    if (!ranked.has(unit))
      ranked.set(
        unit,
        unit.map((value) => ranks.get(value)!),
      );
  }
  return units.map((unit) => ranked.get(unit)!);
}

/**
 * Fleiss' kappa; rows may have different numbers of judgements (with equal numbers it is Fleiss' own formula).
 *
 * @param units - the judgements of each row; rows with fewer than two do not count
 * @returns null when there is nothing to compare, or only one category
 * @see Fleiss, "Measuring nominal scale agreement among many raters" (1971)
 */
export function fleissKappa(units: Iterable<readonly number[]>): number | null {
  const totals = new Map<number, number>();
  let rows = 0;
  let judgements = 0;
  let observed = 0;
  for (const unit of units) {
    if (unit.length < 2) continue;
    rows++;
    judgements += unit.length;
    let equalPairs = 0;
    for (const [value, count] of countValues(unit)) {
      equalPairs += count * (count - 1);
      totals.set(value, (totals.get(value) ?? 0) + count);
    }
    observed += equalPairs / (unit.length * (unit.length - 1));
  }
  if (rows === 0 || totals.size < 2) return null;
  let chance = 0;
  for (const count of totals.values()) chance += (count / judgements) ** 2;
  return (observed / rows - chance) / (1 - chance);
}

/**
 * Agreement of one row: the share of its votes that chose the most frequent answer, ties being an answer of their own.
 *
 * @param votes - at least one; a single vote agrees with itself (1)
 */
export function voteAgreement(votes: readonly number[]): number {
  return Math.max(...countValues(votes).values()) / votes.length;
}

function countValues(values: readonly number[]): Map<number, number> {
  const counts = new Map<number, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return counts;
}
