import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { quantizeModel } from '../../../src/core/lifecycle/quantize/quantize.js';
import { openPreparer } from '../../../src/core/media/preparer.js';
import { manifestOf } from '../../../src/core/onnx/manifest.js';
import { openOnnx } from '../../../src/core/onnx/read.js';
import { openSession } from '../../../src/core/runtime/ort.js';
import { floatsOf } from '../../../src/core/runtime/value.js';
import { HPSv3Scorer, type PairSample, type Sample } from '../../../src/core/scoring/scorer.js';
import { CERTIFICATE, serve } from '../../helpers/https-server.js';
import { tinyModel, writePicture, writeTone } from '../../helpers/scoring.js';
import { sharedFolder } from '../../helpers/temp.js';

const folder = sharedFolder();
const pictures: string[] = [];
const models = { image: '', text: '', 'image-text': '', audio: '', item: '' };
beforeAll(async () => {
  for (let i = 0; i < 9; i++) pictures.push(join(folder, await writePicture(folder, `${i}.png`, i)));
  for (const modality of ['image', 'text', 'image-text', 'audio'] as const) {
    models[modality] = await tinyModel(folder, modality);
  }
  models.item = await tinyModel(folder, 'image', 'item');
}, 120_000);

async function withScorer<T>(
  model: string,
  options: Parameters<typeof HPSv3Scorer.load>[1],
  use: (scorer: HPSv3Scorer) => Promise<T>,
): Promise<T> {
  const scorer = await HPSv3Scorer.load(model, options);
  try {
    return await use(scorer);
  } finally {
    await scorer.close();
  }
}

async function logits(model: string, batchSize: number, samples: readonly Sample[]): Promise<number[]> {
  return withScorer(model, { batchSize }, async (scorer) => {
    const found: number[] = [];
    for await (const { result, error } of scorer.scoreBatch(samples)) {
      if (error) throw error;
      found.push(result.logit);
    }
    return found;
  });
}

describe('HPSv3Scorer', () => {
  it('gives the pair logit of the whole graph, though encoder and head run apart', async () => {
    const manifest = manifestOf(openOnnx(models.image).model, 'model')!;
    const inputs = manifest.inputs.slice(0, 1).map((input) => ({ ...input, name: 'pixel_values' }));
    const preparer = await openPreparer({ inputs, tokenizer: null });
    const [left, right] = await Promise.all(pictures.slice(0, 2).map((path) => preparer.prepare({ image: { path } })));
    const session = await openSession(models.image, { threads: 1 });
    const outputs = await session.run(
      new Map([
        ['left_pixel_values', left.inputs.get('pixel_values')!],
        ['right_pixel_values', right.inputs.get('pixel_values')!],
      ]),
    );
    const pair = await withScorer(models.image, {}, (scorer) =>
      scorer.scorePair({ left: pictures[0], right: pictures[1] }),
    );
    expect([pair.logit]).toBeAllClose(floatsOf(outputs.get('pair_logit')!), { atol: 1e-5 });
    expect(pair.score).toBeCloseTo(1 / (1 + Math.exp(-pair.logit)), 12);
    expect(pair).toMatchObject({
      winner: pair.logit > 0 ? 'left' : 'right',
      confidence: null,
      calibrated: false,
    });
    await session.release();
  });

  it('says what decides its digits, which is one thread for each session on any machine', async () => {
    const runtime = { device: 'cpu', threads: 1, optimization: 'all', version: expect.stringMatching(/^\d+\.\d+/) };
    for (const threads of [undefined, 5]) {
      await withScorer(models.text, { threads }, async (scorer) => {
        expect(scorer.runtime).toEqual(runtime);
        expect(scorer.sessions).toBe(1);
      });
    }
  });

  it('opens more sessions under load, and no more than threads', async () => {
    const samples = (round: number) => Array.from({ length: 100 }, (_, i) => ({ item: `text ${i} of ${round}` }));
    for (const threads of [1, 3]) {
      await withScorer(models.text, { threads, batchSize: 2 }, async (scorer) => {
        for (let round = 0; round === 0 || scorer.sessions < threads; round++)
          for await (const { error } of scorer.scoreBatch(samples(round))) expect(error).toBeUndefined();
        expect(scorer.sessions).toBe(threads);
      });
    }
  });

  it('warns once where a model was replaced before another session of it was opened, and scores on with the one it has', async () => {
    const path = join(folder, 'replaced.onnx');
    copyFileSync(models.text, path);
    const warnings: string[] = [];
    const refused = () => warnings.filter((warning) => warning.includes('runs in 1 of 4 sessions'));
    const options = { threads: 4, batchSize: 2, onWarning: (warning: string) => warnings.push(warning) };
    await withScorer(path, options, async (scorer) => {
      const samples = (round: number) => Array.from({ length: 100 }, (_, i) => ({ item: `text ${i} of ${round}` }));
      copyFileSync(models.image, path);
      for (let round = 0; round < 2 || refused().length === 0; round++)
        for await (const { error } of scorer.scoreBatch(samples(round))) expect(error).toBeUndefined();
      expect(scorer.sessions).toBe(1);
    });
    expect(refused()).toHaveLength(1);
  });

  it('gives rows of a model that measures ranges over a batch the scores they have alone', async () => {
    const model = join(folder, 'dynamic.onnx');
    await quantizeModel({
      model: models.image,
      out: model,
      scheme: 'dynamic',
      ranges: 'minmax',
      gate: 'off',
      allowBatchDependence: true,
      force: false,
    });
    const samples = SAMPLES.image();
    expect(await logits(model, 8, samples)).toEqual(await logits(model, 1, samples));
  });

  it('is antisymmetric: swapping the sides swaps the winner', async () => {
    await withScorer(models.image, {}, async (scorer) => {
      const [left, right] = pictures;
      const there = await scorer.scorePair({ left, right });
      const back = await scorer.scorePair({ left: right, right: left });
      expect(back.logit).toBeCloseTo(-there.logit, 6);
      expect(there.winner).not.toBe(back.winner);
    });
  });

  it('decides a pair by the difference of utilities where the model scores items', async () => {
    await withScorer(models.item, {}, async (scorer) => {
      const [left, right] = pictures;
      const [a, b] = [await scorer.score(left), await scorer.score(right)];
      const { logit } = await scorer.scorePair({ left, right });
      expect(logit).toBeCloseTo(a.logit - b.logit, 9);
      expect(a.score).toBeCloseTo(Math.tanh(a.logit), 6);
      // The checkpoint's own layer, which nobody fitted to labels here: it is called what it is.
      expect(a).toMatchObject({ calibrated: expect.any(Number), calibratedBy: 'checkpoint' });
      expect(scorer.decision).toBe('utility-difference');
    });
  });

  const SAMPLES: Record<'image' | 'text' | 'image-text' | 'audio', () => Sample[]> = {
    image: () => pictures.map((left, i) => ({ left, right: pictures[(i + 3) % pictures.length] })),
    text: () =>
      Array.from({ length: 24 }, (_, i) => ({
        left: 'word '.repeat(1 + (i % 11)),
        right: `an answer ${'x'.repeat(i)}`,
      })),
    'image-text': () =>
      pictures.map((left, i) => ({ left, right: pictures[(i + 2) % 9], context: 'a picture '.repeat(1 + (i % 4)) })),
    audio: () =>
      Array.from({ length: 6 }, (_, i) => ({
        left: join(folder, writeTone(folder, `l${i}.wav`, { hertz: 200 + 90 * i, samples: 6000 + 800 * (i % 3) })),
        right: join(folder, writeTone(folder, `r${i}.wav`, { hertz: 900 - 70 * i, samples: 7000 })),
      })),
  };

  it.each(['image', 'text', 'image-text', 'audio'] as const)(
    'gives %s pairs the same logits in any order, batch size and company',
    async (modality) => {
      const samples = SAMPLES[modality]();
      const alone = await logits(models[modality], 1, samples);
      expect(new Set(alone).size).toBeGreaterThan(samples.length / 2);
      for (const batchSize of [3, 8]) {
        expect(await logits(models[modality], batchSize, samples)).toBeAllClose(alone, { atol: 1e-5 });
      }
      const shuffled = samples.toReversed();
      expect((await logits(models[modality], 3, shuffled)).toReversed()).toBeAllClose(alone, { atol: 1e-5 });
      const one = samples.slice(2, 3);
      const inCompany = await logits(models[modality], 4, samples);
      expect((await logits(models[modality], 4, one))[0]).toBe(inCompany[2]); // to the last bit: shards are merged so
    },
  );

  it('encodes each distinct item once, whatever the number of its pairs', async () => {
    const pairs = pictures.flatMap((left) => pictures.map((right): PairSample => ({ left, right })));
    await withScorer(models.image, { batchSize: 3 }, async (scorer) => {
      const preparer = (scorer as unknown as { engine: { preparer: { prepare(item: unknown): Promise<unknown> } } })
        .engine.preparer;
      const prepare = preparer.prepare.bind(preparer);
      let prepared = 0;
      preparer.prepare = (item) => {
        prepared++;
        return prepare(item);
      };
      let scored = 0;
      for await (const { error } of scorer.scoreBatch(pairs)) if (!error) scored++;
      expect(scored).toBe(pictures.length ** 2);
      expect(prepared).toBe(pictures.length);
    });
  });

  it('yields in order, with an error in the place of each sample that cannot be scored', async () => {
    writeFileSync(join(folder, 'broken.png'), readFileSync(pictures[0]).subarray(0, 60));
    const samples: Sample[] = [
      { left: pictures[0], right: pictures[1] },
      { left: join(folder, 'absent.png'), right: pictures[1] },
      { left: pictures[0], right: join(folder, 'broken.png') },
      { item: { text: 'a text alone' } },
      { left: 's3://bucket/a.png', right: pictures[1] },
      { item: pictures[2] },
    ];
    await withScorer(models.image, { batchSize: 4 }, async (scorer) => {
      const outcomes = [];
      for await (const { sample, error } of scorer.scoreBatch(samples))
        outcomes.push([samples.indexOf(sample), error?.code]);
      expect(outcomes).toEqual([
        [0, undefined],
        [1, 'FILE_NOT_FOUND'],
        [2, 'MEDIA_INVALID'],
        [3, 'DATA_INVALID'],
        [4, 'REMOTE_REFUSED'],
        [5, undefined],
      ]);
    });
  });

  it('reads no further ahead than its window', async () => {
    let read = 0;
    const endless = async function* (): AsyncGenerator<Sample> {
      for (;;) {
        read++;
        yield { item: `text ${read}` };
      }
    };
    await withScorer(models.text, { batchSize: 2 }, async (scorer) => {
      let yielded = 0;
      for await (const _ of scorer.scoreBatch(endless())) if (++yielded === 50) break;
    });
    expect(read).toBeLessThanOrEqual(50 + 2 * 16 + 2);
  });

  it('keeps paths inside the media folder, links followed', async () => {
    await withScorer(models.image, { mediaRoot: folder }, async (scorer) => {
      await expect(scorer.score('0.png')).resolves.toMatchObject({ model: scorer.sha256 });
      for (const path of ['../../../etc/hostname', '/etc/hostname', '/proc/self/environ']) {
        await expect(scorer.score(path)).rejects.toMatchObject({ code: 'DATA_INVALID' });
      }
      await expect(scorer.score('a\0.png')).rejects.toMatchObject({ code: 'DATA_INVALID' });
      for (const address of ['file:///etc/hostname', 'https://example.org/a.png', 's3://bucket/a.png']) {
        await expect(scorer.score(address)).rejects.toMatchObject({ code: 'REMOTE_REFUSED' });
      }
    });
  });

  it('scores what lies behind an allowed address as the file it came from, by its content', async () => {
    const requests: string[] = [];
    const port = await serve((request, response) => {
      requests.push(request.url!);
      if (request.url === '/page.png') response.end('<html>no picture</html>');
      else response.end(readFileSync(pictures[5]));
    });
    const address = (path: string): string => `https://localhost:${port}${path}`;
    const remote = {
      hosts: [`localhost:${port}`],
      isAddressAllowed: (each: string) => each === '127.0.0.1',
      certificates: readFileSync(CERTIFICATE, 'utf8'),
    };
    await withScorer(models.image, { remote, mediaRoot: folder }, async (scorer) => {
      const [there, here] = [await scorer.score(address('/a.txt?signature=abc')), await scorer.score(pictures[5])];
      expect(there.logit).toBe(here.logit);
      await scorer.scorePair({ left: address('/a.txt?signature=abc'), right: '0.png' });
      expect(requests).toEqual(['/a.txt?signature=abc']);
      await expect(scorer.score(address('/page.png'))).rejects.toMatchObject({
        code: 'MEDIA_INVALID',
        message: expect.stringMatching(/^page\.png at localhost:\d+: is not a JPEG/),
      });
    });
  });

  it('says that a text was cut off', async () => {
    await withScorer(models.text, {}, async (scorer) => {
      expect(await scorer.score('word '.repeat(100))).toMatchObject({ truncated: true });
      expect(await scorer.score('word')).not.toHaveProperty('truncated');
    });
  });

  it('scores bytes in memory as the file they came from', async () => {
    await withScorer(models.image, {}, async (scorer) => {
      const fromBytes = await scorer.score({ image: { bytes: readFileSync(pictures[4]), name: 'memory.png' } });
      expect(fromBytes.logit).toBe((await scorer.score(pictures[4])).logit);
    });
  });

  it('refuses a device that is not there, and falls back under auto with a word', async () => {
    const [, other] = ['', 'cuda:7'];
    await expect(HPSv3Scorer.load(models.text, { device: other })).rejects.toMatchObject({
      code: 'BACKEND_UNAVAILABLE',
    });
    await expect(HPSv3Scorer.load(models.text, { device: 'tpu' })).rejects.toMatchObject({ code: 'USAGE' });
  });

  it('refuses a model without manifest and a batch size that is none', async () => {
    const foreign = join(import.meta.dirname, '../../golden/runtime/mlp.onnx');
    await expect(HPSv3Scorer.load(foreign)).rejects.toMatchObject({ code: 'ONNX_UNSUPPORTED' });
    await expect(HPSv3Scorer.load(models.text, { batchSize: 0 })).rejects.toBeInstanceOf(RangeError);
  });
});
