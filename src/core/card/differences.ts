/** A value that a document states and that is another once it is looked for again. */
export interface Difference {
  /** Path of the value: `evaluations.0.report.overall.accuracy.value`. */
  readonly at: string;
  readonly stated: string | number | boolean | null;
  readonly found: string | number | boolean | null;
}

type Leaf = Difference['stated'];

/** Numbers below this are taken as of this size where rounding is let pass: what is left of a sum that cancels is rounding alone. */
const LEAST_SIZE = 1e-4;

const isLeaf = (value: unknown): value is Leaf => typeof value !== 'object' || value === null;

/** What stands for a value in a list of differences. */
const shown = (value: unknown): Leaf => {
  if (value === undefined) return 'absent';
  if (isLeaf(value)) return value;
  return Array.isArray(value) ? `a list of ${value.length}` : 'an object';
};

/**
 * Where two documents of plain values differ, value by value.
 *
 * @param rounding - share of the larger of two numbers, of 1e-4 at the least, by which they may differ
 */
export function differencesOf(stated: unknown, found: unknown, at = '', rounding = 0): Difference[] {
  if (isLeaf(stated) || isLeaf(found) || Array.isArray(stated) !== Array.isArray(found)) {
    return alike(stated, found, rounding) ? [] : [{ at: at || 'the root', stated: shown(stated), found: shown(found) }];
  }
  const [a, b] = [stated, found] as Record<string, unknown>[];
  const keys = [...new Set([...Object.keys(a), ...Object.keys(b)])];
  return keys.flatMap((key) => {
    const path = at === '' ? key : `${at}.${key}`;
    if (Object.hasOwn(a, key) && Object.hasOwn(b, key)) return differencesOf(a[key], b[key], path, rounding);
    return [{ at: path, stated: shown(a[key]), found: shown(b[key]) }];
  });
}

function alike(a: unknown, b: unknown, rounding: number): boolean {
  if (typeof a !== 'number' || typeof b !== 'number') return a === b;
  return Math.abs(a - b) <= rounding * Math.max(Math.abs(a), Math.abs(b), LEAST_SIZE);
}

/** How many numbers a document holds. */
export function numbersIn(value: unknown): number {
  if (typeof value === 'number') return 1;
  if (isLeaf(value)) return 0;
  return Object.values(value as object).reduce((sum: number, inner) => sum + numbersIn(inner), 0);
}
