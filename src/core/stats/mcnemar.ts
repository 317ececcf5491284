export interface McNemarTest {
  /** Two-sided exact binomial. */
  readonly pValue: number;
  /** Two-sided mid-p: less conservative, and rarely above its level. */
  readonly midP: number;
}

/**
 * McNemar's test that two models are right equally often, from the rows where one is right and the other wrong. It takes rows
 * as independent: where rows share prompts, use the paired bootstrap.
 *
 * @param onlyFirst - rows that only the first model has right
 * @param onlySecond - rows that only the second has right
 * @throws RangeError unless both are non-negative integers
 * @see McNemar (1947); Fagerland, Lydersen and Laake (2013) for mid-p
 */
export function mcnemarTest(onlyFirst: number, onlySecond: number): McNemarTest {
  for (const count of [onlyFirst, onlySecond]) {
    if (!Number.isSafeInteger(count) || count < 0) throw new RangeError(`count ${count} is not a non-negative integer`);
  }
  const n = onlyFirst + onlySecond;
  if (n === 0) return { pValue: 1, midP: 1 };
  const fewer = Math.min(onlyFirst, onlySecond);
  // Terms of Binomial(n, 1/2) relative to the middle one, downwards: no factorial, and the far tail fades to 0.
  let term = 1;
  let lowerHalf = 0;
  let tail = 0;
  let atFewer = 0;
  const middle = Math.floor(n / 2);
  for (let i = middle; i >= 0 && term > 0; i--) {
    lowerHalf += term;
    if (i === fewer) atFewer = term;
    if (i <= fewer) tail += term;
    term *= i / (n - i + 1);
  }
  const all = 2 * lowerHalf - (n % 2 === 0 ? 1 : 0);
  if (onlyFirst === onlySecond) return { pValue: 1, midP: 1 - atFewer / all / 2 };
  return { pValue: Math.min(1, (2 * tail) / all), midP: (2 * tail - atFewer) / all };
}

/** Counts of rows where exactly one of two models is more right than the other; credit is 1, 0.5 (ties) or 0 a row. */
export function discordantRows(first: Float64Array, second: Float64Array): { onlyFirst: number; onlySecond: number } {
  let onlyFirst = 0;
  let onlySecond = 0;
  for (let i = 0; i < first.length; i++) {
    if (first[i] > second[i]) onlyFirst++;
    else if (first[i] < second[i]) onlySecond++;
  }
  return { onlyFirst, onlySecond };
}
