/**
 * The order that sorts numbers, by radix instead of by comparison: three passes over the upper 32 bits of each float64,
 * after which only runs that share those bits are left to look at.
 */
const DIGIT_BITS = 11; // 3 digits cover 32 bits, and a histogram of 2048 counters stays in the first-level cache
const BUCKETS = 1 << DIGIT_BITS;
const DIGIT_MASK = BUCKETS - 1;
const DIGITS = 3;
const SIGN = 0x80000000;
const INFINITY_UPPER = 0x7ff00000;
/** Below this length a run is sorted by insertion; above, by another radix sort of its lower 32 bits. */
const INSERTION_LENGTH = 32;

interface Keyed {
  readonly keys: Uint32Array;
  readonly rows: Uint32Array;
}

/** Stable radix sort of `keys` with `rows` as payload. Returns where the result lies: the arguments, or scratch of the same length. */
function radixSort(keys: Uint32Array, rows: Uint32Array): Keyed {
  const n = keys.length;
  const histograms = new Uint32Array(DIGITS * BUCKETS);
  for (let i = 0; i < n; i++) {
    const key = keys[i];
    histograms[key & DIGIT_MASK]++;
    histograms[BUCKETS + ((key >>> DIGIT_BITS) & DIGIT_MASK)]++;
    histograms[2 * BUCKETS + (key >>> (2 * DIGIT_BITS))]++;
  }
  let from: Keyed = { keys, rows };
  let to: Keyed = { keys: new Uint32Array(n), rows: new Uint32Array(n) };
  for (let digit = 0; digit < DIGITS; digit++) {
    const offsets = histograms.subarray(digit * BUCKETS, (digit + 1) * BUCKETS);
    const shift = digit * DIGIT_BITS;
    if (offsets[(keys[0] >>> shift) & DIGIT_MASK] === n) continue; // every key has the same digit
    countsToOffsets(offsets);
    scatter(from, to, offsets, shift);
    [from, to] = [to, from];
  }
  return from;
}

function countsToOffsets(counts: Uint32Array): void {
  let start = 0;
  for (let bucket = 0; bucket < BUCKETS; bucket++) {
    const count = counts[bucket];
    counts[bucket] = start;
    start += count;
  }
}

function scatter(from: Keyed, to: Keyed, offsets: Uint32Array, shift: number): void {
  const { keys, rows } = from;
  const { keys: sortedKeys, rows: sortedRows } = to;
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i];
    const target = offsets[(key >>> shift) & DIGIT_MASK]++;
    sortedKeys[target] = key;
    sortedRows[target] = rows[i];
  }
}

/** Upper halves of float64 values as unsigned integers in the same order; -0 as 0. */
function upperKeys(values: Float64Array): Uint32Array {
  const words = new Uint32Array(values.buffer, values.byteOffset, 2 * values.length); // little-endian: lower, upper
  const keys = new Uint32Array(values.length);
  for (let i = 0; i < keys.length; i++) {
    let upper = words[2 * i + 1];
    const magnitude = upper & ~SIGN;
    if (magnitude >= INFINITY_UPPER && (magnitude > INFINITY_UPPER || words[2 * i] !== 0))
      throw new RangeError(`value ${i} is NaN`);
    if (upper === SIGN && words[2 * i] === 0) upper = 0;
    keys[i] = upper ^ ((upper >> 31) | SIGN);
  }
  return keys;
}

/** Sorts `rows[start..end)`, whose values share their upper half, by value; stable. */
function sortRun(values: Float64Array, rows: Uint32Array, start: number, end: number): void {
  if (end - start > INSERTION_LENGTH) {
    sortLongRun(values, rows.subarray(start, end));
    return;
  }
  for (let i = start + 1; i < end; i++) {
    const row = rows[i];
    const value = values[row];
    let j = i - 1;
    while (j >= start && values[rows[j]] > value) {
      rows[j + 1] = rows[j];
      j--;
    }
    rows[j + 1] = row;
  }
}

function sortLongRun(values: Float64Array, rows: Uint32Array): void {
  let sorted = true;
  for (let i = 1; i < rows.length && sorted; i++) sorted = values[rows[i - 1]] <= values[rows[i]];
  if (sorted) return;
  const words = new Uint32Array(values.buffer, values.byteOffset, 2 * values.length);
  const flip = values[rows[0]] < 0 ? 0xffffffff : 0; // a larger magnitude below zero is a smaller number
  rows.set(
    radixSort(
      Uint32Array.from(rows, (row) => words[2 * row] ^ flip),
      rows.slice(),
    ).rows,
  );
}

/**
 * Row numbers in ascending order of their values; equal values (-0 and 0 among them) keep their order. Infinities sort to the ends.
 *
 * @throws RangeError if a value is NaN
 */
export function argsort(values: Float64Array): Uint32Array {
  const n = values.length;
  const identity = new Uint32Array(n);
  for (let i = 0; i < n; i++) identity[i] = i;
  const { keys, rows } = radixSort(upperKeys(values), identity);
  for (let start = 0; start < n; ) {
    let end = start + 1;
    while (end < n && keys[end] === keys[start]) end++;
    if (end - start > 1) sortRun(values, rows, start, end);
    start = end;
  }
  return rows;
}
