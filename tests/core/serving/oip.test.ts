import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HPSv3Scorer } from '../../../src/core/scoring/scorer.js';
import { createServer } from '../../../src/core/serving/create-server.js';
import type { RewardServer } from '../../../src/core/serving/server.js';
import { tinyModel } from '../../helpers/scoring.js';
import { sharedFolder } from '../../helpers/temp.js';

const folder = sharedFolder();
let server: RewardServer;
let scorer: HPSv3Scorer;

beforeAll(async () => {
  const file = await tinyModel(folder, 'text');
  scorer = await HPSv3Scorer.load(file, { batchSize: 16 });
  server = await createServer({ models: [{ name: 'hpsv3', file }] });
});
afterAll(async () => {
  await server.close();
  await scorer.close();
});

const URL = '/v2/models/hpsv3/infer';
const bytesTensor = (texts: readonly string[]): Buffer =>
  Buffer.concat(
    texts.flatMap((text) => {
      const length = Buffer.alloc(4);
      length.writeUInt32LE(Buffer.byteLength(text));
      return [length, Buffer.from(text)];
    }),
  );

/** A request as tritonclient sends it: JSON, raw tensors behind it, no content type. */
function binary(json: object, tensors: readonly Buffer[], { gzip = false, length = 0 } = {}) {
  const head = Buffer.from(JSON.stringify(json));
  const whole = Buffer.concat([head, ...tensors]);
  return server.inject({
    method: 'POST',
    url: URL,
    headers: {
      'Inference-Header-Content-Length': String(length || head.length),
      ...(gzip ? { 'content-encoding': 'gzip' } : {}),
    },
    payload: gzip ? gzipSync(whole) : whole,
  });
}

const json = (body: object, url = URL) => server.inject({ method: 'POST', url, payload: body });
const input = (name: string, data: unknown[], more = {}) => ({
  name,
  datatype: 'BYTES',
  shape: [data.length],
  data,
  ...more,
});

describe('the Open Inference Protocol', () => {
  it('says what it is and what it has', async () => {
    expect((await server.inject('/v2')).json()).toMatchObject({ name: 'hpsv3', extensions: ['binary_tensor_data'] });
    expect((await server.inject('/v2/health/live')).json()).toEqual({ live: true });
    expect((await server.inject('/v2/models/hpsv3/ready')).json()).toEqual({ name: 'hpsv3', ready: true });
    expect((await server.inject('/v2/models/hpsv3/versions/1')).json()).toMatchObject({
      name: 'hpsv3',
      sha256: scorer.sha256,
      inputs: expect.arrayContaining([{ name: 'left_text', datatype: 'BYTES', shape: [-1] }]),
    });
  });

  it('scores items in JSON, and pairs in binary, to the bit', async () => {
    const items = await json({ id: '7', inputs: [input('text', ['hi', 'a red fox'])] });
    const expected = [await scorer.score('hi'), await scorer.score('a red fox')];
    expect(items.json()).toMatchObject({ id: '7', model_name: 'hpsv3', model_version: scorer.sha256 });
    const byName = Object.fromEntries(
      items.json().outputs.map((o: { name: string; data: unknown }) => [o.name, o.data]),
    );
    expect(byName).toMatchObject({
      score: expected.map(({ score }) => score),
      logit: expected.map(({ logit }) => logit),
    });

    const [left, right] = [bytesTensor(['one', 'two']), bytesTensor(['uno', 'dos'])];
    const raw = (name: string, bytes: Buffer) => ({
      name,
      datatype: 'BYTES',
      shape: [2],
      parameters: { binary_data_size: bytes.length },
    });
    const request = {
      inputs: [raw('left_text', left), raw('right_text', right)],
      parameters: { binary_data_output: true },
    };
    for (const gzip of [false, true]) {
      const pairs = await binary(request, [left, right], { gzip });
      const at = Number(pairs.headers['inference-header-content-length']);
      const head = JSON.parse(pairs.rawPayload.subarray(0, at).toString());
      expect(head.outputs.map((o: { parameters: object }) => o.parameters)).toMatchObject([
        { binary_data_size: 8 },
        { binary_data_size: 8 },
        {},
        { binary_data_size: 2 },
      ]);
      const logits = [0, 4].map((offset) => pairs.rawPayload.readFloatLE(at + 8 + offset));
      expect(logits).toEqual([
        Math.fround((await scorer.scorePair({ left: 'one', right: 'uno' })).logit),
        Math.fround((await scorer.scorePair({ left: 'two', right: 'dos' })).logit),
      ]);
    }
  });

  it('gives the outputs asked for, each as it is asked for', async () => {
    const outputs = [{ name: 'winner' }, { name: 'logit', parameters: { binary_data: true } }];
    const answer = await json({ inputs: [input('left_text', ['a']), input('right_text', ['b'])], outputs });
    const head = JSON.parse(
      answer.rawPayload.subarray(0, Number(answer.headers['inference-header-content-length'])).toString(),
    );
    expect(head.outputs.map((o: { name: string }) => o.name)).toEqual(['winner', 'logit']);
    expect(head.outputs[0].data[0]).toMatch(/left|right|tie/);
  });

  it('takes the tensors of the file itself under NAME-raw', async () => {
    const { inputs, outputs } = (await server.inject('/v2/models/hpsv3-raw')).json();
    expect(inputs.map((i: { name: string }) => i.name)).toEqual([
      'left_input_ids',
      'left_attention_mask',
      'right_input_ids',
      'right_attention_mask',
    ]);
    expect(outputs.map((o: { name: string }) => o.name)).toContain('pair_logit');
    const tensor = (name: string, data: number[]) => ({ name, datatype: 'INT64', shape: [2, 3], data });
    const body = {
      inputs: [
        tensor('left_input_ids', [5, 6, 7, 8, 9, 10]),
        tensor('left_attention_mask', [1, 1, 1, 1, 1, 1]),
        tensor('right_input_ids', [8, 9, 10, 5, 6, 7]),
        tensor('right_attention_mask', [1, 1, 1, 1, 1, 1]),
      ],
    };
    const answer = (await json(body, '/v2/models/hpsv3-raw/infer')).json();
    const logits = answer.outputs.find((o: { name: string }) => o.name === 'pair_logit').data;
    expect(logits).toHaveLength(2);
    expect(logits[0]).toBe(-logits[1]);
  });

  it('refuses the row that the model does not take, and not its neighbours', async () => {
    const tensor = (name: string, data: number[]) => ({ name, datatype: 'INT64', shape: [1, 3], data });
    const ask = (id: number) =>
      json(
        {
          inputs: [
            tensor('left_input_ids', [5, 6, id]),
            tensor('left_attention_mask', [1, 1, 1]),
            tensor('right_input_ids', [8, 9, 10]),
            tensor('right_attention_mask', [1, 1, 1]),
          ],
        },
        '/v2/models/hpsv3-raw/infer',
      );
    const statuses = (await Promise.all([7, 1e6, 8, -1e6].map(ask))).map(({ statusCode }) => statusCode);
    expect(statuses).toEqual([200, 400, 200, 400]);
  });

  const text = bytesTensor(['hi']);
  const hi = { name: 'text', datatype: 'BYTES', shape: [1], parameters: { binary_data_size: text.length } };
  it.each([
    ['an input it does not have', { inputs: [input('smell', ['x'])] }],
    ['a wrong datatype', { inputs: [{ name: 'text', datatype: 'FP32', shape: [1], data: [1] }] }],
    ['a datatype there is not', { inputs: [{ name: 'text', datatype: 'TEXT', shape: [1], data: ['a'] }] }],
    ['fewer elements than the shape has', { inputs: [input('text', ['x'], { shape: [2] })] }],
    ['no data', { inputs: [{ name: 'text', datatype: 'BYTES', shape: [1] }] }],
    ['a number in BYTES', { inputs: [input('text', [1])] }],
    ['sides of different lengths', { inputs: [input('left_text', ['x']), input('right_text', ['x', 'y'])] }],
    ['one side', { inputs: [input('left_text', ['x'])] }],
    ['no rows', { inputs: [input('text', [])] }],
    ['an input twice', { inputs: [input('text', ['x']), input('text', ['y'])] }],
    ['an output it does not have', { inputs: [input('text', ['x'])], outputs: [{ name: 'smell' }] }],
    ['a negative shape', { inputs: [input('text', ['x'], { shape: [-1] })] }],
    ['a huge shape', { inputs: [input('text', ['x'], { shape: [2 ** 40, 2 ** 40] })] }],
  ])('refuses %s', async (_what, body) => {
    const answer = await json(body);
    expect([answer.statusCode, Object.keys(answer.json())]).toEqual([400, ['error']]);
  });

  it.each([
    ['a header longer than the body', { inputs: [hi] }, [text], 1e6],
    ['a size beyond the body', { inputs: [{ ...hi, parameters: { binary_data_size: 100 } }] }, [text], 0],
    ['a negative size', { inputs: [{ ...hi, parameters: { binary_data_size: -1 } }] }, [text], 0],
    ['bytes that nothing claims', { inputs: [hi] }, [text, text], 0],
    ['an element beyond its tensor', { inputs: [hi] }, [Buffer.from([255, 255, 255, 255, 1, 1])], 0],
    [
      'more elements than the shape has',
      { inputs: [{ ...hi, parameters: { binary_data_size: 12 } }] },
      [text, text],
      0,
    ],
    ['invalid UTF-8', { inputs: [hi] }, [Buffer.from([2, 0, 0, 0, 255, 254])], 0],
  ])('refuses %s', async (_what, request, tensors, length) => {
    const answer = await binary(request, tensors, { length });
    expect([answer.statusCode, Object.keys(answer.json())]).toEqual([400, ['error']]);
  });

  it('says 404 of what it does not have, in its own form', async () => {
    for (const url of ['/v2/models/other', '/v2/models/hpsv3/versions/9', '/v2/nothing']) {
      const answer = await server.inject(url);
      expect([answer.statusCode, Object.keys(answer.json())]).toEqual([404, ['error']]);
    }
  });

  it('bounds what a body inflates to', async () => {
    const bomb = gzipSync(Buffer.alloc(30_000_000, 32));
    const answer = await server.inject({
      method: 'POST',
      url: URL,
      headers: { 'content-encoding': 'gzip' },
      payload: bomb,
    });
    expect(answer.statusCode).toBe(413);
    const brotli = await server.inject({
      method: 'POST',
      url: URL,
      headers: { 'content-encoding': 'br' },
      payload: 'x',
    });
    expect(brotli.statusCode).toBe(415);
  });
});
