import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { evaluateFiles } from '../../../../src/core/lifecycle/evaluate/evaluate.js';
import { runBatch } from '../../../../src/core/lifecycle/score/batch.js';
import { tinyModel, writeRows } from '../../../helpers/scoring.js';
import { sharedFolder } from '../../../helpers/temp.js';

const folder = sharedFolder();
const at = (name: string): string => join(folder, name);
let model: string;
let labels: string;
beforeAll(async () => {
  model = await tinyModel(folder, 'text', 'item');
  const texts = ['a red fox', 'hums', 'the kitten sits', 'on the moon', 'a sunrise', 'grey'];
  labels = writeRows(
    folder,
    'labels.jsonl',
    texts.map((left, i) => {
      return { id: `${i}`, type: 'pairwise_text', left, right: texts[(i + 1) % texts.length], labels: [i % 2, 1] };
    }),
  );
});

describe('judging a model by labels, in one step', () => {
  it('gives the figures of its scores, which are kept where they have a name', async () => {
    await runBatch({ models: [model], input: labels, out: at('scores.jsonl') });
    const byScores = await evaluateFiles({ scores: at('scores.jsonl'), labels, resamples: 100 });
    const { inputs, ...byModel } = await evaluateFiles({ model, labels, resamples: 100 });
    const { inputs: given, ...expected } = byScores;
    expect(byModel).toEqual(expected);
    expect(inputs).toEqual({ ...given, model: { name: 'text-item.onnx', sha256: byScores.modelSha256 } });
    const kept = at('kept.jsonl');
    await evaluateFiles({ model, labels, scores: kept, resamples: 100 });
    expect(readFileSync(kept)).toEqual(readFileSync(at('scores.jsonl')));
    await expect(evaluateFiles({ model, labels, scores: kept })).rejects.toMatchObject({ code: 'OUTPUT_EXISTS' });
  }, 60_000);

  it('says which rows it could not score, and why where it could score none', async () => {
    const image = await tinyModel(folder, 'image', 'item');
    const pictures = [1, 2].map((i) => ({ id: `${i}`, type: 'pair', left: 'none.png', right: 'no.png', labels: [1] }));
    const none = writeRows(folder, 'none.jsonl', pictures);
    await expect(evaluateFiles({ model: image, labels: none })).rejects.toMatchObject({
      code: 'DATA_INVALID',
      message: expect.stringMatching(/no row could be scored: none\.png/),
    });
    const some = writeRows(folder, 'some.jsonl', [
      { id: 'a', type: 'pair', left: 'one', right: 'two', labels: [1, 1] },
      { id: 'b', type: 'pair', left: 'two', right: 'three', labels: [0, 0] },
      { id: 'c', type: 'pair', left: { image: 'x.png' }, right: 'three', labels: [0, 0] },
    ]);
    const { rows, n } = await evaluateFiles({ model, labels: some, out: at('some.json'), resamples: 100 });
    expect([n, rows.failed, rows.labelsOnly.count, rows.errors]).toEqual([2, 1, 1, 'some.json.errors.jsonl']);
    expect(JSON.parse(readFileSync(at('some.json.errors.jsonl'), 'utf8'))).toMatchObject({ line: 3 });
    expect(existsSync(at('scores.jsonl.journal'))).toBe(false);
  }, 60_000);

  it('needs scores, or a model', async () => {
    await expect(evaluateFiles({ labels })).rejects.toMatchObject({ code: 'USAGE' });
  });
});
