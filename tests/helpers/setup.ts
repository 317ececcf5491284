import { expect } from 'vitest';

export interface Tolerance {
  atol?: number;
  rtol?: number;
}

declare module 'vitest' {
  // biome-ignore lint/suspicious/noExplicitAny: the type parameter must match vitest's own declaration
  interface Matchers<T = any> {
    /** |actual - expected| <= atol + rtol * |expected|, element by element, as numpy.allclose; NaN equals only NaN. */
    toBeAllClose(expected: ArrayLike<number>, tolerance?: Tolerance): T;
  }
}

expect.extend({
  toBeAllClose(actual: ArrayLike<number>, expected: ArrayLike<number>, { atol = 1e-8, rtol = 0 }: Tolerance = {}) {
    let worst = -1;
    let worstExcess = 0;
    for (let i = 0; i < expected.length; i++) {
      if (Object.is(actual[i], expected[i]) || actual[i] === expected[i]) continue;
      const excess = Math.abs(actual[i] - expected[i]) - (atol + rtol * Math.abs(expected[i]));
      if (!(excess <= worstExcess)) {
        worst = i;
        worstExcess = excess;
      }
    }
    const pass = actual.length === expected.length && worst < 0;
    return {
      pass,
      message: () =>
        actual.length !== expected.length
          ? `expected ${expected.length} values, got ${actual.length}`
          : worst < 0
            ? 'expected the values to differ'
            : `value ${worst}: expected ${expected[worst]}, got ${actual[worst]} (atol ${atol}, rtol ${rtol})`,
    };
  },
});
