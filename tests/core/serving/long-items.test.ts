import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeWav } from '../../../src/core/media/encode-wav.js';
import { HPSv3Scorer } from '../../../src/core/scoring/scorer.js';
import { createServer } from '../../../src/core/serving/create-server.js';
import type { RewardServer } from '../../../src/core/serving/server.js';
import { tinyModel } from '../../helpers/scoring.js';
import { sharedFolder } from '../../helpers/temp.js';

const folder = sharedFolder();
const SHORT = 'a red fox';
const LONG = Array.from({ length: 30 }, (_, i) => `Sentence ${i} has some words.`).join(' ');
const RATE = 16_000;
/** Longer than any model of sound reads. */
const minute = (): string => {
  const sound = Float32Array.from({ length: 60 * RATE }, (_, i) => 0.4 * Math.sin(i * 0.15 + i * i * 1e-7));
  return Buffer.from(encodeWav(sound, RATE)).toString('base64');
};
const windows = { texts: { window: '40t', stride: '20t' }, sounds: { window: 'max' } };
const whole = { texts: undefined, sounds: undefined };

interface Served {
  readonly server: RewardServer;
  readonly url: string;
}
const models = { texts: '', sounds: '' };
const scorers: HPSv3Scorer[] = [];
const servers = new Map<string, Served>();

async function serve(name: 'texts' | 'sounds', cut: typeof windows | typeof whole): Promise<Served> {
  const key = `${name} ${cut === windows}`;
  const known = servers.get(key);
  if (known) return known;
  const server = await createServer({ models: [{ name: 'hpsv3', file: models[name] }], windows: cut[name] });
  const { port } = await server.listen();
  const served = { server, url: `http://127.0.0.1:${port}` };
  servers.set(key, served);
  return served;
}

async function load(name: 'texts' | 'sounds', cut: typeof windows | typeof whole): Promise<HPSv3Scorer> {
  const scorer = await HPSv3Scorer.load(models[name], { windows: cut[name], batchSize: 16 });
  scorers.push(scorer);
  return scorer;
}

beforeAll(async () => {
  models.texts = await tinyModel(folder, 'text', 'item');
  models.sounds = await tinyModel(folder, 'audio', 'item');
}, 60_000);
afterAll(async () => {
  await Promise.all([...[...servers.values()].map(({ server }) => server.close()), ...scorers.map((s) => s.close())]);
});

async function post({ url }: Served, path: string, body: object | string, type = 'application/json') {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const response = await fetch(url + path, { method: 'POST', body: text, headers: { 'content-type': type } });
  const answer = await response.text();
  const read = (): unknown => JSON.parse(answer);
  return { status: response.status, cut: response.headers.get('x-truncated-rows'), text: answer, read };
}

const got = async ({ url }: Served, path: string): Promise<string> => (await fetch(url + path)).text();

/** Where each protocol says of which rows a text was cut; null for one that has no place for it but the header. */
type Flags = (answer: never) => readonly (true | false | undefined)[];
const both = [LONG, SHORT];
const flagsOf = (list: readonly { readonly truncated?: true }[]) => list.map(({ truncated }) => truncated);
const data: Flags = (answer: { readonly data: { readonly truncated?: true }[] }) => flagsOf(answer.data);
const PROTOCOLS: readonly [path: string, body: object, flags: Flags | null][] = [
  ['/score', both.map((text) => ({ type: 'text', text })), flagsOf],
  ['/classify', { input: both }, data],
  ['/pooling', { input: both }, data],
  ['/v1/score', { queries: 'q', documents: both }, data],
  [
    '/rerank',
    { query: 'q', documents: both },
    (answer: { readonly results: { readonly index: number; readonly truncated?: true }[] }) =>
      flagsOf(answer.results.toSorted((a, b) => a.index - b.index)),
  ],
  ['/v1/embeddings', { input: both }, data],
  ['/v1/embeddings', { model: 'hpsv3-embedding', input: both }, data],
  ['/get_reward', { query: both }, null],
  ['/predict', { inputs: both.map((text) => [text]) }, null],
  ['/rerank', { query: 'q', texts: both }, null],
  ['/embed', { inputs: both }, null],
  ['/score', { requests: both.map((text) => ({ history: [{ text }], required_rewards: ['hpsv3'] })) }, null],
];

describe('a text that is longer than the model reads', () => {
  it.each(PROTOCOLS)('is cut by %s %j, which says so', async (path, body, flags) => {
    const { status, cut, read } = await post(await serve('texts', whole), path, body);
    expect([status, cut]).toEqual([200, '1']);
    if (flags) expect(flags(read() as never)).toEqual([true, undefined]);
  });

  it('is told from others by an output of the Open Inference Protocol', async () => {
    const served = await serve('texts', whole);
    const inputs = [{ name: 'text', datatype: 'BYTES', shape: [2], data: both }];
    const { cut, read } = await post(served, '/v2/models/hpsv3/infer', { inputs });
    const { outputs } = read() as { outputs: { name: string }[] };
    expect(cut).toBe('1');
    expect(outputs.find(({ name }) => name === 'truncated')).toEqual({
      name: 'truncated',
      datatype: 'BOOL',
      shape: [2],
      data: [true, false],
    });
    const metadata = JSON.parse(await got(served, '/v2/models/hpsv3'));
    expect(metadata.outputs).toContainEqual({ name: 'truncated', datatype: 'BOOL', shape: [-1] });
    const binary = { inputs, outputs: [{ name: 'truncated', parameters: { binary_data: true } }] };
    const { text } = await post(served, '/v2/models/hpsv3/infer', binary);
    expect(text.slice(-2)).toBe('\x01\x00');
  });

  it('gets the score of `score`, in a stream too, and no header where nothing was cut', async () => {
    const served = await serve('texts', whole);
    const expected = await (await load('texts', whole)).score(LONG);
    expect(expected.truncated).toBe(true);
    const one = await post(served, '/score', { type: 'text', text: LONG });
    expect([one.cut, one.read()]).toEqual(['1', expect.objectContaining(expected)]);
    const rows = both.map((text) => JSON.stringify({ type: 'text', text })).join('\n');
    const streamed = await post(served, '/score', rows, 'application/x-ndjson');
    const lines = streamed.text.trim().split('\n');
    expect(flagsOf(lines.map((line) => JSON.parse(line)))).toEqual([true, undefined]);
    expect((await post(served, '/score', { type: 'text', text: SHORT })).cut).toBeNull();
    expect(await got(served, '/metrics')).toMatch(/hpsv3_truncated_rows_total\{modality="text"\} [1-9]/);
  });

  it.each([
    ['/predict', { inputs: [[LONG], [SHORT]] }],
    ['/rerank', { query: 'q', texts: both }],
    ['/embed', { inputs: both }],
  ])('is refused by %s where the client does not want it cut', async (path, body) => {
    const served = await serve('texts', whole);
    const refused = await post(served, path, { ...body, truncate: false });
    expect([refused.status, refused.read()]).toEqual([
      413,
      { error: expect.stringContaining('1 of 2'), error_type: 'Validation' },
    ]);
    expect((await post(served, path, { ...body, truncate: true })).status).toBe(200);
  });

  it('is explained as far as it is read, which is said', async () => {
    const row = { type: 'text', text: LONG, method: 'rollout' };
    const { cut, read } = await post(await serve('texts', whole), '/explain', row);
    expect([cut, read()]).toEqual(['1', expect.objectContaining({ truncated: true })]);
  });
});

it('a recording that is longer than the model reads is refused, and the others of its request are not', async () => {
  const rows = [minute(), Buffer.from(encodeWav(new Float32Array(RATE).fill(0.1), RATE)).toString('base64')];
  const body = rows.map((base64) => ({ type: 'audio', audio: { base64 } }));
  const { status, read } = await post(await serve('sounds', whole), '/score', body);
  const error = {
    code: 'MEDIA_INVALID',
    message: expect.stringMatching(/^[^\n]+60\.0 s long, more than 30 s[^\n]+`window`[^\n]+$/),
  };
  expect([status, read()]).toEqual([
    200,
    [{ id: null, error }, expect.objectContaining({ logit: expect.any(Number) })],
  ]);
  const alone = await post(await serve('sounds', whole), '/score', body[0]);
  expect([alone.status, alone.read()]).toEqual([400, expect.objectContaining({ code: 'MEDIA_INVALID' })]);
});

describe('a server that scores in windows', () => {
  it('gives the scores of `score --window`, as its description has them', async () => {
    const served = await serve('texts', windows);
    const scorer = await load('texts', windows);
    const { components } = JSON.parse(await got(served, '/openapi.json'));
    const isScore = new Ajv2020({ strict: false }).compile({ $ref: '#/components/schemas/Score', components });
    const rows = [
      { type: 'text', text: LONG },
      { type: 'pairwise_text', left: LONG, right: SHORT },
    ] as const;
    const expected = [await scorer.score(LONG), await scorer.scorePair({ left: LONG, right: SHORT })];
    const { cut, read } = await post(served, '/score', [...rows]);
    expect([cut, read()]).toEqual([null, expected.map((each) => expect.objectContaining({ ...each }))]);
    expect(expected[0].windows).toMatchObject({ aggregate: 'mean', count: expect.any(Number) });
    for (const each of read() as object[]) expect([isScore(each), isScore.errors]).toEqual([true, null]);
    const embedded = await post(served, '/embed', { inputs: LONG, normalize: false });
    expect(embedded.read()).toEqual([Array.from(await scorer.embedSample({ item: LONG }))]);
  });

  it('scores recordings of any length, and explains their worst window', async () => {
    const served = await serve('sounds', windows);
    const bytes = Buffer.from(minute(), 'base64');
    const expected = await (await load('sounds', windows)).score({ audio: { bytes, name: 'minute' } });
    const row = { type: 'audio', audio: { base64: bytes.toString('base64') } };
    expect((await post(served, '/score', row)).read()).toMatchObject({ ...expected });
    const { worst, curve } = expected.windows!;
    const explained = (await post(served, '/explain', { ...row, method: 'input-x-gradient' })).read();
    expect(explained).toMatchObject({ kind: 'item', windows: { ...expected.windows, logit: expected.logit } });
    expect((explained as { logit: number }).logit).toBeCloseTo(worst.logit, 5);
    expect(curve.length).toBeGreaterThan(1);
  });
});
