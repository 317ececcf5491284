import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PickleWriter } from '../../../src/core/checkpoint/pickle/pickle-writer.js';
import { HPSv3Scorer } from '../../../src/core/scoring/scorer.js';
import { createServer } from '../../../src/core/serving/create-server.js';
import type { RewardServer } from '../../../src/core/serving/server.js';
import { newToken } from '../../../src/core/serving/tokens.js';
import { sigmoid } from '../../../src/core/stats/logistic.js';
import { tinyModel, writePicture } from '../../helpers/scoring.js';
import { sharedFolder } from '../../helpers/temp.js';

const folder = sharedFolder();
let server: RewardServer;
let texts: HPSv3Scorer;
let images: HPSv3Scorer;
let picture: Buffer;
const log = join(folder, 'served');
const token = newToken({ name: 'trainer', scopes: ['score', 'metrics'] });

beforeAll(async () => {
  const [text, image] = [await tinyModel(folder, 'text', 'item'), await tinyModel(folder, 'image-text', 'item')];
  picture = readFileSync(join(folder, await writePicture(folder, 'a.png', 3)));
  texts = await HPSv3Scorer.load(text, { batchSize: 16 });
  images = await HPSv3Scorer.load(image, { batchSize: 16 });
  server = await createServer({
    models: [
      { name: 'hpsv3', file: image },
      { name: 'texts', file: text },
    ],
    dialects: ['pickle'],
    tokens: [token.entry],
    shadow: { file: image, share: 1 },
    logScores: log,
  });
});
afterAll(async () => {
  await Promise.all([server.close(), texts.close(), images.close()]);
});

const headers = { authorization: `Bearer ${token.token}` };
const post = (url: string, payload: object | Buffer) => server.inject({ method: 'POST', url, headers, payload });
const get = async (url: string) => (await server.inject({ url, headers })).json();
const logit = async (text: string): Promise<number> => (await texts.score(text)).logit;
const dataUrl = () => `data:image/png;base64,${picture.toString('base64')}`;
const imageLogit = async (text: string): Promise<number> =>
  (await images.score({ image: { bytes: picture, name: 'a' }, text })).logit;

describe('vLLM', () => {
  it('classifies texts, and conversations with a picture', async () => {
    const raw = await post('/classify', { model: 'texts', input: ['a', 'b c'], use_activation: false });
    expect(raw.json()).toMatchObject({
      object: 'list',
      model: 'texts',
      data: [{ index: 0, label: null, num_classes: 1 }, { index: 1 }],
    });
    expect(raw.json().data.map(({ probs }: { probs: number[] }) => probs[0])).toEqual([
      await logit('a'),
      await logit('b c'),
    ]);
    const asProbability = await post('/classify', { model: 'texts', input: 'a' });
    expect(asProbability.json().data[0].probs).toEqual([sigmoid(await logit('a'))]);
    const content = [
      { type: 'text', text: 'a red fox' },
      { type: 'image_url', image_url: { url: dataUrl() } },
    ];
    const chat = await post('/classify', { messages: [{ role: 'user', content }], use_activation: false });
    expect(chat.json().data[0].probs).toEqual([await imageLogit('a red fox')]);
  });

  it.each(['/rerank', '/v1/rerank', '/v2/rerank'])('ranks by %s, best first', async (url) => {
    const documents = ['one', 'two words', { text: 'three of them' }];
    const answer = await post(url, { model: 'texts', query: 'q', documents, top_n: 2 });
    const logits = await Promise.all(['one', 'two words', 'three of them'].map(logit));
    const order = [0, 1, 2].sort((a, b) => logits[b] - logits[a]).slice(0, 2);
    expect(answer.json().results).toEqual(
      order.map((index) => ({ index, document: expect.anything(), relevance_score: sigmoid(logits[index]) })),
    );
  });

  it('ranks the pictures of one document', async () => {
    const part = { type: 'image_url', image_url: { url: dataUrl() } };
    const answer = await post('/rerank', {
      query: 'a fox',
      documents: { content: [part, part] },
      use_activation: false,
    });
    expect(
      answer
        .json()
        .results.map(({ index, relevance_score }: { index: number; relevance_score: number }) => [
          index,
          relevance_score,
        ]),
    ).toEqual([
      [0, await imageLogit('a fox')],
      [1, await imageLogit('a fox')],
    ]);
  });

  it('scores queries with documents, pools, and lists models', async () => {
    const answer = await post('/score', { model: 'texts', text_1: 'q', text_2: ['a', 'b'], use_activation: false });
    expect(answer.json().data).toEqual([
      { index: 0, object: 'score', score: await logit('a') },
      { index: 1, object: 'score', score: await logit('b') },
    ]);
    for (const half of [{}, { text_1: 'q' }, { documents: ['a'] }]) {
      const refused = await post('/v1/score', { model: 'texts', ...half });
      expect([refused.statusCode, refused.body]).toEqual([400, expect.stringContaining('queries and documents')]);
    }
    const pooled = await post('/pooling', { model: 'texts', input: 'a' });
    expect(pooled.json().data).toEqual([{ index: 0, object: 'pooling', data: [await logit('a')] }]);
    expect((await get('/v1/models')).data).toMatchObject([
      { id: 'hpsv3', root: images.sha256 },
      { id: 'texts', object: 'model' },
    ]);
  });

  it('has errors as OpenAI has them', async () => {
    for (const [body, status] of [
      [{}, 400],
      [{ input: [[1, 2]] }, 400],
      [{ model: 'x', input: 'a' }, 404],
      [{ input: 3 }, 400],
    ] as const) {
      const answer = await post('/classify', body);
      expect(answer.statusCode).toBe(status);
      expect(answer.json()).toEqual({
        error: { message: expect.any(String), type: expect.any(String), param: null, code: status },
      });
    }
    expect((await server.inject({ method: 'POST', url: '/classify', payload: {} })).json().error.type).toBe(
      'AuthenticationError',
    );
  });
});

describe('OpenAI embeddings', () => {
  it('gives the reward as one number, and latents under another name, as floats and base64', async () => {
    const reward = await post('/v1/embeddings', { model: 'texts', input: ['a', 'b'] });
    expect(reward.json().data.at(-1).embedding).toEqual([await logit('b')]);
    const latents = await post('/v1/embeddings', { model: 'texts-embedding', input: 'a', encoding_format: 'base64' });
    const bytes = Buffer.from(latents.json().data[0].embedding, 'base64');
    const expected = await texts.embedSample({ item: 'a' });
    expect(new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length))).toEqual(expected);
  });
});

describe('OpenRLHF', () => {
  it('gives rewards and probabilities, and refuses with 400', async () => {
    const own = await createServer({ models: [{ name: 'hpsv3', scorer: texts }] });
    const ask = (payload: object) => own.inject({ method: 'POST', url: '/get_reward', payload });
    const answer = (await ask({ query: ['a', 'b'], prompts: ['', ''], labels: [null, null] })).json();
    expect(answer).toEqual({
      rewards: [await logit('a'), await logit('b')],
      scores: [sigmoid(await logit('a')), sigmoid(await logit('b'))],
      extra_logs: {},
    });
    expect((await ask({ query: [] })).statusCode).toBe(400);
    await own.close();
    expect(await logit('still open')).toEqual(expect.any(Number)); // it is the program's own
  });
});

describe('UniRL', () => {
  it('scores the last turn of a history, a failing one beside the others', async () => {
    const turn = { text: 'a red fox', image_b64: picture.toString('base64') };
    const requests = [
      { history: [turn], required_rewards: ['hpsv3'], metadata: null, sample_id: 's1' },
      { history: [{ ...turn, image_b64: 'AAAA' }], required_rewards: ['hpsv3', 'absent'] },
    ];
    const { results, errors, identities, protocol_version } = (await post('/score', { requests })).json();
    expect(results).toEqual([{ hpsv3: { logit: await imageLogit('a red fox') } }, {}]);
    expect(errors).toEqual([{}, { hpsv3: expect.any(String), absent: expect.any(String) }]);
    expect([identities[0].sample_id, protocol_version]).toEqual(['s1', '1']);
    expect(await get('/health')).toEqual({ status: 'ok', rewards: { hpsv3: ['ready'], texts: ['ready'] } });
  });

  it('cannot be mistaken for another dialect at the same place', async () => {
    const answer = await post('/score', { requests: [], type: 'text', text: 'x' });
    expect([answer.statusCode, answer.json().code]).toEqual([400, 'REQUEST_INVALID']);
  });

  it('takes no path that it may not', async () => {
    const history = [{ text: 'x', video_path: '/etc/passwd' }];
    expect((await post('/score', { requests: [{ history, required_rewards: ['hpsv3'] }] })).json().results).toEqual([
      {},
    ]);
  });
});

describe('Text Embeddings Inference', () => {
  it('takes two strings as one pair, and lists as a batch', async () => {
    const own = await createServer({ models: [{ name: 'hpsv3', scorer: texts }] });
    const ask = async (url: string, payload: object) => (await own.inject({ method: 'POST', url, payload })).json();
    expect(await ask('/predict', { inputs: 'x', raw_scores: true })).toEqual([
      { score: await logit('x'), label: 'LABEL_0' },
    ]);
    expect(await ask('/predict', { inputs: ['x', 'y'] })).toEqual([
      { score: sigmoid(await logit('y')), label: 'LABEL_0' },
    ]);
    expect(await ask('/predict', { inputs: [['x'], ['x', 'y']] })).toHaveLength(2);
    const ranking = await ask('/rerank', { query: 'q', texts: ['a', 'b', 'c'], raw_scores: true, return_text: true });
    expect(ranking.map(({ score }: { score: number }) => score)).toEqual(
      [...(await Promise.all(['a', 'b', 'c'].map(logit)))].sort((a, b) => b - a),
    );
    const [vector] = await ask('/embed', { inputs: 'a' });
    expect(Math.hypot(...vector)).toBeCloseTo(1, 5);
    expect(await ask('/predict', { inputs: '' })).toEqual({ error: expect.any(String), error_type: 'Empty' });
    expect(await ask('/predict', { inputs: 3 })).toMatchObject({ error_type: 'Validation' });
    await own.close();
  });
});

/** `{"images": [...], "prompts": [...]}` as Python writes it, and what `extra` puts in. */
function request(extra?: (out: PickleWriter) => void): Buffer {
  const out = new PickleWriter().op('EMPTY_DICT').op('MARK');
  out.text('images').op('EMPTY_LIST').op('MARK');
  const length = Buffer.alloc(4);
  length.writeUInt32LE(picture.length);
  out.op('BINBYTES', length, picture).op('APPENDS');
  out.text('prompts').op('EMPTY_LIST').op('MARK').text('a red fox').op('APPENDS');
  extra?.(out);
  return Buffer.from(out.op('SETITEMS').finish());
}

describe('pickles', () => {
  it('answers as both trainers read it, the token in the path', async () => {
    for (const url of [`/t/${token.token}`, `/t/${token.token}/`]) {
      const answer = await server.inject({ method: 'POST', url, payload: request() });
      expect(answer.statusCode).toBe(200);
      const expected = Buffer.alloc(9);
      expected[0] = 0x47;
      expected.writeDoubleBE(await imageLogit('a red fox'), 1);
      expect(answer.rawPayload.indexOf(expected)).toBeGreaterThan(answer.rawPayload.indexOf('outputs'));
      expect(answer.rawPayload.lastIndexOf(expected)).toBeGreaterThan(answer.rawPayload.indexOf('scores'));
    }
    expect((await server.inject({ method: 'POST', url: '/', payload: request() })).statusCode).toBe(401);
  });

  it.each([
    [
      'a call of os.system',
      (out: PickleWriter) =>
        out.text('x').global('os', 'system').op('MARK').text(`touch ${folder}/pwned`).op('TUPLE').op('REDUCE'),
    ],
    [
      'a call of builtins.eval',
      (out: PickleWriter) => out.text('x').global('builtins', 'eval').op('MARK').text('1').op('TUPLE').op('REDUCE'),
    ],
    ['numpy.f2py', (out: PickleWriter) => out.text('x').global('numpy.f2py', 'compile')],
    ['a dotted name', (out: PickleWriter) => out.text('x').global('numpy', 'ndarray.__class__')],
  ])('refuses %s with 400, and runs nothing', async (_what, extra) => {
    const answer = await post('/', request(extra));
    expect(answer.statusCode).toBe(400);
    expect(answer.rawPayload.includes('error')).toBe(true);
    expect(existsSync(join(folder, 'pwned'))).toBe(false);
  });

  it.each([
    ['nothing', Buffer.alloc(0)],
    ['JSON', Buffer.from('{"images":[]}')],
    ['a pickle cut short', () => request().subarray(0, 40)],
    ['something behind it', () => Buffer.concat([request(), Buffer.from('x')])],
    ['other things than images', () => Buffer.from(new PickleWriter().op('EMPTY_DICT').finish())],
  ])('refuses %s with 400', async (_what, body) => {
    expect((await post('/', typeof body === 'function' ? body() : body)).statusCode).toBe(400);
  });

  it('are not spoken unless it is asked for', async () => {
    const own = await createServer({ models: [{ name: 'hpsv3', scorer: texts }] });
    expect((await own.inject({ method: 'POST', url: '/', payload: request() })).statusCode).toBe(404);
    await own.close();
    await expect(
      createServer({ models: [{ name: 'hpsv3', scorer: texts }], dialects: ['pickel'] }),
    ).rejects.toMatchObject({ code: 'USAGE' });
  });
});

describe('beside the answers', () => {
  it('logs rows without their content, and what the shadow model decides otherwise', async () => {
    const secret = 'a text that nobody else may read';
    await post('/score', [{ type: 'text', text: secret, model: 'texts', task: 'tone' }]);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const files = readdirSync(log).filter((name) => name.endsWith('.jsonl'));
    const text = files.map((name) => readFileSync(join(log, name), 'utf8')).join('');
    const rows = text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(text).not.toContain(secret);
    expect(rows.at(-1)).toMatchObject({
      schema: 'hpsv3/served@1',
      task: 'tone',
      modality: 'text',
      logit: await logit(secret),
      input: { bytes: secret.length },
    });
    expect(rows.find(({ modality }) => modality === 'image-text').input).toMatchObject({ format: 'png', height: 36 });
    expect(rows.map(({ seq }) => seq)).toEqual(rows.map((_, i) => i));
    const metrics = (await server.inject({ url: '/metrics', headers })).body;
    expect(metrics).toMatch(/hpsv3_shadow_rows_total\{model="hpsv3"\} [1-9]/);
    expect(metrics).not.toMatch(/hpsv3_shadow_flips_total\{model="hpsv3"\} [1-9]/); // it is the same model
  });
});

const python = process.env['HPSV3_PYTHON'];
describe.skipIf(!python)('with Python', () => {
  it('reads what Python pickles, and Python reads what it gets', async () => {
    const script = `
import pickle, sys, base64
try:
    import numpy as np
except ImportError:
    np = None
image = base64.b64decode(sys.argv[1])
for protocol in range(2, 6):
    print(base64.b64encode(pickle.dumps({"images": [image], "prompts": ["a red fox"], "metadata": {}}, protocol)).decode())
    if np is not None:
        print(base64.b64encode(pickle.dumps({"images": np.array([image], dtype=object), "prompts": np.array(["a red fox"]), "metadata": {"step": np.int64(3)}}, protocol)).decode())
`;
    const bodies = execFileSync(python!, ['-c', script, picture.toString('base64')])
      .toString()
      .trim()
      .split('\n');
    for (const body of bodies) {
      const answer = await post('/', Buffer.from(body, 'base64'));
      expect(answer.statusCode, answer.body).toBe(200);
      const read = execFileSync(
        python!,
        ['-c', 'import pickle,sys; print(pickle.load(sys.stdin.buffer)["scores"][0])'],
        { input: answer.rawPayload },
      );
      expect(Number(read.toString())).toBe(await imageLogit('a red fox'));
    }
  });
});
