import { expect, it } from 'vitest';
import { gaussHermite } from '../../../src/core/stats/gauss-hermite.js';

it.each([1, 2, 3, 5, 16, 33, 64])('integrates polynomials of degree up to 2 n - 1 exactly with %i nodes', (n) => {
  const { nodes, weights } = gaussHermite(n);
  expect([...nodes]).toEqual([...nodes].sort((a, b) => a - b));
  expect(new Set(nodes).size).toBe(n);
  let moment = 1; // of Normal(0, 1): the product of the odd numbers below the degree
  for (let degree = 0; degree < Math.min(2 * n, 40); degree += 2) {
    const found = nodes.reduce((sum, x, i) => sum + weights[i] * x ** degree, 0);
    expect(Math.abs(found / moment - 1), `degree ${degree}`).toBeLessThan(1e-10);
    moment *= degree + 1;
  }
});

it.each([0, 65, 2.5, Number.NaN])('refuses %d nodes', (n) => {
  expect(() => gaussHermite(n)).toThrow(RangeError);
});
