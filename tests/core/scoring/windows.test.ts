import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeWav } from '../../../src/core/media/encode-wav.js';
import { HPSv3Scorer, type ItemSample, type ScorerOptions } from '../../../src/core/scoring/scorer.js';
import { meetings, weighted, weightsOf } from '../../../src/core/scoring/windows/aggregate.js';
import { intervalOf } from '../../../src/core/scoring/windows/interval.js';
import { parseWindows, ruleOf, windowingOf } from '../../../src/core/scoring/windows/options.js';
import { tinyModel, writePicture } from '../../helpers/scoring.js';
import { sharedFolder } from '../../helpers/temp.js';

describe('the options of windows', () => {
  const seconds = { length: 10, unit: 'seconds' } as const;
  const tokens = { length: 63, unit: 'tokens' } as const;

  it.each([
    ['8s', '4s', seconds, { window: 8, stride: 4 }],
    ['500ms', undefined, seconds, { window: 0.5, stride: 0.25 }],
    ['0.1m', '1.5s', seconds, { window: 6, stride: 1.5 }],
    ['max', undefined, seconds, { window: 10, stride: 5 }],
    ['max', '20t', tokens, { window: 63, stride: 20 }],
    ['max', undefined, tokens, { window: 63, stride: 32 }],
  ] as const)('reads %s and %s', (window, stride, longest, expected) => {
    expect(windowingOf(parseWindows({ window, stride }), longest)).toEqual({ ...expected, unit: longest.unit });
  });

  it.each(['8', '0s', '-1s', '1.5t', '8h', '', '1e9s', `${'9'.repeat(40)}s`])('refuses %j', (window) => {
    expect(() => parseWindows({ window })).toThrow(expect.objectContaining({ code: 'USAGE' }));
  });

  it.each([
    ['a window longer than the model reads', '11s', undefined],
    ['gaps', '4s', '5s'],
    ['two units', '4s', '5t'],
    ['too many windows at a time', '8s', '10ms'],
  ])('refuses %s', (_, window, stride) => {
    expect(() => windowingOf(parseWindows({ window, stride }), seconds)).toThrow(
      expect.objectContaining({ code: 'USAGE' }),
    );
  });

  it('gives a model none that are not counted in its unit', () => {
    expect(windowingOf(parseWindows({ window: '8s' }), tokens)).toBeNull();
    expect(windowingOf(parseWindows({ window: 'max' }), null)).toBeNull();
  });

  it('says what they came to', () => {
    const windowing = { window: 0.5, stride: 0.25, unit: 'seconds' } as const;
    expect(ruleOf(windowing, { aggregate: 'mean' })).toEqual({
      window: '0.5s',
      stride: '0.25s',
      aggregate: 'mean',
      unit: 'seconds',
    });
  });
});

describe('the rule of windows', () => {
  it('weighs them', () => {
    expect(weightsOf({ aggregate: 'mean' }, [3, 1, 2, 1])).toEqual([0.25, 0.25, 0.25, 0.25]);
    expect(weightsOf({ aggregate: 'worst' }, [3, 1, 2, 1])).toEqual([0, 1, 0, 0]);
    expect(weightsOf({ aggregate: 'last' }, [3, 1, 2])).toEqual([0, 0, 1]);
  });

  it('weighs low windows the more, the sharper it is', () => {
    const fitted = (sharpness: number) => weightsOf({ aggregate: 'fitted', sharpness }, [3, 1, 2, 900]);
    expect(fitted(0)).toEqual([0.25, 0.25, 0.25, 0.25]);
    expect(fitted(Math.log(2))).toBeAllClose([1 / 7, 4 / 7, 2 / 7, 0], { atol: 1e-12 });
    expect(fitted(1e6)).toEqual([0, 1, 0, 0]);
  });

  it.each([
    [1, 1],
    [4, 4],
    [3, 7],
    [7, 3],
    [1, 9],
  ])('lets %i windows meet %i, each as much as it weighs, in order', (left, right) => {
    const [a, b] = [
      weightsOf({ aggregate: 'mean' }, new Array(left).fill(0)),
      weightsOf({ aggregate: 'mean' }, new Array(right).fill(0)),
    ];
    const met = meetings(a, b);
    const sums = (side: 'left' | 'right', count: number): number[] =>
      Array.from({ length: count }, (_, i) =>
        weighted(
          met.map((each) => Number(each[side] === i)),
          met.map(({ weight }) => weight),
        ),
      );
    expect(sums('left', left)).toBeAllClose(a, { atol: 1e-12 });
    expect(sums('right', right)).toBeAllClose(b, { atol: 1e-12 });
    expect(met).toEqual(met.toSorted((x, y) => x.left - y.left || x.right - y.right));
    if (left === right) expect(met.every((each) => each.left === each.right)).toBe(true);
  });

  it('lets the worst meet the worst', () => {
    expect(meetings([0, 1, 0], [0, 0, 0, 1])).toEqual([{ left: 1, right: 3, weight: 1 }]);
  });

  it('has no interval of too few windows', () => {
    const flat = weightsOf({ aggregate: 'mean' }, new Array(40).fill(0));
    expect(intervalOf(new Array(7).fill(1), flat.slice(0, 7), 2)).toBeNull();
    expect(intervalOf(new Array(40).fill(1), flat, 2)).toMatchObject({ block: 4 });
  });
});

const folder = sharedFolder();
const RATE = 16_000;
/** Tones of other pitches every second. */
const sound = Float32Array.from(
  { length: 9.5 * RATE },
  (_, i) => 0.5 * Math.sin((i * (200 + 90 * Math.floor(i / RATE))) / 2500),
);
const words = Array.from({ length: 40 }, (_, i) => `Word ${i} of ${i % 7} many${i % 3 === 0 ? '.' : ','}`).join(' ');

function writeSound(name: string, from: number, to: number): string {
  writeFileSync(join(folder, name), encodeWav(sound.subarray(from * RATE, to * RATE), RATE));
  return name;
}

const scorers: HPSv3Scorer[] = [];
const load = async (model: string, options: ScorerOptions = {}): Promise<HPSv3Scorer> => {
  const scorer = await HPSv3Scorer.load(model, { mediaRoot: folder, ...options });
  scorers.push(scorer);
  return scorer;
};
afterAll(() => Promise.all(scorers.map((scorer) => scorer.close())));

describe('scores in windows', () => {
  const models = { audioItem: '', audioPair: '', text: '', image: '' };
  beforeAll(async () => {
    models.audioItem = await tinyModel(folder, 'audio', 'item');
    models.audioPair = await tinyModel(folder, 'audio', 'pair');
    models.text = await tinyModel(folder, 'text', 'item');
    models.image = await tinyModel(folder, 'image', 'item');
    writeSound('long.wav', 0, 9.5);
    writeSound('other.wav', 2, 7);
    writeSound('short.wav', 0, 1.5);
  }, 120_000);

  it('are those of the parts cut out, and the score is their mean, their worst or their last', async () => {
    const whole = await load(models.audioItem);
    const parts = await Promise.all(
      [0, 1.5, 3, 4.5, 6, 6.5].map((start, i) => whole.score({ audio: writeSound(`part${i}.wav`, start, start + 3) })),
    );
    const logits = parts.map(({ logit }) => logit);
    for (const aggregate of ['mean', 'worst', 'last'] as const) {
      const scorer = await load(models.audioItem, {
        windows: { window: '3s', stride: '1500ms', aggregate },
        batchSize: 3,
      });
      const { windows, logit, score } = await scorer.score('long.wav');
      expect(windows?.curve.map((each) => each.logit)).toEqual(logits);
      expect(windows?.curve.at(-1)).toMatchObject({ start: 6.5, end: 9.5 });
      expect(windows).toMatchObject({
        window: '3s',
        stride: '1.5s',
        aggregate,
        unit: 'seconds',
        count: 6,
        interval: null,
      });
      expect(windows?.worst.logit).toBe(Math.min(...logits));
      const expected = { mean: logits.reduce((a, b) => a + b) / 6, worst: Math.min(...logits), last: logits[5] }[
        aggregate
      ];
      expect(logit).toBeCloseTo(expected, 12);
      expect(score).toBeCloseTo(Math.tanh(expected), 6);
    }
  });

  it('are marked as soon as one of them is, whatever the mean', async () => {
    const plain = await load(models.audioItem);
    const cuts = [0, 1.5, 3, 4.5, 6, 6.5].map((start, i) => writeSound(`mark${i}.wav`, start, start + 3));
    const toxicity = (await Promise.all(cuts.map((audio) => plain.score({ audio })))).map(({ aux }) => aux!.toxicity!);
    const highest = Math.max(...toxicity);
    const between = `toxicity>${(highest + toxicity.reduce((a, b) => a + b) / 6) / 2}`;
    const marks = [between, `toxicity>${highest + 1e-3}`];
    const scorer = await load(models.audioItem, { windows: { window: '3s', stride: '1500ms' }, marks });
    expect((await scorer.score('long.wav')).marks).toEqual([between]);
    expect((await scorer.scorePair({ left: 'short.wav', right: 'long.wav' })).marks).toEqual(
      expect.arrayContaining([between]),
    );
  });

  it('are the plain score of what fits into one, of items and of pairs', async () => {
    const windows = { window: '2s' };
    const [plain, windowed] = [await load(models.audioPair), await load(models.audioPair, { windows })];
    const pair = { left: 'short.wav', right: writeSound('brief.wav', 3, 5) };
    const { windows: rule, ...score } = await windowed.scorePair(pair);
    expect(score).toEqual(await plain.scorePair(pair));
    expect(rule).toMatchObject({ left: { count: 1 }, right: { count: 1 }, interval: null });
    const { windows: _, ...item } = await windowed.score('short.wav');
    expect(item).toEqual(await plain.score('short.wav'));
  });

  it('of a pair are compared at the same place; of a model of utilities the means are', async () => {
    const scorer = await load(models.audioItem, { windows: { window: '2s', stride: '1s' } });
    const { logit, windows } = await scorer.scorePair({ left: 'long.wav', right: 'other.wav' });
    const [left, right] = [await scorer.score('long.wav'), await scorer.score('other.wav')];
    expect(logit).toBeCloseTo(left.logit - right.logit, 10);
    expect([windows?.left.count, windows?.right.count]).toEqual([9, 4]);
  });

  it('do not depend on the batch, nor on what is scored beside them', async () => {
    const windows = { window: '2s', stride: '1s' };
    const [one, many] = [
      await load(models.audioPair, { windows }),
      await load(models.audioPair, { windows, batchSize: 4 }),
    ];
    const pair = { left: 'long.wav', right: 'other.wav' };
    const alone = await one.scorePair(pair);
    const scores = [];
    for await (const { result } of many.scoreBatch([pair, { item: 'short.wav' }, pair])) scores.push(result);
    expect([scores[0], scores[2]]).toEqual([alone, alone]);
  });

  it('of an embedding are their mean', async () => {
    const plain = await load(models.audioItem);
    const scorer = await load(models.audioItem, { windows: { window: '5s', stride: '5s' } });
    const sample: ItemSample = { item: 'long.wav' };
    const parts = await Promise.all(
      [0, 4.5].map((start, i) => plain.embedSample({ item: writeSound(`e${i}.wav`, start, start + 5) })),
    );
    expect(await scorer.embedSample(sample)).toBeAllClose(
      parts[0].map((x, i) => (x + parts[1][i]) / 2),
      { atol: 1e-6 },
    );
  });

  it('of a text are those of its sentences, as many as fit', async () => {
    const plain = await load(models.text);
    const scorer = await load(models.text, { windows: { window: 'max', stride: '30t' } });
    const { windows, truncated } = await scorer.score(words);
    expect(truncated).toBeUndefined();
    expect((await plain.score(words)).truncated).toBe(true);
    expect(windows?.unit).toBe('characters');
    expect(windows?.curve.at(-1)?.end).toBe(words.length);
    for (const { start, end, logit } of windows?.curve.slice(0, 4) ?? []) {
      const part = await plain.score(words.slice(start, end));
      expect([part.logit, part.truncated]).toEqual([logit, undefined]);
    }
  });

  it('can be followed, and stopped', async () => {
    const seen: unknown[] = [];
    const onWindow = (done: number, count: number): void => {
      seen.push([done, count]);
      if (done === 2) throw new Error('enough');
    };
    const scorer = await load(models.audioItem, { windows: { window: '2s', stride: '2s' }, onWindow });
    await expect(scorer.score('long.wav')).rejects.toThrow('enough');
    expect(seen).toEqual([
      [1, 5],
      [2, 5],
    ]);
    await expect(scorer.score('short.wav')).resolves.toMatchObject({ windows: { count: 1 } });
  });

  it('that are shared go on for whoever still waits for them', async () => {
    const leaves = new AbortController();
    const onWindow = (done: number): void => {
      if (done === 2) leaves.abort(new Error('gone'));
    };
    const scorer = await load(models.audioItem, { windows: { window: '2s', stride: '2s' }, onWindow });
    const [left, stays] = await Promise.allSettled([
      scorer.score('long.wav', { signal: leaves.signal }),
      scorer.score('long.wav'),
    ]);
    expect(left).toMatchObject({ status: 'rejected', reason: leaves.signal.reason });
    expect(stays).toMatchObject({ status: 'fulfilled', value: { windows: { count: 5 } } });
  });

  it('of another unit than the model reads by are refused, and left out where other models may take them', async () => {
    const windows = { window: '64t' };
    await expect(load(models.audioItem, { windows })).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringMatching(/cut by seconds, not by tokens: its `window` is a length as 8s$/),
    });
    const warnings: string[] = [];
    await load(models.audioItem, { windows, isOneOfSeveral: true, onWarning: (warning) => warnings.push(warning) });
    expect(warnings).toContainEqual(expect.stringContaining('scored whole'));
  });

  it('of a model of pictures are not made, which is said', async () => {
    const warnings: string[] = [];
    const onWarning = (warning: string): number => warnings.push(warning);
    const scorer = await load(models.image, { windows: { window: '8s' }, onWarning });
    expect(warnings).toContainEqual(expect.stringContaining('scored whole'));
    expect(await scorer.score(await writePicture(folder, 'a.png', 1))).not.toHaveProperty('windows');
  });

  it('are what a recording that is too long is sent to', async () => {
    writeFileSync(join(folder, 'minute.wav'), encodeWav(new Float32Array(60 * 8000), 8000));
    const plain = await load(models.audioItem);
    await expect(plain.score('minute.wav')).rejects.toMatchObject({
      code: 'MEDIA_INVALID',
      hint: expect.stringContaining('`window`'),
    });
    const scorer = await load(models.audioItem, { windows: { window: 'max' } });
    expect((await scorer.score('minute.wav')).windows?.curve).toHaveLength(3);
  });
});
