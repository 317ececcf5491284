/**
 * P-values adjusted by Holm's method, in the order given: rejecting those at most alpha keeps the chance of any false rejection
 * at most alpha, whatever their dependence.
 *
 * @throws RangeError if a p-value is not in [0, 1]
 * @see Holm (1979); R's p.adjust(method = "holm")
 */
export function holmAdjust(pValues: readonly number[]): number[] {
  for (const p of pValues) if (!(p >= 0 && p <= 1)) throw new RangeError(`p-value ${p} is not in [0, 1]`);
  const ascending = pValues.map((_, i) => i).sort((a, b) => pValues[a] - pValues[b]);
  const adjusted = new Array<number>(pValues.length);
  let largest = 0;
  ascending.forEach((index, rank) => {
    largest = Math.max(largest, Math.min(1, pValues[index] * (pValues.length - rank)));
    adjusted[index] = largest;
  });
  return adjusted;
}
