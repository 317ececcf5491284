import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HPSv3Scorer } from '../../../src/core/scoring/scorer.js';
import { createServer } from '../../../src/core/serving/create-server.js';
import type { RewardServer } from '../../../src/core/serving/server.js';
import { newToken } from '../../../src/core/serving/tokens.js';
import { tinyModel } from '../../helpers/scoring.js';
import { sharedFolder } from '../../helpers/temp.js';

const folder = sharedFolder();
const [researcher, trainer] = [
  newToken({ name: 'researcher', scopes: ['explain'] }),
  newToken({ name: 'trainer', scopes: ['score'] }),
];
let model: string;
let server: RewardServer;
let scorer: HPSv3Scorer;

beforeAll(async () => {
  model = join(folder, 'served.onnx');
  copyFileSync(await tinyModel(folder, 'text', 'item'), model);
  scorer = await HPSv3Scorer.load(model, { batchSize: 16 });
  server = await createServer({
    models: [{ name: 'hpsv3', file: model }],
    tokens: [researcher.entry, trainer.entry],
  });
});
afterAll(() => Promise.all([server.close(), scorer.close()]));

const explain = (payload: object, { token } = researcher) =>
  server.inject({ method: 'POST', url: '/explain', payload, headers: { authorization: `Bearer ${token}` } });

const pair = { id: 'a', type: 'pairwise_text', left: 'a red fox in the snow', right: 'a fox' };

describe('POST /explain', () => {
  it('takes a pair apart into maps that sum to the logit it is scored with', async () => {
    const answer = (await explain({ ...pair, values: true })).json();
    const { logit } = await scorer.scorePair(pair);
    expect(answer).toMatchObject({ id: 'a', kind: 'pair', method: 'ig', model: scorer.sha256 });
    expect(answer.logit).toBeCloseTo(logit, 5);
    expect(answer.completeness.complete).toBe(true);
    expect(answer.maps.map(({ side }: { side: string }) => side)).toEqual(['left', 'right']);
    const numbers = answer.maps.flatMap(({ values }: { values: number[] }) => values);
    const sum = numbers.reduce((a: number, b: number) => a + b, 0);
    expect(sum).toBeCloseTo(answer.completeness.sum, 5);
    expect(Math.abs(sum - answer.logit)).toBeLessThanOrEqual(0.01 * Math.abs(answer.logit) + 1e-6);
  });

  it('explains an item by any method, several asked for at once one after the other', async () => {
    const methods = ['occlusion', 'rollout', 'leave-one-out'];
    const answers = await Promise.all(
      methods.map((method) => explain({ type: 'text', text: 'one two three', method })),
    );
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([200, 200, 200]);
    expect(answers.map((each) => each.json().method)).toEqual(methods);
    expect(answers[0].json().maps[0].values).toBeUndefined();
    expect(answers[0].json().maps[0].top.length).toBeGreaterThan(0);
  });

  it.each([
    ['another token', () => explain(pair, trainer), 403, 'FORBIDDEN'],
    ['more nodes than it takes on', () => explain({ ...pair, nodes: 100_000 }), 400, 'REQUEST_INVALID'],
    ['a method there is not', () => explain({ ...pair, method: 'tea leaves' }), 400, 'REQUEST_INVALID'],
    ['a field there is not', () => explain({ ...pair, depth: 3 }), 400, 'FIELD_INVALID'],
    ['several rows', () => explain([pair]), 400, 'REQUEST_INVALID'],
    ['a method the model has nothing for', () => explain({ ...pair, method: 'gradcam' }), 400, 'METHOD_INAPPLICABLE'],
  ])('refuses %s', async (_what, ask, status, code) => {
    const answer = await ask();
    expect(answer.statusCode).toBe(status);
    expect(answer.json().code).toBe(code);
  });

  it('takes on no more than may wait', async () => {
    const answers = await Promise.all(Array.from({ length: 12 }, () => explain({ ...pair, method: 'gradient' })));
    const statuses = answers.map(({ statusCode }) => statusCode).sort();
    expect(statuses).toEqual([...new Array(8).fill(200), ...new Array(4).fill(503)]);
  });

  it('is described, and a scorer without a file is not explained', async () => {
    const { paths } = (await server.inject('/openapi.json')).json();
    expect(paths['/explain'].post).toMatchObject({ description: 'Scope: explain.', tags: ['explain'] });
    const own = await createServer({ models: [{ name: 'hpsv3', scorer }] });
    const answer = await own.inject({ method: 'POST', url: '/explain', payload: pair });
    expect([answer.statusCode, answer.json().code]).toEqual([400, 'REQUEST_INVALID']);
    await own.close();
  });
});
