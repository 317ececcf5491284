import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HPSv3Scorer } from '../../../src/core/scoring/scorer.js';
import { createServer } from '../../../src/core/serving/create-server.js';
import type { RewardServer } from '../../../src/core/serving/server.js';
import { tinyModel, writePicture } from '../../helpers/scoring.js';
import { sharedFolder } from '../../helpers/temp.js';

const folder = sharedFolder();
let server: RewardServer;
let scorer: HPSv3Scorer;

beforeAll(async () => {
  const file = await tinyModel(folder, 'text');
  scorer = await HPSv3Scorer.load(file, { batchSize: 16 });
  server = await createServer({ models: [{ name: 'hpsv3', file }], limits: { queueRows: 64, bodyBytes: 100_000 } });
});
afterAll(async () => {
  await server.close();
  await scorer.close();
});

const post = (body: unknown, headers: Record<string, string> = {}) =>
  server.inject({
    method: 'POST',
    url: '/score',
    headers: { 'content-type': 'application/json', ...headers },
    payload: typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body),
  });

const pair = { type: 'pairwise_text', left: 'a red fox', right: 'a fox that is red', task: 'naturalness' };

describe('POST /score', () => {
  it('answers a pair as the scorer does, to the bit', async () => {
    const expected = await scorer.scorePair(pair);
    const response = await post(pair, { 'x-request-id': 'abc' });
    expect(response.statusCode).toBe(200);
    expect(response.json()).toEqual({ ...expected, request_id: 'abc' });
    expect(Object.keys(response.json()).slice(0, 3)).toEqual(['score', 'winner', 'confidence']);
    expect(response.headers['x-request-id']).toBe('abc');
  });

  it('answers an array in order, a bad row in its place', async () => {
    const rows = [{ id: 7, ...pair }, { id: 'x', type: 'pair', left: 'a' }, { type: 'text', text: 'alone' }, 3];
    const response = await post(rows);
    expect(response.statusCode).toBe(200);
    const [first, second, third, fourth] = response.json();
    expect(first).toMatchObject({ id: '7', logit: (await scorer.scorePair(pair)).logit });
    expect(second).toEqual({ id: 'x', error: { code: 'FIELD_MISSING', message: 'right is missing' } });
    expect(third).toMatchObject({ score: (await scorer.score('alone')).score });
    expect(fourth.error.code).toBe('NOT_AN_OBJECT');
  });

  it('streams NDJSON, an answer a row in their order', async () => {
    const texts = Array.from({ length: 300 }, (_, i) => `text ${i} ${'word '.repeat(i % 7)}`);
    const body = [...texts.map((text, i) => JSON.stringify({ id: `r${i}`, type: 'text', text })), '{"broken'].join(
      '\n',
    );
    const response = await post(body, { 'content-type': 'application/x-ndjson' });
    expect(response.statusCode).toBe(200);
    const lines = response.body
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines).toHaveLength(301);
    expect(lines.slice(0, 300).map(({ id }) => id)).toEqual(texts.map((_, i) => `r${i}`));
    expect(lines[299].logit).toBe((await scorer.score(texts[299])).logit);
    expect(lines[300].error.code).toBe('INVALID_JSON');
  });

  it('keeps the digits of an id that is no safe integer, with a score and with an error', async () => {
    const rows = ['{"id":9007199254740993,"type":"text","text":"a"}', '{"id":9007199254740995,"type":"text"}'];
    const response = await post(rows.join('\n'), { 'content-type': 'application/x-ndjson' });
    const ids = response.body
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).id);
    expect(ids).toEqual(['9007199254740993', '9007199254740995']);
  });

  it('sends events where they are asked for', async () => {
    const response = await post([pair, { type: 'pair' }], { accept: 'text/event-stream' });
    expect(response.headers['content-type']).toContain('text/event-stream');
    expect(response.body.match(/^event: \w+/gm)).toEqual(['event: score', 'event: score', 'event: done']);
    expect(response.body).toContain('data: {"rows":2,"failed":1}');
  });

  it.each([
    ['an empty body', '', 400, 'JSON_INVALID'],
    ['what is no JSON', '{"type":', 400, 'JSON_INVALID'],
    ['NaN', '{"type":"text","text":"x","score":NaN}', 400, 'JSON_INVALID'],
    ['a key twice', '{"type":"text","text":"x","text":"y"}', 400, 'JSON_INVALID'],
    ['too deep', `${'['.repeat(1e4)}${']'.repeat(1e4)}`, 400, 'JSON_INVALID'],
    ['what is not UTF-8', Buffer.from([0x22, 0xff, 0x22]), 400, 'JSON_INVALID'],
    ['an empty array', [], 400, 'REQUEST_INVALID'],
    ['a field it does not know', { ...pair, colour: 'red' }, 400, 'FIELD_INVALID'],
    ['a number for a text', { ...pair, left: 3 }, 400, 'FIELD_INVALID'],
    ['__proto__', '{"__proto__":{"type":"text"}}', 400, 'FIELD_MISSING'],
    ['a type it does not know', { type: 'smell', smell: 'x' }, 400, 'TYPE_UNKNOWN'],
    ['a model it does not have', { ...pair, model: 'other' }, 404, 'MODEL_UNKNOWN'],
    ['more rows than it takes on', Array.from({ length: 65 }, () => pair), 413, 'TOO_MANY_ROWS'],
    ['a body that is too large', { ...pair, left: 'x'.repeat(200_000) }, 413, 'BODY_TOO_LARGE'],
  ])('refuses %s', async (_what, body, status, code) => {
    const response = await post(body);
    expect(response.statusCode).toBe(status);
    expect(response.headers['content-type']).toContain('application/problem+json');
    expect(response.json()).toMatchObject({ status, code, request_id: response.headers['x-request-id'] });
    expect(response.body).not.toContain(folder);
  });
});

describe('what every server has', () => {
  it.each(['/livez', '/ping', '/readyz', '/healthz'])('%s', async (url) => {
    expect((await server.inject(url)).statusCode).toBe(200);
  });

  it('describes its routes as OpenAPI 3.1', async () => {
    const description = (await server.inject('/openapi.json')).json();
    expect(description.openapi).toBe('3.1.0');
    expect(description.paths['/score'].post.tags).toContain('score');
    expect(JSON.stringify(description)).not.toContain('#/$defs/');
    expect((await server.inject('/docs')).body).toContain('/openapi.json');
  });

  it('says 404 of a path it does not have', async () => {
    const response = await server.inject('/nothing?token=secret');
    expect(response.statusCode).toBe(404);
    expect(response.json()).toMatchObject({ code: 'NOT_FOUND' });
    expect(response.body).not.toContain('secret');
  });
});

describe('pictures', () => {
  it('reads no files unless it may, and none outside its folder', async () => {
    const file = await tinyModel(folder, 'image');
    const name = await writePicture(folder, 'a.png', 1);
    const closed = await createServer({ models: [{ name: 'hpsv3', file }] });
    const open = await createServer({ models: [{ name: 'hpsv3', file }], mediaRoot: folder });
    const ask = (to: RewardServer, left: string) =>
      to.inject({ method: 'POST', url: '/score', payload: { type: 'pairwise_image', left, right: name } });
    try {
      expect((await ask(closed, name)).statusCode).toBe(403);
      expect((await ask(open, name)).json()).toMatchObject({ winner: 'tie', logit: 0 });
      for (const path of ['/etc/passwd', '../../etc/passwd', '/proc/self/environ', '%2e%2e/x', 'a\0b']) {
        const response = await ask(open, path);
        expect([400, 403]).toContain(response.statusCode);
      }
      expect((await ask(open, 'file:///etc/passwd')).statusCode).toBe(403);
      expect((await ask(open, 'https://example.org/a.jpg')).statusCode).toBe(403);
    } finally {
      await Promise.all([closed.close(), open.close()]);
    }
  });
});
