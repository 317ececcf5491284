import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { AUXILIARY, type AuxScores } from '../../../src/core/data/rows.js';
import { runBatch } from '../../../src/core/lifecycle/score/batch.js';
import { mergeShards } from '../../../src/core/lifecycle/score/merge-shards.js';
import { openPreparer } from '../../../src/core/media/preparer.js';
import { manifestOf, TOKENIZER_KEY } from '../../../src/core/onnx/manifest.js';
import { metadataOf } from '../../../src/core/onnx/model.js';
import { openOnnx } from '../../../src/core/onnx/read.js';
import { openSession } from '../../../src/core/runtime/ort.js';
import { floatsOf } from '../../../src/core/runtime/value.js';
import { parseMark } from '../../../src/core/scoring/marks.js';
import { HPSv3Scorer, type ScorerOptions } from '../../../src/core/scoring/scorer.js';
import { createServer } from '../../../src/core/serving/create-server.js';
import { tinyModel, writeRows } from '../../helpers/scoring.js';
import { sharedFolder } from '../../helpers/temp.js';

const folder = sharedFolder();
let items: string;
let pairs: string;
beforeAll(async () => {
  [items, pairs] = [await tinyModel(folder, 'text', 'item'), await tinyModel(folder, 'text', 'pair')];
});

const [ONE, OTHER] = ['a kitten on the moon', 'hums'];
const ROWS = [
  { id: 'pair', type: 'pairwise_text', left: ONE, right: OTHER },
  { id: 'one', type: 'text', text: ONE },
  { id: 'other', type: 'text', text: OTHER },
];

async function loaded<T>(model: string, options: ScorerOptions, use: (scorer: HPSv3Scorer) => Promise<T>): Promise<T> {
  const scorer = await HPSv3Scorer.load(model, options);
  try {
    return await use(scorer);
  } finally {
    await scorer.close();
  }
}

/** What the heads of the whole graph say: the number of the class on average. */
async function byHand(text: string): Promise<Required<AuxScores>> {
  const { model, close } = openOnnx(items);
  const { inputs } = manifestOf(model, 'model')!;
  const preparer = await openPreparer({ inputs, tokenizer: metadataOf(model, TOKENIZER_KEY) ?? null });
  close();
  const prepared = await preparer.prepare({ text });
  const session = await openSession(items, { threads: 1 });
  const outputs = await session.run(prepared.inputs);
  await Promise.all([session.release(), preparer.close()]);
  const mean = (name: string): number => {
    const weights = Array.from(floatsOf(outputs.get(name)!), Math.exp);
    const total = weights.reduce((a, b) => a + b);
    return weights.reduce((sum, weight, i) => sum + (i * weight) / total, 0);
  };
  return { quality: mean('quality'), fluency: mean('fluency'), toxicity: mean('toxicity') };
}

describe('auxiliary scores', () => {
  it('are those of the heads, of an item and of both sides of a pair', async () => {
    await loaded(items, { batchSize: 4 }, async (scorer) => {
      expect(scorer.auxiliary).toEqual(AUXILIARY);
      const one = await scorer.score(ONE);
      const expected = await byHand(ONE);
      for (const head of AUXILIARY) expect(one.aux![head]).toBeCloseTo(expected[head], 5);
      const { aux } = await scorer.scorePair({ left: ONE, right: OTHER });
      expect(aux).toEqual({ left: one.aux, right: (await scorer.score(OTHER)).aux });
      expect(one).not.toHaveProperty('marks');
    });
  });

  it('are absent, and change no row, where the file has no heads', async () => {
    await loaded(pairs, {}, async (scorer) => {
      expect(scorer.auxiliary).toEqual([]);
      expect(await scorer.scorePair({ left: ONE, right: OTHER })).not.toHaveProperty('aux');
    });
  });
});

describe('marks', () => {
  it.each([
    ['toxicity>0.5', [0.6], [0.5]],
    [' toxicity >= .5 ', [0.5, 1], [0.49]],
    ['quality<2', [1.9], [2]],
    ['fluency<=1e-1', [0.1], [0.2]],
  ])('%s holds where it says', (text, held, not) => {
    const { holds } = parseMark(text);
    expect([held.every(holds), not.some(holds)]).toEqual([true, false]);
  });

  it.each(['toxicity', 'toxicity>', 'toxicity=0.5', 'toxicity>NaN', 'toxic>0.5', 'toxicity>0.5;x', '__proto__>1'])(
    'refuses %s',
    (text) => expect(() => parseMark(text)).toThrow(expect.objectContaining({ code: 'USAGE' })),
  );

  it('names what the model has instead of the head', async () => {
    await expect(HPSv3Scorer.load(pairs, { marks: ['toxicity>0.5'] })).rejects.toMatchObject({
      code: 'USAGE',
      message:
        'text-pair.onnx: has no head toxicity to mark by; it gives left_utility_logit, right_utility_logit, logit, pair_logit',
    });
  });

  it('stand in rows and counts, in every format and however the rows are split', async () => {
    const [one, other] = [await byHand(ONE), await byHand(OTHER)];
    const mark = `toxicity<${(one.toxicity + other.toxicity) / 2}`;
    const [held] = one.toxicity < other.toxicity ? ['one'] : ['other'];
    const input = writeRows(folder, 'rows.jsonl', ROWS);
    const run = (out: string, more = {}) =>
      runBatch({
        ...{ models: [items], input, out: join(folder, out), batchSize: 2 },
        ...{ marks: [mark.replace('<', ' < '), 'quality<0'], ...more },
      });
    const read = (name: string) => readFileSync(join(folder, name), 'utf8');

    const { marked } = await run('scores.jsonl');
    expect(marked).toEqual({ rows: 2, by: { [mark]: 2, 'quality<0': 0 } });
    const rows = read('scores.jsonl')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(rows.map(({ id, marks }) => [id, marks])).toEqual([
      ['pair', [mark]],
      ['one', held === 'one' ? [mark] : undefined],
      ['other', held === 'other' ? [mark] : undefined],
    ]);
    expect((await run('scores.jsonl', { resume: true })).marked).toEqual(marked);

    for (const name of ['scores.jsonl', 'scores.csv']) {
      if (name !== 'scores.jsonl') await run(name);
      const shards = ['0', '1'].map((index) => join(folder, `${index}-${name}`));
      for (const index of [0, 1]) await run(`${index}-${name}`, { shard: { index, count: 2 } });
      await mergeShards({ shards, input, out: join(folder, `merged-${name}`) });
      expect(read(`merged-${name}`)).toBe(read(name));
      expect(read(`merged-${name}.manifest.json`)).toBe(read(`${name}.manifest.json`));
    }
    // Another mark is another run.
    await expect(run('scores.jsonl', { resume: true, marks: ['quality>=0'] })).rejects.toMatchObject({ code: 'USAGE' });
  }, 60_000);
});

describe('a server of a model with heads', () => {
  it('answers with what the heads say, in rows and as tensors', async () => {
    const marks = ['quality>=0'];
    const server = await createServer({ models: [{ name: 'hpsv3', file: items }], marks });
    try {
      const scores = await loaded(items, { batchSize: 16, marks }, async (scorer) => [
        await scorer.scorePair({ left: ONE, right: OTHER }),
        await scorer.score(ONE),
      ]);
      const post = async (url: string, payload: object) =>
        (await server.inject({ method: 'POST', url, payload })).json();
      const answers = await post('/score', ROWS.slice(0, 2));
      expect(answers.map(({ aux, marks }: { aux: object; marks: object }) => ({ aux, marks }))).toEqual(
        scores.map(({ aux }) => ({ aux, marks })),
      );

      const { outputs } = (await server.inject('/v2/models/hpsv3')).json();
      const names = outputs.map(({ name }: { name: string }) => name);
      expect(names).toEqual(expect.arrayContaining(['toxicity', 'left_toxicity', 'right_toxicity']));
      const bytes = (name: string, text: string) => ({ name, datatype: 'BYTES', shape: [1], data: [text] });
      const infer = async (...inputs: object[]) => {
        const answer = await post('/v2/models/hpsv3/infer', { inputs });
        return new Map(answer.outputs.map(({ name, data }: { name: string; data: unknown[] }) => [name, data[0]]));
      };
      const [pair, item] = [
        await infer(bytes('left_text', ONE), bytes('right_text', OTHER)),
        await infer(bytes('text', ONE)),
      ];
      expect(item.get('quality')).toBeCloseTo(scores[1].aux!['quality' as never], 6);
      expect(pair.get('left_quality')).toBe(item.get('quality'));
      expect(pair.has('quality')).toBe(false);
    } finally {
      await server.close();
    }
  }, 60_000);
});
