import { pairLogits, type Scores } from './decisions.js';

/** How the winners of two models on the same pairs fall together: `leftRight` counts pairs that the first gives to the left. */
export interface Confusion {
  readonly leftLeft: number;
  readonly leftRight: number;
  readonly rightLeft: number;
  readonly rightRight: number;
  /** Pairs that at least one of the two calls even, or has no winner of. */
  readonly even: number;
}

/** Pairs whose first model's margin is in [low, high], and how many of them the second decides otherwise. */
export interface MarginBin {
  /** |pair logit| of the first model. */
  readonly low: number;
  readonly high: number;
  readonly pairs: number;
  readonly flips: number;
}

/** What changed between two models, and how sure the first had been. */
export interface DecisionTable {
  readonly confusion: Confusion;
  /** By rising margin, in parts of about equally many pairs. */
  readonly byMargin: readonly MarginBin[];
}

const MARGIN_BINS = 8;

/** Every winner counts as it is, however small its margin: unlike a gate's flips, which leave out what its budget covers. */
export function decisionTable(first: Scores, second: Scores): DecisionTable {
  const [a, b] = [pairLogits(first), pairLogits(second)];
  const confusion = { leftLeft: 0, leftRight: 0, rightLeft: 0, rightRight: 0, even: 0 };
  for (let i = 0; i < a.length; i++) confusion[cellOf(a[i], b[i])]++;
  const order = Array.from(a.keys())
    .filter((i) => Number.isFinite(a[i]) && Number.isFinite(b[i]))
    .sort((i, j) => Math.abs(a[i]) - Math.abs(a[j]));
  const bins = Math.min(MARGIN_BINS, order.length);
  const byMargin = Array.from({ length: bins }, (_, bin): MarginBin => {
    const rows = order.slice(Math.floor((bin * order.length) / bins), Math.floor(((bin + 1) * order.length) / bins));
    return {
      low: Math.abs(a[rows[0]]),
      high: Math.abs(a[rows[rows.length - 1]]),
      pairs: rows.length,
      flips: rows.filter((i) => Math.sign(a[i]) !== Math.sign(b[i])).length,
    };
  });
  return { confusion, byMargin };
}

function cellOf(a: number, b: number): keyof Confusion {
  if (!(Math.abs(a) > 0 && Math.abs(b) > 0)) return 'even'; // nor has NaN a winner
  if (a > 0) return b > 0 ? 'leftLeft' : 'leftRight';
  return b > 0 ? 'rightLeft' : 'rightRight';
}
