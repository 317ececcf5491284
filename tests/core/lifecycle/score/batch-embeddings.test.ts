import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { StagedOutput } from '../../../../src/core/bytes/output.js';
import { evaluateFiles } from '../../../../src/core/lifecycle/evaluate/evaluate.js';
import { runBatch } from '../../../../src/core/lifecycle/score/batch.js';
import { createEmbeddingWriter, type EmbeddingFormat } from '../../../../src/core/lifecycle/score/embedding-files.js';
import { scoreOne } from '../../../../src/core/lifecycle/score/score.js';
import { readTensor } from '../../../../src/core/tensor/tensor.js';
import { asFloat32 } from '../../../../src/core/tensor/values.js';
import { readTensors } from '../../../helpers/models.js';
import { exportFile } from '../../../helpers/pico.js';
import { sharedFolder } from '../../../helpers/temp.js';

// A head with the scores of PyTorch (tests/golden/families/score_head.py).
const golden = (name: string): string =>
  fileURLToPath(new URL(`../../../golden/families/score-head/${name}`, import.meta.url));
const folder = sharedFolder();
const model = join(folder, 'head.onnx');
let embeddings: Float32Array[];
let scores: Float32Array;

const batch = (input: string) =>
  runBatch({ models: [model], input, out: `${input}.scores.jsonl`, batchSize: 2, force: true });

const lines = (path: string): { id: string; logit: number }[] =>
  readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

beforeAll(async () => {
  const { options } = JSON.parse(readFileSync(golden('request.json'), 'utf8'));
  await exportFile(model, { checkpoint: golden('head.pth'), activation: options.activation });
  const tensors = new Map(await readTensors(golden('golden.safetensors')));
  const values = async (name: string) => asFloat32(await readTensor(tensors.get(name)!));
  scores = await values('item/out/utility_logit');
  const all = await values('item/in/embedding');
  const width = all.length / scores.length;
  embeddings = Array.from(scores, (_, i) => all.slice(i * width, (i + 1) * width));
});

async function write(name: string, format: EmbeddingFormat, rows = embeddings): Promise<string> {
  const path = join(folder, name);
  const output = await StagedOutput.open(path, { force: true });
  const writer = await createEmbeddingWriter(output, format, new Map());
  for (const [i, row] of rows.entries()) await writer.write(`row ${i}`, row);
  await writer.finish();
  await output.commit();
  return path;
}

describe('a batch of embeddings', () => {
  it.each(['npy', 'safetensors', 'parquet'] as const)(
    'has the scores of the head, from .%s as embed writes it',
    async (format) => {
      const input = await write(`e.${format}`, format);
      const report = await batch(input);
      expect(report).toMatchObject({ rows: scores.length, failed: 0, models: [{ modality: 'embedding' }] });
      const rows = lines(`${input}.scores.jsonl`);
      expect(rows.map(({ id }) => id)).toEqual(embeddings.map((_, i) => `row ${i}`));
      expect(rows.map(({ logit }) => logit)).toBeAllClose(scores, { atol: 1e-5 });
    },
  );

  it('is scored one by one, and judged by labels of the same ids', async () => {
    const one = await write('one.npy', 'npy', [embeddings[1]]);
    const alone = await scoreOne({ model, input: { file: one } });
    expect(alone.logit).toBeCloseTo(scores[1], 5);
    const many = await write('many.parquet', 'parquet');
    await expect(scoreOne({ model, input: { file: many } })).rejects.toMatchObject({ code: 'USAGE' });

    const rows = embeddings.map((_, i) => ({ id: `row ${i}`, type: 'abs', content: 'a', score: i }));
    const labels = join(folder, 'labels.jsonl');
    writeFileSync(labels, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
    const judged = await evaluateFiles({ model, labels, scoring: { input: many }, resamples: 100 });
    expect(judged).toMatchObject({ kind: 'absolute', n: rows.length });
  });

  it('is refused as a whole where a row has another width, a number that is none, or no id', async () => {
    const wide = await write('wide.npy', 'npy', [Float32Array.of(1, 2)]);
    await expect(batch(wide)).rejects.toMatchObject({ code: 'DATA_INVALID', message: /row 1 has 2 numbers/ });
    const nan = await write('nan.npy', 'npy', [embeddings[0].map(() => Number.NaN)]);
    await expect(batch(nan)).rejects.toMatchObject({ code: 'DATA_INVALID', message: /number 1 of row 1 is NaN/ });
    const few = await write('few.npy', 'npy');
    writeFileSync(`${few}.ids.jsonl`, '"one"\n');
    await expect(batch(few)).rejects.toMatchObject({ code: 'DATA_INVALID', message: /ids/ });
  });
});
