import { expect, it } from 'vitest';
import { type Statistic, weighted } from '../../../src/core/stats/statistic.js';

it('counts each row by its weight, times how often a resample has it', () => {
  const values = [1, 2, 4];
  const total: Statistic = (weights) => values.reduce((sum, value, i) => sum + value * (weights ? weights[i] : 1), 0);
  const statistic = weighted(total, Float64Array.of(1, 0.5, 3));
  expect(statistic()).toBe(1 + 1 + 12);
  expect(statistic(Float64Array.of(2, 0, 1))).toBe(2 + 12);
});
