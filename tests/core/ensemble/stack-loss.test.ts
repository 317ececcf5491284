import { describe, expect, it } from 'vitest';
import { Random } from '../../../src/core/bytes/random.js';
import { lossAt, type StackRows, widened } from '../../../src/core/ensemble/stack-loss.js';

/** The formulas as they stand in books, row after row. */
function plainly({ members, logits, outcomes }: StackRows, weights: Float64Array) {
  const gradient = new Float64Array(members);
  const hessian = new Float64Array(members * members);
  let [loss, votes] = [0, 0];
  for (const [i, left] of outcomes.positive.entries()) {
    const row = logits.subarray(i * members, (i + 1) * members);
    const logit = row.reduce((sum, value, m) => sum + value * weights[m], 0);
    const both = left + outcomes.negative[i];
    const small = Math.exp(-Math.abs(logit));
    const p = (logit < 0 ? small : 1) / (1 + small);
    loss += left * Math.max(-logit, 0) + (both - left) * Math.max(logit, 0) + both * Math.log1p(small);
    votes += both;
    for (let a = 0; a < members; a++) {
      gradient[a] += (both * p - left) * row[a];
      for (let b = 0; b < members; b++) hessian[a * members + b] += both * p * (1 - p) * row[a] * row[b];
    }
  }
  return {
    loss: loss / votes,
    gradient: gradient.map((sum) => sum / votes),
    hessian: hessian.map((sum) => sum / votes),
  };
}

function rowsOf(count: number, members: number, size: number): StackRows {
  const random = new Random(`${count} ${members} ${size}`);
  const column = (length: number, draw: () => number): Float64Array => Float64Array.from({ length }, draw);
  return {
    members,
    logits: column(count * members, () => size * random.normal()),
    outcomes: {
      positive: column(count, () => Math.floor(7 * random.uniform()) / 2),
      negative: column(count, () => Math.floor(7 * random.uniform()) / 2 + 0.5),
    },
  };
}

describe('lossAt', () => {
  it.each([1, 2, 3, 4, 5, 8, 9, 13])('is what the formulas say, of %d members', (members) => {
    // Blocks of rows that are full, odd, and a row alone.
    for (const count of [1, 2, 127, 128, 129, 300]) {
      const rows = rowsOf(count, members, 1);
      const weights = Float64Array.from({ length: members }, (_, m) => (m === 1 ? 0 : 0.3 + 0.1 * m));
      const [found, expected] = [lossAt(widened(rows), weights), plainly(rows, weights)];
      expect(found.loss).toBeCloseTo(expected.loss, 13);
      expect(found.gradient).toBeAllClose(expected.gradient, { atol: 1e-14, rtol: 1e-12 });
      expect(found.hessian).toBeAllClose(expected.hessian, { atol: 1e-14, rtol: 1e-12 });
    }
  });

  // One row, one vote: p and the loss alone tell what exp and log1p gave.
  const sizes = [
    0, 1e-300, 1e-17, 1e-10, 3.7e-9, 1e-5, 0.34, 0.3465, 0.3466, 0.8813, 0.8814, 1, 1.0397, 1.0398, 2, 36, 37,
  ];
  const logits = [...sizes, 600, 707, 708, 709, 740, 745, 746, 900, 1e5, 1e300].flatMap((size) => [size, -size]);

  it.each(logits)('is exact to the last digits at a logit of %d', (logit) => {
    const outcomes = { positive: Float64Array.of(0), negative: Float64Array.of(1) };
    const rows = { members: 1, logits: Float64Array.of(logit), outcomes };
    const { loss, gradient } = lossAt(widened(rows), Float64Array.of(1));
    const small = Math.exp(-Math.abs(logit));
    const [p, softplus] = [(logit < 0 ? small : 1) / (1 + small), Math.max(logit, 0) + Math.log1p(small)];
    expect([loss]).toBeAllClose([softplus], { rtol: 1e-15, atol: 0 });
    expect([gradient[0]]).toBeAllClose([p * logit], { rtol: 1e-15, atol: 0 });
  });
});
