import { copyFileSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createServer } from '../../../src/core/serving/create-server.js';
import type { RewardServer } from '../../../src/core/serving/server.js';
import { newToken } from '../../../src/core/serving/tokens.js';
import { goldenModel } from '../../helpers/models.js';
import { tinyModel } from '../../helpers/scoring.js';
import { sharedFolder } from '../../helpers/temp.js';

const folder = sharedFolder();
let model: string;
let server: RewardServer;
const score = newToken({ name: 'trainer', scopes: ['score'], rows_per_minute: 20 });
const metrics = newToken({ name: 'prometheus', scopes: ['metrics'] });
const admin = newToken({ name: 'operator', scopes: ['admin', 'score'] });
const expired = newToken({ name: 'old', scopes: ['score'], not_after: '2020-01-01' });

beforeAll(async () => {
  model = await tinyModel(folder, 'text');
  copyFileSync(model, join(folder, 'same.onnx'));
  server = await createServer({
    models: [{ name: 'hpsv3', file: model }],
    modelFolder: folder,
    tokens: [score, metrics, admin, expired].map(({ entry }) => entry),
    limits: { queueRows: 32 },
  });
});
afterAll(() => server.close());

const row = { type: 'text', text: 'hi' };
const ask = (headers: Record<string, string>, url = '/score', payload: object = row) =>
  server.inject({ method: 'POST', url, headers, payload });
const bearer = ({ token }: { token: string }) => ({ authorization: `Bearer ${token}` });

describe('tokens', () => {
  it('lets in who has one, under either header and any spelling of the scheme', async () => {
    expect((await ask(bearer(admin))).statusCode).toBe(200);
    expect((await ask({ authorization: `bearer ${admin.token}` })).statusCode).toBe(200);
    expect((await ask({ 'api-key': admin.token })).statusCode).toBe(200);
  });

  it.each([
    ['none', {}],
    ['a wrong one', { authorization: `Bearer ${'x'.repeat(50)}` }],
    ['an empty one', { authorization: 'Bearer ' }],
    ['another scheme', { authorization: `Basic ${admin.token}` }],
    ['an expired one', bearer(expired)],
    ['two', { ...bearer(admin), 'api-key': admin.token }],
  ])('refuses %s with 401', async (_what, headers) => {
    const answer = await ask(headers);
    expect(answer.statusCode).toBe(401);
    expect(answer.headers['www-authenticate']).toContain('Bearer');
    expect(answer.json().code).toBe('UNAUTHENTICATED');
  });

  it('takes none from the query', async () => {
    expect((await ask({}, `/score?token=${admin.token}&api-key=${admin.token}`)).statusCode).toBe(401);
  });

  it('refuses a scope with 403, in the form of the route', async () => {
    expect((await ask(bearer(metrics))).statusCode).toBe(403);
    expect((await server.inject({ url: '/metrics', headers: bearer(score) })).statusCode).toBe(403);
    const oip = await ask(bearer(metrics), '/v2/models/hpsv3/infer');
    expect([oip.statusCode, Object.keys(oip.json())]).toEqual([403, ['error']]);
    expect((await server.inject('/livez')).statusCode).toBe(200);
  });

  it('takes the new ones and no longer the old ones once they are replaced', async () => {
    const fresh = newToken({ name: 'fresh', scopes: ['score'] });
    const before = [score, metrics, admin, expired].map(({ entry }) => entry);
    server.replaceTokens([fresh.entry]);
    expect([(await ask(bearer(admin))).statusCode, (await ask(bearer(fresh))).statusCode]).toEqual([401, 200]);
    server.replaceTokens(before);
  });

  it('does not listen where others can ask, without any', async () => {
    const open = await createServer({ models: [{ name: 'hpsv3', file: model }] });
    try {
      await expect(open.listen({ host: '0.0.0.0' })).rejects.toMatchObject({ code: 'USAGE' });
      await open.listen();
      const from = (headers: Record<string, string>) =>
        open.inject({ method: 'POST', url: '/score', headers, payload: row });
      expect((await from({ host: 'localhost:80' })).statusCode).toBe(200);
      expect((await from({ host: 'evil.example' })).statusCode).toBe(403);
      expect((await from({ host: 'localhost', origin: 'https://evil.example' })).statusCode).toBe(403);
    } finally {
      await open.close();
    }
  });
});

describe('bounds', () => {
  it('answers 429 with Retry-After to more rows than a token may ask for', async () => {
    expect(
      (
        await ask(
          bearer(score),
          '/score',
          Array.from({ length: 15 }, () => row),
        )
      ).statusCode,
    ).toBe(200);
    const more = await ask(
      bearer(score),
      '/score',
      Array.from({ length: 15 }, () => row),
    );
    expect(more.statusCode).toBe(429);
    expect(Number(more.headers['retry-after'])).toBeGreaterThan(0);
    expect(
      (
        await ask(
          { ...bearer(score), 'x-forwarded-for': '10.0.0.1' },
          '/score',
          Array.from({ length: 15 }, () => row),
        )
      ).statusCode,
    ).toBe(429);
  });

  it('answers 503 with Retry-After while no row finds room, and every row it took', async () => {
    const rows = Array.from({ length: 20 }, (_, i) => ({ type: 'text', text: `row ${i} ${Math.random()}` }));
    const answers = await Promise.all(Array.from({ length: 6 }, () => ask(bearer(admin), '/score', rows)));
    const statuses = answers.map(({ statusCode }) => statusCode);
    expect(statuses).toContain(503);
    expect(statuses).toContain(200);
    for (const { statusCode, headers, json } of answers) {
      if (statusCode === 503) expect(headers['retry-after']).toBe('1');
      else expect(json().every(({ logit }: { logit: number }) => typeof logit === 'number')).toBe(true);
    }
    expect((await ask(bearer(admin))).statusCode).toBe(200); // all the room is free again
  });

  it('answers 504 where the time of the client is over', async () => {
    const rows = Array.from({ length: 30 }, (_, i) => ({
      type: 'text',
      text: `${'word '.repeat(40)}${i} ${Math.random()}`,
    }));
    const answer = await ask({ ...bearer(admin), 'x-request-timeout-ms': '1' }, '/score', rows);
    expect(answer.json().some(({ error }: { error?: { code: string } }) => error?.code === 'DEADLINE_EXCEEDED')).toBe(
      true,
    );
    expect((await ask(bearer(admin))).statusCode).toBe(200);
  });

  it('gives up on a body that does not come', async () => {
    const slow = await createServer({ models: [{ name: 'hpsv3', file: model }], limits: { bodyMs: 100 } });
    const { port } = await slow.listen();
    const head = 'POST /score HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"ty';
    const answer = await new Promise<string>((resolve) => {
      let text = '';
      const socket = connect(port, '127.0.0.1', () => socket.write(head));
      socket.on('data', (chunk) => (text += chunk));
      socket.on('close', () => resolve(text));
    });
    await slow.close();
    expect(answer).toMatch(/^HTTP\/1\.1 408 /);
  });
});

describe('metrics', () => {
  it('counts requests by dialect and rows by outcome, tasks from a closed set', async () => {
    for (let i = 0; i < 30; i++) await ask(bearer(admin), '/score', { ...row, task: `task-${i}` });
    const text = (await server.inject({ url: '/metrics', headers: bearer(metrics) })).body;
    expect(text).toMatch(/^hpsv3_requests_total\{dialect="score",code="200"\} \d+$/m);
    expect(text).toMatch(/^hpsv3_rows_total\{modality="text",task="other",outcome="ok"\} \d+$/m);
    expect(text).toMatch(/^hpsv3_stage_duration_seconds_count\{stage="encode"\} \d+$/m);
    const seconds = /^hpsv3_request_duration_seconds_sum\{dialect="score"\} (\S+)$/m.exec(text)?.[1];
    expect(Number(seconds)).toBeGreaterThan(0);
    expect(text).toMatch(/^hpsv3_queue_rows 0$/m);
    const open = await server.inject({
      url: '/metrics',
      headers: { ...bearer(metrics), accept: 'application/openmetrics-text' },
    });
    expect(open.headers['content-type']).toContain('application/openmetrics-text');
    expect(open.body).toMatch(/^# TYPE hpsv3_requests counter$/m);
    expect(open.body.endsWith('# EOF\n')).toBe(true);
  });
});

describe('reload and rollback', () => {
  const reload = (body: object) => ask(bearer(admin), '/admin/models/reload', body);

  it('serves another file once it has passed the gate, loses no request, and goes back', async () => {
    const answers = Promise.all(
      Array.from({ length: 20 }, async (_, i) => {
        await new Promise((resolve) => setTimeout(resolve, 20 * i));
        return (await ask(bearer(admin), '/score', { ...row, text: `while ${i}` })).statusCode;
      }),
    );
    const answer = await reload({ file: 'same.onnx' });
    expect(answer.json()).toMatchObject({ name: 'hpsv3', file: 'same.onnx', gate: { flips: 0 } });
    expect(new Set(await answers)).toEqual(new Set([200]));
    expect((await ask(bearer(admin), '/admin/models/rollback', {})).json()).toMatchObject({ file: 'text-pair.onnx' });
  });

  it('keeps the old one where the new one is none, decides otherwise, or lies elsewhere', async () => {
    expect((await reload({ file: '../../etc/passwd' })).statusCode).toBe(403);
    expect((await reload({ file: 'absent.onnx' })).statusCode).toBe(403);
    expect((await reload({ file: 'tiny.safetensors' })).statusCode).toBe(400);
    expect((await reload({ model: 'other' })).statusCode).toBe(404);
    expect((await server.inject({ url: '/admin/models', headers: bearer(admin) })).json().models).toMatchObject([
      { file: 'text-pair.onnx' },
    ]);
    expect((await server.inject('/readyz')).statusCode).toBe(200);
    expect((await ask(bearer(admin))).statusCode).toBe(200);
  });

  it('never serves a model whose scores depend on their neighbours, and keeps the old one', async () => {
    const [good, mixing] = ['item', 'item-batch-mean'].map((name) => goldenModel('gate', name));
    await expect(createServer({ models: [{ name: 'hpsv3', file: mixing }] })).rejects.toMatchObject({
      code: 'SELF_CHECK_FAILED',
    });
    const own = await createServer({ models: [{ name: 'hpsv3', file: good }], modelFolder: dirname(mixing) });
    const before = own.models;
    const payload = { file: 'item-batch-mean.onnx', gate: 'off' };
    const answer = await own.inject({ method: 'POST', url: '/admin/models/reload', payload });
    expect([answer.statusCode, answer.json().code]).toEqual([400, 'SELF_CHECK_FAILED']);
    expect(own.models).toEqual(before);
    expect((await own.inject('/readyz')).statusCode).toBe(200);
    await own.close();
  });
});
