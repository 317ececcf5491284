import { describe, expect, it } from 'vitest';
import { Random } from '../../../src/core/bytes/random.js';
import { blockInterval } from '../../../src/core/stats/block-bootstrap.js';
import { normalQuantile } from '../../../src/core/stats/normal.js';

const ones = (count: number): number[] => new Array<number>(count).fill(1);

describe('blockInterval', () => {
  it('is the interval of the mean where values do not depend on each other', () => {
    const random = new Random('values');
    const values = Array.from({ length: 400 }, () => random.normal());
    const mean = values.reduce((a, b) => a + b) / values.length;
    const deviation = Math.sqrt(values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length);
    const half = (normalQuantile(0.975) * deviation) / Math.sqrt(values.length);
    const [low, high] = blockInterval(values, ones(400), { block: 1, seed: 'a', resamples: 4000 });
    expect([low, high]).toBeAllClose([mean - half, mean + half], { atol: 0.1 * half });
  });

  it('is wider for values that hang together, and blocks show it', () => {
    const random = new Random('walk');
    let x = 0;
    const values = Array.from({ length: 400 }, () => (x = 0.9 * x + random.normal()));
    const width = (block: number): number => {
      const [low, high] = blockInterval(values, ones(400), { block, seed: 'a' });
      return high - low;
    };
    expect(width(40)).toBeGreaterThan(2.5 * width(1)); // asymptotically sqrt((1 + 0.9) / (1 - 0.9)) = 4.4
  });

  it('weighs values, and of a constant is that constant', () => {
    const [low, high] = blockInterval([1, 5, 1, 5], [1, 0, 1, 0], { block: 2, seed: 'a' });
    expect([low, high]).toEqual([1, 1]);
  });

  it('gives the same for the same seed, and refuses a block longer than the row', () => {
    const once = (): unknown => blockInterval([3, 1, 2, 5], ones(4), { block: 2, seed: 's' });
    expect(once()).toEqual(once());
    expect(() => blockInterval([1], [1], { block: 2, seed: 's' })).toThrow(RangeError);
  });
});
