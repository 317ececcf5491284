import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ContractInput } from '../../../../src/core/onnx/manifest.js';
import { float32Value, type TensorValue } from '../../../../src/core/runtime/value.js';
import { BatchSource, classWeights } from '../../../../src/core/training/run/batch.js';
import { type TrainingConfig, trainingConfigSchema } from '../../../../src/core/training/run/config.js';
import { StratifiedCycle } from '../../../../src/core/training/run/cycle.js';
import { type ModalityData, streamsOf } from '../../../../src/core/training/run/dataset.js';
import { packersOf, unpackerOf } from '../../../../src/core/training/run/packed.js';
import { learningRate, TurnTaker } from '../../../../src/core/training/update/schedule.js';
import { trainSelector } from '../../../../src/core/training/update/selection.js';
import { packSlabs } from '../../../../src/core/training/update/slabs.js';

const TEXT: readonly ContractInput[] = [
  {
    name: 'ids',
    dtype: 'I64',
    shape: ['batch', 'tokens'],
    preprocess: { kind: 'text', maxTokens: 32, tokenizer: null, vocabSize: 64, pad: 0, specialTokens: true },
  },
  { name: 'mask', dtype: 'I64', shape: ['batch', 'tokens'], preprocess: { kind: 'text-mask' } },
];

/** Six pairs of texts of 3 to 14 tokens, token ids from 5 up. */
function textData(): ModalityData {
  const items = Array.from({ length: 12 }, (_, i) => {
    const ids = Uint32Array.from({ length: 3 + i }, (__, at) => 5 + i + at);
    return { packed: new Map([['ids', ids]]), tokens: ids.length, samples: 0 };
  });
  const pairs = Array.from({ length: 6 }, (_, i) => {
    return {
      left: 2 * i,
      right: 2 * i + 1,
      votes: [1, 0, 0] as const,
      cluster: `c${i}`,
      stratum: i < 2 ? 'rare' : 'often',
    };
  });
  const absolutes = [{ item: 3, score: 0.5, aux: { quality: 2 }, cluster: 'c1', stratum: 'scored' }];
  return { modality: 'text', inputs: TEXT, items, pairs, absolutes };
}

function source(settings: Partial<TrainingConfig> = {}, seed = 1): BatchSource {
  const data = textData();
  const [stream] = streamsOf(data);
  return new BatchSource(stream, {
    config: trainingConfigSchema.parse(settings),
    seed,
    pairs: 4,
    width: 3,
    branches: 4,
    classWeights: new Map([['quality', Float32Array.of(1, 1, 2, 1, 1)]]),
    items: data.items,
    inputs: TEXT,
    maskToken: 4,
  });
}

const copyOf = ({ feeds }: BatchSource): Record<string, unknown[]> =>
  Object.fromEntries(Array.from(feeds, ([name, { data }]) => [name, Array.from(data as Float32Array)]));

describe('BatchSource', () => {
  it('fills the n-th batch by the seed and n alone, whatever came before', () => {
    const settings = { mixup: 0.4, dropout: 0.3, token_mask: 0.3, stochastic_depth: 0.3 };
    const [a, b] = [source(settings), source(settings)];
    for (const turn of [0, 1, 2, 3]) a.fill(turn);
    b.fill(3);
    expect(copyOf(b)).toEqual(copyOf(a));
    const other = source(settings, 2);
    other.fill(3);
    expect(copyOf(other)).not.toEqual(copyOf(a));
  });

  it('leaves branches out as often as the linear rule says, and keeps their mean', () => {
    const batch = source({ stochastic_depth: 0.4 });
    const sums = [0, 0, 0, 0];
    const dropped = [0, 0, 0, 0];
    for (let turn = 0; turn < 2000; turn++) {
      batch.fill(turn);
      for (const [i, scale] of (copyOf(batch).branch_scales as number[]).entries()) {
        sums[i] += scale / 2000;
        dropped[i] += Number(scale === 0) / 2000;
      }
    }
    for (const [i, rate] of [0.1, 0.2, 0.3, 0.4].entries()) {
      expect(Math.abs(dropped[i] - rate)).toBeLessThan(0.05);
      expect(Math.abs(sums[i] - 1)).toBeLessThan(0.08);
    }
  });

  it('gives each pair the same weight, and scored items the rest of the places', () => {
    const batch = source();
    batch.fill(0);
    const { pair_target, score_weight, score, quality_target } = copyOf(batch) as Record<string, number[]>;
    expect(pair_target.reduce((sum, value) => sum + value, 0)).toBeCloseTo(1);
    expect(pair_target.slice(9)).toEqual([0, 0, 0]);
    expect(score_weight.filter((weight) => weight > 0)).toEqual([0.5, 0.5]);
    expect(score).toBeUndefined();
    expect(quality_target.filter((weight) => weight > 0)).toEqual([1, 1]);
  });

  it('exchanges sides with their votes', () => {
    const batch = source();
    const swapped = new Set<boolean>();
    for (let turn = 0; turn < 6; turn++) {
      batch.fill(turn);
      const { ids, pair_target } = copyOf(batch) as { ids: bigint[]; pair_target: number[] };
      for (let place = 0; place < 3; place++) {
        // The better item has the lower ids.
        const leftIsBetter = ids[16 * place] < ids[16 * (place + 4)];
        expect(pair_target[3 * place] > 0).toBe(leftIsBetter);
        swapped.add(leftIsBetter);
      }
    }
    expect(swapped).toEqual(new Set([true, false]));
  });

  it('keeps the sum of labels when it mixes, and mixes rows of the same kind and side', () => {
    const batch = source({ mixup: 0.5 });
    batch.fill(1);
    const { mixing, pair_target } = copyOf(batch) as Record<string, number[]>;
    expect(pair_target.reduce((sum, value) => sum + value, 0)).toBeCloseTo(1);
    for (let row = 0; row < 8; row++) {
      const weights = mixing.slice(8 * row, 8 * row + 8);
      expect(weights.reduce((sum, value) => sum + value, 0)).toBeCloseTo(1);
      for (const [other, weight] of weights.entries()) {
        if (weight > 0) expect([other < 4, other % 4 < 3]).toEqual([row < 4, row % 4 < 3]);
      }
    }
  });

  it('hides tokens but not the special ones at both ends', () => {
    const batch = source({ token_mask: 0.99, balance: 'none' });
    batch.fill(0);
    const { ids, mask } = copyOf(batch) as { ids: bigint[]; mask: bigint[] };
    for (let row = 0; row < 8; row++) {
      const length = Number(mask.slice(16 * row, 16 * row + 16).reduce((sum, value) => sum + value, 0n));
      const own = ids.slice(16 * row, 16 * row + length);
      expect(own[0]).toBeGreaterThan(4n);
      expect(own[length - 1]).toBeGreaterThan(4n);
    }
    expect(ids.filter((id) => id === 4n).length).toBeGreaterThan(10);
  });
});

describe('StratifiedCycle', () => {
  it('draws every stratum equally often, and every member of one before any again', () => {
    const cycle = new StratifiedCycle(['a', 'b', 'b', 'b', 'a', 'b'], 'seed');
    const drawn = Array.from({ length: 16 }, (_, n) => cycle.at(n));
    const of = (members: readonly number[]) => drawn.filter((index) => members.includes(index));
    expect(of([0, 4])).toHaveLength(8);
    expect(new Set(of([1, 2, 3, 5]).slice(0, 4))).toEqual(new Set([1, 2, 3, 5]));
    expect(new StratifiedCycle(['a', 'b', 'b', 'b', 'a', 'b'], 'seed').at(15)).toBe(drawn[15]);
  });
});

describe('TurnTaker', () => {
  it('keeps the shares in every stretch of turns, and goes on as if nothing had been skipped', () => {
    const mix = [0.4, 0.3, 0.15, 0.1, 0.05];
    const taker = new TurnTaker(mix);
    const streams = Array.from({ length: 100 }, () => taker.next().stream);
    for (const [i, share] of mix.entries()) {
      expect(streams.filter((stream) => stream === i)).toHaveLength(Math.round(100 * share));
      expect(Math.abs(streams.slice(0, 20).filter((stream) => stream === i).length - 20 * share)).toBeLessThanOrEqual(
        1,
      );
    }
    const skipped = new TurnTaker(mix);
    skipped.skip(37);
    expect(skipped.next().stream).toBe(streams[37]);
  });
});

describe('learningRate', () => {
  it('rises to its peak over the warm-up and falls to its floor along half a cosine', () => {
    const schedule = { kind: 'cosine', lr: 2, floor: 0.1, warmupSteps: 4, steps: 104 } as const;
    expect([0, 1, 3, 4].map((step) => learningRate(schedule, step))).toBeAllClose([0.5, 1, 2, 2]);
    expect(learningRate(schedule, 54)).toBeCloseTo(2 * (0.1 + 0.9 * 0.5));
    expect(learningRate(schedule, 104)).toBeCloseTo(0.2);
    expect(learningRate({ ...schedule, kind: 'linear' }, 54)).toBeCloseTo(2 * (0.1 + 0.9 * 0.5));
    expect(learningRate({ ...schedule, kind: 'constant' }, 90)).toBe(2);
  });
});

describe('packing', () => {
  it('gives back the very values of frames, whatever their levels', () => {
    const preprocess = {
      kind: 'image',
      color: 'RGB',
      resize: { exact: [2, 2], kernel: 'bicubic', antialias: true },
      crop: null,
      scale: 1 / 255,
      mean: [0.485, 0.456, 0.406],
      std: [0.229, 0.224, 0.225],
      layout: 'NCHW',
    } as const;
    const input = { name: 'pixels', dtype: 'F32', shape: ['batch', 3, 2, 2], preprocess } as unknown as ContractInput;
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 255 }), { minLength: 12, maxLength: 12 }), (levels) => {
        const { scale, mean, std } = preprocess;
        const values = Float32Array.from(levels, (level, i) => (level * scale - mean[i >> 2]) / std[i >> 2]);
        const packed = packersOf([input])[0].pack(float32Value([1, 3, 2, 2], values))!;
        expect(packed).toBeInstanceOf(Uint8Array);
        const back = new Float32Array(24);
        unpackerOf(input.preprocess).unpack(packed, back, 1, 12);
        expect(back.subarray(12)).toEqual(values);
      }),
    );
  });

  it('keeps sound in 16 bits where it had no more, and cuts the middle out of a longer recording', () => {
    const sound = {
      name: 'w',
      dtype: 'F32',
      shape: ['batch', 's'],
      preprocess: { kind: 'audio' },
    } as unknown as ContractInput;
    const [packer] = packersOf([sound]);
    const value = (data: number[]): TensorValue => float32Value([1, data.length], Float32Array.from(data));
    const exact = packer.pack(value([0.5, -1, 0.25, 0]))!;
    expect(exact).toBeInstanceOf(Int16Array);
    expect(packer.pack(value([0.1, 1]))).toBeInstanceOf(Float32Array);
    const back = new Float32Array(2);
    unpackerOf(sound.preprocess).unpack(exact, back, 0, 2);
    expect(Array.from(back)).toEqual([-1, 0.25]);
  });
});

describe('packSlabs', () => {
  it('puts tensors of one group and decay into vectors of bounded length', () => {
    const tensor = (name: string, size: number, group: string, decayed = true) => ({
      name,
      shape: [size],
      group,
      decayed,
    });
    const slabs = packSlabs(
      [
        tensor('a', 6, 'x'),
        tensor('b', 3, 'y'),
        tensor('c', 4, 'x'),
        tensor('d', 1, 'x', false),
        tensor('e', 5, 'x'),
        tensor('big', 40, 'y'),
      ],
      10,
    );
    expect(slabs.map(({ entries }) => entries.map(({ name, offset }) => `${name}@${offset}`))).toEqual([
      ['a@0', 'c@6'],
      ['b@0'],
      ['d@0'],
      ['e@0'],
      ['big@0'],
    ]);
  });
});

describe('classWeights', () => {
  it('weigh every class that is seen the same in all', () => {
    const labels = [0, 0, 0, 1];
    const weights = classWeights(labels, 3);
    expect(Array.from(weights)).toBeAllClose([4 / 6, 2, 0], { atol: 1e-6 });
  });
});

describe('trainSelector', () => {
  const selected = (selection: string, keys: readonly string[]): boolean[] =>
    keys.map(trainSelector(selection, () => new Set(['classifier.weight'])));

  it('names parts of the model or matches globs', () => {
    expect(selected('head', ['classifier.weight', 'bert.pooler.dense.weight'])).toEqual([true, false]);
    expect(selected('fusion', ['head.abs1.weight', 'fusion.latents', 'text.proj.bias'])).toEqual([true, true, false]);
    expect(selected('text.proj.*, x', ['text.proj.bias', 'text.other'])).toEqual([true, false]);
  });
});
