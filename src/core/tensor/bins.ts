/** Equal bins over a range; what lies outside counts in the first or last. */
export interface Bins {
  readonly low: number;
  /** Of one bin; positive and finite. */
  readonly width: number;
  readonly count: number;
}

/** Adds values to the counts of their bins. @param counts - `bins.count` of them */
export function countInto(counts: Float64Array, values: ArrayLike<number>, { low, width }: Bins): void {
  const perUnit = 1 / width;
  const last = counts.length - 1;
  for (let i = 0; i < values.length; i++) {
    const bin = Math.floor((values[i] - low) * perUnit);
    counts[bin < 0 ? 0 : Math.min(bin, last)]++;
  }
}
