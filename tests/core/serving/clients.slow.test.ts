import { execFile, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HPSv3Scorer } from '../../../src/core/scoring/scorer.js';
import { createServer } from '../../../src/core/serving/create-server.js';
import type { RewardServer } from '../../../src/core/serving/server.js';
import { newToken } from '../../../src/core/serving/tokens.js';
import { sigmoid } from '../../../src/core/stats/logistic.js';
import { tinyModel, writePicture } from '../../helpers/scoring.js';
import { sharedFolder } from '../../helpers/temp.js';

/** A Python with numpy, requests, tritonclient[http], kserve, openai and cohere. */
const python = process.env['HPSV3_PYTHON'] ?? 'python3';
const hasPython = spawnSync(python, ['-c', 'import numpy, requests, tritonclient.http']).status === 0;
const script = fileURLToPath(new URL('clients.py', import.meta.url));

const folder = sharedFolder();
const token = newToken({ name: 'clients', scopes: ['score'] });
let server: RewardServer;
let texts: HPSv3Scorer;
let images: HPSv3Scorer;

describe.skipIf(!hasPython)('unchanged clients (set HPSV3_PYTHON to a Python that has them)', () => {
  beforeAll(async () => {
    const [text, image] = [await tinyModel(folder, 'text', 'item'), await tinyModel(folder, 'image-text', 'item')];
    texts = await HPSv3Scorer.load(text, { batchSize: 16 });
    images = await HPSv3Scorer.load(image, { batchSize: 16 });
    server = await createServer({
      models: [
        { name: 'hpsv3', file: image },
        { name: 'texts', file: text },
      ],
      dialects: ['pickle'],
      tokens: [token.entry],
    });
  });
  afterAll(async () => {
    await Promise.all([server.close(), texts.close(), images.close()]);
  });

  it('get the bits of the scorer', async () => {
    const { port } = await server.listen();
    const picture = join(folder, await writePicture(folder, 'a.png', 3));
    const { stdout } = await promisify(execFile)(python, [script, `http://127.0.0.1:${port}`, token.token, picture]);
    const seen = JSON.parse(stdout.trim().split('\n').at(-1)!);
    const logit = async (text: string): Promise<number> => (await texts.score(text)).logit;
    const [hello, fox] = [await logit('hello'), await logit('a röd fox')];
    const image = (await images.score({ image: { bytes: readFileSync(picture), name: 'a' }, text: 'a red fox' })).logit;
    const ofTexts = [hello, fox].map(Math.fround);
    expect(seen.tritonclient_http).toEqual({
      json: ofTexts,
      binary: ofTexts,
      gzip: ofTexts,
      deflate: ofTexts,
      image: [Math.fround(image)],
      error: '404',
    });
    const orSkipped = (name: string, expected: unknown) => {
      if (!String(seen[name]).startsWith('skipped')) expect(seen[name], name).toEqual(expected);
    };
    orSkipped('kserve_rest', [hello]);
    orSkipped('openai_embeddings', [Math.fround(hello)]);
    const answers = await Promise.all(['a', 'b c', 'hello'].map(logit));
    const ranking = [0, 1, 2].sort((a, b) => answers[b] - answers[a]).slice(0, 2);
    orSkipped(
      'cohere_rerank',
      ranking.map((i) => [i, sigmoid(answers[i])]),
    );
    expect(seen.vllm_requests).toEqual([hello]);
    expect(seen.verl_sglang).toBe(hello);
    expect(seen.openrlhf).toBe(400); // its model reads pictures: said so, and no reward made up
    expect(seen.tei).toBe(422);
    expect(seen.diffusion_trainers).toEqual([image, image]);
    expect(seen.unirl).toBe(image);
  });
});
