import type { Rows } from './window.js';

/** A stretch of a window, for charts over time. */
export interface TimelineBin {
  /** Rows before it, and of it. */
  readonly start: number;
  readonly rows: number;
  /** Of its rows; null where they do not say. */
  readonly from: string | null;
  readonly to: string | null;
  readonly logit: number;
  /** Expected accuracy; null for items. */
  readonly accuracy: number | null;
}

const BINS = 40;
/** Rows of a bin at least: of fewer a mean is noise. */
const LEAST_ROWS = 10;

/** The window in stretches of equally many rows, in the order in which they were read. */
export function timelineOf({ count, logit, probability, at }: Rows): TimelineBin[] {
  const bins = Math.min(BINS, Math.floor(count / LEAST_ROWS));
  return Array.from({ length: bins }, (_, bin) => {
    const [start, end] = [Math.floor((bin * count) / bins), Math.floor(((bin + 1) * count) / bins)];
    let [sum, sure] = [0, 0];
    let [first, last] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    for (let row = start; row < end; row++) {
      sum += logit[row];
      sure += Math.max(probability[row], 1 - probability[row]);
      if (at[row] < first) first = at[row];
      if (at[row] > last) last = at[row];
    }
    const rows = end - start;
    const accuracy = sure / rows;
    return {
      start,
      rows,
      from: timeOf(first),
      to: timeOf(last),
      logit: sum / rows,
      accuracy: Number.isNaN(accuracy) ? null : accuracy,
    };
  });
}

/** Of milliseconds since 1970; null for none. */
export const timeOf = (ms: number): string | null =>
  Number.isFinite(ms) && Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : null;

/** First and last time that rows name. */
export function spanOf({ at }: Rows): { readonly from: string | null; readonly to: string | null } {
  let [first, last] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const time of at) {
    if (time < first) first = time;
    if (time > last) last = time;
  }
  return { from: timeOf(first), to: timeOf(last) };
}
