import { describe, expect, it } from 'vitest';
import { Tally, type TallyKinds } from '../../../src/core/runtime/tally.js';
import { float32Value } from '../../../src/core/runtime/value.js';

const outputs = (...values: number[]) =>
  new Map(
    ['low', 'high', 'sum', 'all'].map((name) => [name, float32Value([values.length], Float32Array.from(values))]),
  );
const KINDS: TallyKinds = new Map([
  ['low', 'min'],
  ['high', 'max'],
  ['sum', 'sum'],
  ['all', 'bins'],
]);

describe('Tally', () => {
  it('puts runs together place by place, and counts all values', () => {
    const tally = new Tally();
    tally.add(outputs(1, -2, 3), KINDS);
    tally.add(outputs(-4, 5, Number.NaN), KINDS);
    expect(tally.folded).toEqual(
      new Map([
        ['low', Float64Array.of(-4, -2, Number.NaN)],
        ['high', Float64Array.of(1, 5, Number.NaN)],
        ['sum', Float64Array.of(-3, 3, Number.NaN)],
      ]),
    );
    expect([...tally.bins.keys()]).toEqual(['all']);
    expect(tally.bins.get('all')!.low).toBeNaN();
  });
});
