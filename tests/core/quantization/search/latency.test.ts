import { describe, expect, it } from 'vitest';
import { speedWarnings } from '../../../../src/core/quantization/search/latency.js';

describe('what is said of speed', () => {
  it.each([
    [0.97, 1],
    [1, 1],
    [1, 3],
  ])('a float run of %d ms against %d ms is no gain', (float, quantized) => {
    expect(speedWarnings({ float, quantized, ratio: float / quantized })).toEqual([
      expect.stringContaining('Not faster here than the float model'),
    ]);
  });

  it('nothing of a file that is faster, or was not timed', () => {
    expect(speedWarnings({ float: 1.01, quantized: 1, ratio: 1.01 })).toEqual([]);
    expect(speedWarnings(null)).toEqual([]);
  });
});
