import { describe, expect, it } from 'vitest';
import { HpsError } from '../../../src/core/errors.js';
import type { ContractInput } from '../../../src/core/onnx/manifest.js';
import { float32Value, type TensorValue } from '../../../src/core/runtime/value.js';
import { encoderRows, padText, tokenBucket } from '../../../src/core/scoring/buckets.js';
import { FeatureCache, KeptPromise } from '../../../src/core/scoring/feature-cache.js';
import { inOrder } from '../../../src/core/scoring/in-order.js';
import type { Row } from '../../../src/core/scoring/row.js';
import { RowBatch } from '../../../src/core/scoring/row-batch.js';
import { Scheduler } from '../../../src/core/scoring/scheduler.js';
import { type BatchRunner, Stage } from '../../../src/core/scoring/stage.js';

const text: ContractInput[] = [
  {
    name: 'input_ids',
    dtype: 'I64',
    shape: ['batch', 'tokens'],
    preprocess: {
      kind: 'text',
      maxTokens: 20,
      tokenizer: 'hpsv3.tokenizer',
      vocabSize: 9,
      pad: 7,
      specialTokens: true,
    },
  },
  { name: 'attention_mask', dtype: 'I64', shape: ['batch', 'tokens'], preprocess: { kind: 'text-mask' } },
];
const audio = (minSamples: number): ContractInput => ({
  name: 'waveform',
  dtype: 'F32',
  shape: ['batch', 'samples'],
  preprocess: { kind: 'audio', sampleRate: 16_000, mono: true, minSamples, maxSamples: 100, range: [-1, 1] },
});

describe('buckets', () => {
  it('pads a text to a length that depends on its own alone', () => {
    expect([1, 8, 9, 16, 17, 20].map((tokens) => tokenBucket(tokens, 20))).toEqual([8, 8, 16, 16, 20, 20]);
    expect([65, 256, 257, 512, 513, 9000].map((tokens) => tokenBucket(tokens, 10_000))).toEqual([
      72, 256, 272, 512, 544, 9216,
    ]);
  });

  it('pads ids with the pad token and hides it by the mask', () => {
    const ids: TensorValue = { dtype: 'I64', shape: [1, 3], data: BigInt64Array.of(1n, 2n, 3n) };
    const mask: TensorValue = { dtype: 'I64', shape: [1, 3], data: BigInt64Array.of(1n, 1n, 1n) };
    const padded = padText(
      new Map([
        ['input_ids', ids],
        ['attention_mask', mask],
      ]),
      text,
    );
    expect([...(padded.get('input_ids')!.data as BigInt64Array)]).toEqual([1n, 2n, 3n, 7n, 7n, 7n, 7n, 7n]);
    expect([...(padded.get('attention_mask')!.data as BigInt64Array)]).toEqual([1n, 1n, 1n, 0n, 0n, 0n, 0n, 0n]);
  });

  it('puts recordings of any length into batches of one, those of one length into full ones', () => {
    const rows = (minSamples: number): number =>
      encoderRows(new Map(), [audio(minSamples)], { most: 8, busyPositions: 256 });
    expect([rows(50), rows(100)]).toEqual([1, 8]);
  });

  it('takes as many texts and pictures at a time as keep a processor busy, by the shape of the row alone', () => {
    const image: ContractInput = {
      name: 'pixel_values',
      dtype: 'F32',
      shape: ['batch', 3, 64, 64],
      preprocess: {
        kind: 'image',
        color: 'RGB',
        layout: 'NCHW',
        resize: { exact: 64, kernel: 'bicubic', antialias: true },
        crop: null,
        scale: 1,
        mean: [0, 0, 0],
        std: [1, 1, 1],
      } as never,
    };
    const zeros = (...shape: number[]): TensorValue => float32Value(shape, new Float32Array(0));
    const rows = (tokens: number, busyPositions: number | null, inputs = text): number =>
      encoderRows(new Map(Object.entries({ input_ids: zeros(1, tokens), pixel_values: zeros(1, 3, 64, 64) })), inputs, {
        most: 16,
        busyPositions,
      });
    expect([8, 64, 72, 256, 512].map((tokens) => rows(tokens, 256))).toEqual([16, 4, 4, 1, 1]);
    expect(rows(60, 256, [...text, image])).toBe(4); // a picture of 64 x 64 counts as 4 tokens
    expect(rows(64, null)).toBe(16);
  });
});

/** Doubles x, and notes the batches it is given. */
function doubler() {
  const batches: number[][] = [];
  const session: BatchRunner = {
    capacity: 2,
    most: 1,
    async run(feeds: ReadonlyMap<string, TensorValue>) {
      const { shape, data } = feeds.get('x')!;
      batches.push([...(data as Float32Array)]);
      await new Promise((resolve) => setTimeout(resolve, 2));
      return new Map([
        [
          'y',
          float32Value(
            shape,
            (data as Float32Array).map((x) => 2 * x),
          ),
        ],
      ]);
    },
  };
  return { session, batches };
}

const row = (x: number): Map<string, TensorValue> => new Map([['x', float32Value([1, 1], Float32Array.of(x))]]);
const yOf = (outputs: Row): number => outputs.get('y')!.data[0] as number;

describe('RowBatch', () => {
  const of = (...x: number[]): Map<string, TensorValue> =>
    new Map([['x', float32Value([x.length / 2, 2], Float32Array.from(x))]]);
  const xOf = (feeds: ReadonlyMap<string, TensorValue>): unknown[] => [feeds.get('x')!.shape, ...feeds.get('x')!.data];

  it('holds rows one after the other, as many as are asked for, the last one repeated', () => {
    const batch = new RowBatch(of(1, 2), 3);
    for (const row of [of(1, 2), of(3, 4)]) batch.add(row);
    expect(xOf(batch.first(2, 3))).toEqual([[3, 2], 1, 2, 3, 4, 3, 4]);
    expect(xOf(batch.first(1, 1))).toEqual([[1, 2], 1, 2]);
    expect(xOf(batch.only(1))).toEqual([[3, 2], 3, 4, 3, 4, 3, 4]);
    expect(() => batch.add(new Map([['x', { ...float32Value([1, 2], new Float32Array(2)), dtype: 'F16' }]]))).toThrow(
      'cannot join',
    );
  });

  it('keeps the parts of a row together', () => {
    const batch = new RowBatch(of(1, 2, 3, 4), 2);
    for (const row of [of(1, 2, 3, 4), of(5, 6, 7, 8)]) batch.add(row);
    expect(xOf(batch.first(2, 2))).toEqual([[4, 2], 1, 2, 3, 4, 5, 6, 7, 8]);
    expect(xOf(batch.only(1))).toEqual([[4, 2], 5, 6, 7, 8, 5, 6, 7, 8]);
  });

  it('makes room for large rows as they come, and calls values what the session does', () => {
    const large = (x: number): Map<string, TensorValue> =>
      new Map([['x', float32Value([1, 2 ** 18], new Float32Array(2 ** 18).fill(x))]]);
    const batch = new RowBatch(large(1), 4, new Map([['x', 'left_x']]));
    for (const x of [1, 2, 3]) batch.add(large(x));
    const { shape, data } = batch.first(3, 4).get('left_x')!;
    expect(shape).toEqual([4, 2 ** 18]);
    expect([0, 1, 2, 3].map((row) => data[row * 2 ** 18 + 5])).toEqual([1, 2, 3, 3]);
  });
});

describe('Stage', () => {
  it('gives every batch the same size, the last one filled with repeats', async () => {
    const { session, batches } = doubler();
    const stage = new Stage(session, { rowsOf: () => 3 }, new Scheduler());
    const outputs = await Promise.all([1, 2, 3, 4].map((x) => stage.run(row(x))));
    expect(outputs.map(yOf)).toEqual([2, 4, 6, 8]);
    expect(batches).toEqual([
      [1, 2, 3],
      [4, 4, 4],
    ]);
  });

  it('waits for rows that are on their way before it fills a batch', async () => {
    const { session, batches } = doubler();
    const scheduler = new Scheduler();
    const stage = new Stage(session, { rowsOf: () => 2 }, scheduler);
    const first = stage.run(row(1));
    const second = scheduler
      .during(() => new Promise((resolve) => setTimeout(resolve, 30)))
      .then(() => stage.run(row(2)));
    expect([await first, await second].map(yOf)).toEqual([2, 4]);
    expect(batches).toEqual([[1, 2]]);
  });

  it('runs smaller batches where they were seen to give the same bits, and never where one differs', async () => {
    const sizes: number[] = [];
    /** Of 80 values, one of which rounds otherwise in a batch of 2. */
    const session: BatchRunner = {
      capacity: 2,
      most: 1,
      async run(feeds) {
        const { shape, data } = feeds.get('x')!;
        sizes.push(shape[0]);
        const y = Float32Array.from({ length: shape[0] * 80 }, (_, i) => data[Math.floor(i / 80)] as number);
        if (shape[0] === 2) y[79] += 2 ** -20;
        return new Map([['y', float32Value([shape[0], 80], y)]]);
      },
    };
    const stage = new Stage(session, { rowsOf: () => 8, adaptive: true }, new Scheduler());
    await stage.run(row(1));
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(sizes).toEqual([8, 1, 2, 4]);
    sizes.length = 0;
    await stage.run(row(2));
    await Promise.all([1, 2].map((x) => stage.run(row(x))));
    await Promise.all([1, 2, 3, 4, 5].map((x) => stage.run(row(x))));
    expect(sizes).toEqual([1, 4, 8]);
  });

  it('runs each row alone where a batch is refused, so that one costs its neighbours nothing', async () => {
    const { session } = doubler();
    const picky: BatchRunner = {
      ...session,
      run: async (feeds) => {
        if ((feeds.get('x')!.data as Float32Array).includes(2)) throw new HpsError('INPUTS_INVALID', 'two');
        return session.run(feeds);
      },
    };
    const stage = new Stage(picky, { rowsOf: () => 3 }, new Scheduler());
    const settled = await Promise.allSettled([1, 2, 3].map(async (x) => yOf(await stage.run(row(x)))));
    expect(settled.map((one) => (one.status === 'fulfilled' ? one.value : one.reason.message))).toEqual([2, 'two', 6]);
  });

  it('gives the error of a batch to each of its rows', async () => {
    const session: BatchRunner = { capacity: 2, most: 1, run: () => Promise.reject(new Error('no')) };
    const stage = new Stage(session, { rowsOf: () => 2 }, new Scheduler());
    const settled = await Promise.allSettled([stage.run(row(1)), stage.run(row(2)), stage.run(row(3))]);
    expect(settled.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
  });
});

describe('inOrder', () => {
  it('yields in the order of the source, whatever finishes first, and holds no more than its limit', async () => {
    let underWay = 0;
    let most = 0;
    const work = async (x: number): Promise<number> => {
      most = Math.max(most, ++underWay);
      await new Promise((resolve) => setTimeout(resolve, (x * 7) % 5));
      underWay--;
      return x;
    };
    const found: number[] = [];
    const source = Array.from({ length: 40 }, (_, i) => i);
    for await (const x of inOrder(source, { limit: 6, schedulers: [], work })) found.push(x);
    expect(found).toEqual(source);
    expect(most).toBeGreaterThan(2);
    expect(most).toBeLessThanOrEqual(6);
  });

  it('throws what the work throws, in its turn', async () => {
    const found: number[] = [];
    const work = async (x: number): Promise<number> => {
      if (x === 3) throw new Error('third');
      return x;
    };
    const all = async (): Promise<void> => {
      for await (const x of inOrder([1, 2, 3, 4], { limit: 4, schedulers: [], work })) found.push(x);
    };
    await expect(all()).rejects.toThrow('third');
    expect(found).toEqual([1, 2]);
  });
});

describe('FeatureCache', () => {
  it('computes once what is asked for again, drops what was used longest ago, and keeps no failure', async () => {
    const cache = new FeatureCache<KeptPromise<string>>(2 * 2048);
    let computed = 0;
    const getBy = (key: string, compute: () => Promise<string>): Promise<string> =>
      cache.get(key, () => new KeptPromise(compute(), () => 0)).value;
    const get = (key: string): Promise<string> => getBy(key, async () => `${key}${++computed}`);
    expect(await Promise.all([get('a'), get('a'), get('b')])).toEqual(['a1', 'a1', 'b2']);
    await get('a');
    await get('c'); // b goes
    expect([await get('a'), await get('b')]).toEqual(['a1', 'b4']);
    await expect(getBy('x', () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(await getBy('x', async () => 'yes')).toBe('yes');
  });
});
