import { beforeAll, describe, expect, it } from 'vitest';
import { PROJECT } from '../helpers/cli.js';
import { PICO } from '../helpers/pico.js';

type Weights = Map<string, { shape: number[]; values: Float32Array }>;
type Figure = (weights?: Float64Array) => number | null;
interface Ablation {
  withoutCrossAttention(weights: Weights): Weights;
  attendsToAllAlike(weights: Weights): boolean;
  falsePositives(predicted: Float64Array, actual: Float64Array): Figure;
  meanOf(statistics: Figure[]): Figure;
  compareArms(options: object): Promise<Record<string, unknown> & { byModel: Record<string, unknown>[] }>;
}

let ablation: Ablation;
let weights: Weights;
beforeAll(async () => {
  ablation = (await import(`${PROJECT}scripts/ablation.js`)) as Ablation;
  const { weightsOf } = await import(`${PROJECT}scripts/weights.js`);
  weights = await weightsOf(PICO.checkpoint);
});

describe('a model without cross-attention', () => {
  it('has no queries and keys, and values and all else as they were', () => {
    const without = ablation.withoutCrossAttention(weights);
    const kv = 'fusion.layers.0.kv.weight';
    const half = weights.get(kv)!.values.length / 2;
    expect(without.get('fusion.layers.0.q.weight')!.values.every((value) => value === 0)).toBe(true);
    expect(
      without
        .get(kv)!
        .values.slice(0, half)
        .every((value) => value === 0),
    ).toBe(true);
    expect(without.get(kv)!.values.slice(half)).toEqual(weights.get(kv)!.values.slice(half));
    const changed = [...weights].filter(([name, { values }]) =>
      values.some((v, i) => v !== without.get(name)!.values[i]),
    );
    expect(changed.every(([name]) => /^fusion\.layers\.\d+\.(q|kv)\./.test(name))).toBe(true);
  });

  it('is told from one that has it', () => {
    expect(ablation.attendsToAllAlike(weights)).toBe(false);
    expect(ablation.attendsToAllAlike(ablation.withoutCrossAttention(weights))).toBe(true);
  });
});

describe('what an ablation is judged by', () => {
  it('counts bad texts that were given more than 0', () => {
    const share = ablation.falsePositives(Float64Array.of(0.5, -0.5, 0.1, 0.9), Float64Array.of(-1, -0.2, -0.4, 0.6));
    expect(share()).toBeCloseTo(2 / 3, 12);
    expect(share(Float64Array.of(1, 2, 0, 5))).toBeCloseTo(1 / 3, 12);
    expect(ablation.falsePositives(Float64Array.of(1), Float64Array.of(1))()).toBeNull();
  });

  it('is the mean of both models, paired over sources', async () => {
    const of = (...values: number[]): Figure =>
      ablation.falsePositives(Float64Array.from(values), new Float64Array(4).fill(-1));
    const clusters = { of: Int32Array.of(0, 1, 2, 3), count: 4 };
    const arms = { whole: [of(1, -1, -1, -1), of(-1, -1, -1, -1)], without: [of(1, 1, 1, 1), of(1, 1, -1, -1)] };
    const compared = await ablation.compareArms({ ...arms, direction: 'lower', clusters, seed: 'test' });
    expect(compared).toMatchObject({ whole: 0.125, without: 0.75, difference: 0.625, verdict: 'worse' });
    expect(compared.byModel.map(({ difference }) => difference)).toEqual([0.75, 0.5]);
  });
});
