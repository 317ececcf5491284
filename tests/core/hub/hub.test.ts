import { createHash } from 'node:crypto';
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { HpsError } from '../../../src/core/errors.js';
import type { RemoteFileOptions } from '../../../src/core/hub/with-addresses.js';
import { type ExportOptions, type ExportReport, exportModel } from '../../../src/core/lifecycle/export/export.js';
import { inspectFile } from '../../../src/core/lifecycle/inspect/inspect.js';
import { hpsv3 } from '../../helpers/cli.js';
import { serve } from '../../helpers/https-server.js';
import { expectSameExport } from '../../helpers/hub-exports.js';
import { COMMIT, HubServer, NEXT_COMMIT, type Seen } from '../../helpers/hub-server.js';
import { tempFolder } from '../../helpers/temp.js';

const golden = (path: string): string => fileURLToPath(new URL(`../../golden/${path}`, import.meta.url));
const MODEL = golden('decoders/llama');
const TOKEN = 'hf_secretSecretSecret';

let hub: HubServer;
/** A host that is not the Hub: what it was asked, and its port. */
const elsewhere: { seen: Seen[]; port: number } = { seen: [], port: 0 };
beforeAll(async () => {
  hub = await HubServer.start();
  elsewhere.port = await serve((request, response) => {
    const { authorization, range } = request.headers;
    elsewhere.seen.push({ method: request.method!, path: request.url!, authorization, range });
    response.writeHead(307, { location: `${hub.endpoint}${request.url}` }).end();
  }, 'http');
});
beforeEach(() => {
  hub.reset();
  hub.putFolder('org/model', MODEL);
  elsewhere.seen.length = 0;
});

const env = (more: RemoteFileOptions['env'] = {}) => ({ HF_ENDPOINT: hub.endpoint, HF_HOME: tempFolder(), ...more });

async function exported(
  checkpoint = 'hf://org/model',
  remote: RemoteFileOptions = {},
  more: Partial<ExportOptions> = {},
): Promise<{ out: string; report: ExportReport }> {
  const out = join(tempFolder(), 'model.onnx');
  return {
    out,
    report: await exportModel({ checkpoint, out, gate: 'off', remote: { env: env(), ...remote }, ...more }),
  };
}

/** The error of an export, and that it left nothing. */
async function failure(checkpoint = 'hf://org/model', remote: RemoteFileOptions = {}): Promise<HpsError> {
  const out = join(tempFolder(), 'model.onnx');
  const error = await exportModel({ checkpoint, out, gate: 'off', remote: { env: env(), ...remote } }).then(
    () => new Error('no error'),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(HpsError);
  expect(existsSync(out)).toBe(false);
  return error as HpsError;
}

const CASES = [
  { name: 'a decoder', folder: MODEL },
  { name: 'a pickle of open_clip', folder: golden('families/clip-open') },
  {
    name: 'two towers and a head',
    folder: golden('families/clip-head'),
    files: { checkpoint: 'model.safetensors', headFile: 'head.pth' },
  },
];

describe('export by hf://', () => {
  it.each(CASES)('is the export from the disk: $name', async ({ folder, files }) => {
    await expectSameExport(hub, { folder, files });
  });

  it.each([
    ['cut connections', { cut: { after: 700, times: 9 } }],
    ['ranges that are shorter than asked for', { shortRanges: true }],
    ['lists without sizes', { noTree: true }],
  ])('lives with %s', async (_, faults) => {
    hub.faults = faults;
    await expectSameExport(hub, CASES[0]);
  });

  it('lives with a server that ignores ranges', async () => {
    hub.faults.ignoreRanges = true;
    const { report } = await exported();
    expect(report.sha256).toBe((await exported(MODEL)).report.sha256);
  });

  it('fetches a checkpoint larger than its windows once, whatever order it is read in', async () => {
    hub.put('org/large', largeCheckpoint(17 * 2 ** 20));
    const { report } = await exported('hf://org/large', {}, { activation: 'none' });
    expect(report.remote!.fetchedBytes).toBe(hub.sentBytes);
    expect(hub.sentBytes).toBeLessThanOrEqual(1.0001 * report.remote!.bytes);
  });

  it('asks again where it was told to wait, and of a link that has expired', async () => {
    let [busy, expired] = [2, 1];
    hub.faults.answer = ({ path, range }) => {
      if (path.includes('/api/') && busy-- > 0) return { status: 429, headers: { 'retry-after': '0' } };
      if (path.startsWith('/cdn/') && range?.startsWith('bytes=0-') === false && expired-- > 0) return { status: 403 };
      return undefined;
    };
    await expectSameExport(hub, CASES[1]);
    expect(Math.max(busy, expired)).toBeLessThan(0);
  });

  it('reads the commit that the revision had, though it moves meanwhile', async () => {
    hub.faults.answer = ({ path }) => {
      if (path.includes('/revision/')) setImmediate(() => (hub.commit = NEXT_COMMIT));
      return undefined;
    };
    const { report } = await exported('hf://org/model@v1.0');
    expect(report.remote!.sources).toEqual([`hf://org/model@${COMMIT}`]);
    expect(hub.seen.filter(({ path }) => path.includes('/resolve/')).every(({ path }) => path.includes(COMMIT))).toBe(
      true,
    );
  });

  it('tells what it would fetch, and fetches headers only', async () => {
    hub.put('org/large', largeCheckpoint(8 * 2 ** 20));
    const { report, out } = await exported('hf://org/large', {}, { dryRun: true, activation: 'none' });
    expect(existsSync(out)).toBe(false);
    expect(report.remote!.bytes).toBeGreaterThan(8 * 2 ** 20);
    expect(report.remote!.fetchedBytes).toBeLessThan(200_000);
    expect(report.lineage[0].inputs[0].sha256).toMatch(/^[0-9a-f]{64}$/);
  });

  it('counts the bytes on the way', async () => {
    const seen: { done: number; total: number | null }[] = [];
    const { report } = await exported(
      'hf://org/model',
      {},
      { onProgress: ({ stage, done, total }) => stage === 'Fetching' && seen.push({ done, total }) },
    );
    expect(seen.at(-1)).toEqual({ done: report.remote!.fetchedBytes, total: report.remote!.bytes });
  });
});

describe('the command line', () => {
  it('exports and inspects, and takes an address from itself alone', async () => {
    const out = join(tempFolder(), 'model.onnx');
    const made = await hpsv3(['export', '--checkpoint', 'hf://org/model', '--out', out, '--gate', 'off'], {
      env: env(),
    });
    expect(made).toMatchObject({ code: 0, stdout: expect.stringContaining(`hf://org/model@${COMMIT}`) });
    const seen = await hpsv3(['inspect', 'hf://org/model'], { env: env() });
    expect(seen).toMatchObject({ code: 0, stdout: expect.stringMatching(/fetched +[\d.]+ KiB of/) });
    const config = join(tempFolder(), 'config.yaml');
    writeFileSync(config, 'flags:\n  checkpoint: hf://org/model\n');
    const refused = await hpsv3(['export', '--config', config, '--out', `${out}2`], { env: env() });
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('CONFIG_INVALID') });
  });
});

describe('inspect by hf://', () => {
  it('reads headers only', async () => {
    hub.put('org/large', largeCheckpoint(8 * 2 ** 20));
    const { remote, tensorCount } = await inspectFile({ path: 'hf://org/large', remote: { env: env() } });
    expect(tensorCount).toBe(4);
    expect(hub.sentBytes).toBe(remote!.fetchedBytes);
    expect(hub.sentBytes).toBeLessThan(0.02 * remote!.bytes);
  });

  it.each([
    'hf://org/model@refs%2Fpr%2F1',
    'hf://org/model@refs/pr/1',
    'hf://datasets/org/model',
    `hf://org/model@${COMMIT}/model.safetensors`,
  ])('understands %s', async (path) => {
    const report = await inspectFile({ path, remote: { env: env() } });
    expect(report.architecture).toBe('llama');
  });
});

describe('what the Hub refuses', () => {
  const said = (status: number, code?: string) => () => ({
    status,
    headers: code ? { 'x-error-code': code } : undefined,
  });

  it.each([
    ['a private repository', {}, said(401), 'ACCESS_DENIED', /is private, or is not there/],
    ['a token that is wrong', { HF_TOKEN: TOKEN }, said(401), 'CREDENTIALS_INVALID', /does not take the token/],
    ['no access', { HF_TOKEN: TOKEN }, said(403), 'ACCESS_DENIED', /gives no access/],
    ['a gated model', { HF_TOKEN: TOKEN }, said(403, 'GatedRepo'), 'ACCESS_DENIED', /is gated/],
    ['no such repository', {}, said(404, 'RepoNotFound'), 'FILE_NOT_FOUND', /is not on the Hub/],
    ['no such revision', {}, said(404, 'RevisionNotFound'), 'FILE_NOT_FOUND', /has no revision "main"/],
    [
      'too many requests, for long',
      {},
      () => ({ status: 429, headers: { 'retry-after': '3600' } }),
      'REMOTE_FAILED',
      /asks to wait/,
    ],
    ['an answer that is no JSON', {}, said(200), 'REMOTE_FAILED', /which commit/],
  ] as const)('%s', async (_, variables, answer, code, message) => {
    hub.faults.answer = answer;
    const error = await failure('hf://org/model', { env: env(variables) });
    expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
    expect(`${error.message} ${error.hint}`.split('\n')).toHaveLength(1);
  });

  it('a model whose files are gated, though it is listed', async () => {
    hub.faults.answer = ({ path }) => (path.includes('/resolve/') ? said(401, 'GatedRepo')() : undefined);
    expect(await failure()).toMatchObject({
      code: 'ACCESS_DENIED',
      hint: expect.stringContaining(`${hub.endpoint}/org/model`),
    });
  });

  it('a file that is not there', async () => {
    expect(await failure('hf://org/model/none.safetensors')).toMatchObject({ code: 'FILE_NOT_FOUND' });
  });
});

describe('what is refused of the Hub', () => {
  it('content that is not what was stated', async () => {
    hub.faults.tamper = 'model.safetensors';
    expect(await failure()).toMatchObject({
      code: 'CHECKSUM_MISMATCH',
      message: expect.stringContaining('model.safetensors'),
    });
  });

  it('files of another commit', async () => {
    hub.faults.commit = NEXT_COMMIT;
    expect(await failure()).toMatchObject({
      code: 'REMOTE_FAILED',
      message: expect.stringContaining('changed while it was read'),
    });
  });

  it.each([
    'http://10.0.0.1',
    'https://10.0.0.1',
    'https://169.254.169.254',
    'https://[::ffff:127.0.0.1]',
    'https://2130706433',
    'https://0x7f.1',
    'https://localhost',
    'https://user:pw@8.8.8.8',
    'file://',
  ])('a redirect to %s', async (cdn) => {
    hub.faults.cdn = cdn;
    expect(await failure()).toMatchObject({ code: 'REMOTE_REFUSED' });
  });

  it('a redirect to another host of this machine, which the endpoint is not', async () => {
    hub.faults.cdn = `http://127.0.0.1:${elsewhere.port}`;
    expect(await failure()).toMatchObject({ code: 'REMOTE_REFUSED' });
    expect(elsewhere.seen).toEqual([]);
  });

  it('a round of redirects', async () => {
    hub.faults.answer = ({ path }) =>
      path.startsWith('/cdn/') ? { status: 302, headers: { location: path } } : undefined;
    expect(await failure()).toMatchObject({
      code: 'REMOTE_REFUSED',
      message: expect.stringContaining('redirected more than'),
    });
  });

  it('a list that leads to another host', async () => {
    hub.faults.answer = ({ path }) =>
      path.includes('/tree/')
        ? { status: 200, headers: { link: `<http://127.0.0.1:${elsewhere.port}/x>; rel="next"` } }
        : undefined;
    await failure();
    expect(elsewhere.seen).toEqual([]);
  });

  it('a variable that is no token, or no endpoint, without showing it', async () => {
    const error = await failure('hf://org/model', { env: env({ HF_TOKEN: 'two words\r\nx-injected: 1' }) });
    expect(error).toMatchObject({ code: 'USAGE', message: 'environment variable HF_TOKEN: is not a token' });
    expect(JSON.stringify([error.message, error.hint, error.details])).not.toContain('injected');
    expect(await failure('hf://org/model', { env: { HF_ENDPOINT: 'https://u:p@host' } })).toMatchObject({
      code: 'USAGE',
    });
  });
});

describe('the token', () => {
  it('goes to the Hub alone, and into nothing that is written or said', async () => {
    hub.token = TOKEN;
    hub.faults.cdn = `http://127.0.0.1:${elsewhere.port}`;
    const hosts = [`127.0.0.1:${elsewhere.port}`];
    const said: string[] = [];
    const { out, report } = await exported(
      'hf://org/model',
      { env: env({ HF_TOKEN: TOKEN }), hosts },
      { onWarning: (line) => said.push(line), onProgress: (progress) => said.push(JSON.stringify(progress)) },
    );
    expect(elsewhere.seen.length).toBeGreaterThan(0);
    expect(elsewhere.seen.every(({ authorization }) => authorization === undefined)).toBe(true);
    const atHub = hub.seen.filter(({ path }) => !path.startsWith('/cdn/'));
    expect(new Set(atHub.map(({ authorization }) => authorization))).toEqual(new Set([`Bearer ${TOKEN}`]));
    const written = [out, `${out}.report.json`].map((path) => readFileSync(path, 'latin1'));
    expect([...written, ...said, JSON.stringify(report)].some((text) => text.includes(TOKEN))).toBe(false);
  });

  it('is read where the login of huggingface_hub leaves it', async () => {
    const home = tempFolder();
    writeFileSync(join(home, 'token'), `${TOKEN}\n`);
    hub.token = TOKEN;
    expect(
      (await inspectFile({ path: 'hf://org/model', remote: { env: { HF_ENDPOINT: hub.endpoint, HF_HOME: home } } }))
        .architecture,
    ).toBe('llama');
  });
});

describe('the cache of huggingface_hub', () => {
  it('is written in its layout, and read without the Hub', async () => {
    const variables = env();
    const first = await exported('hf://org/model@v1.0', { env: variables, hubCache: true });
    const repository = join(variables.HF_HOME, 'hub', 'models--org--model');
    const file = join(repository, 'snapshots', COMMIT, 'model.safetensors');
    const content = readFileSync(join(MODEL, 'model.safetensors'));
    expect(readFileSync(join(repository, 'refs', 'v1.0'), 'utf8')).toBe(COMMIT);
    expect(lstatSync(file).isSymbolicLink()).toBe(true);
    expect(readdirSync(join(repository, 'blobs'))).toContain(createHash('sha256').update(content).digest('hex'));
    expect(readFileSync(file).equals(content)).toBe(true);
    expect(hub.sentBytes).toBe(first.report.remote!.fetchedBytes);

    hub.reset();
    const offline = await exported('hf://org/model@v1.0', { env: { ...variables, HF_HUB_OFFLINE: '1' } });
    expect(hub.seen).toEqual([]);
    expect(offline.report.sha256).toBe(first.report.sha256);
    expect(offline.report.remote).toMatchObject({ sources: [`hf://org/model@${COMMIT}`], fetchedBytes: 0 });
    expect(await failure('hf://org/model@main', { env: { ...variables, HF_HUB_OFFLINE: '1' } })).toMatchObject({
      code: 'REMOTE_FAILED',
    });
  });

  it('goes on where an earlier attempt ended, and begins anew where that was something else', async () => {
    const variables = env();
    const blobs = join(variables.HF_HOME, 'hub', 'models--org--model', 'blobs');
    const content = readFileSync(join(MODEL, 'model.safetensors'));
    const partial = join(blobs, `${createHash('sha256').update(content).digest('hex')}.incomplete`);
    mkdirSync(blobs, { recursive: true });
    writeFileSync(partial, content.subarray(0, 9000));
    const { report } = await exported('hf://org/model', { env: variables, hubCache: true });
    const model = report.remote!.files.find(({ address }) => address.endsWith('model.safetensors'));
    expect(model!.fetchedBytes).toBe(content.byteLength - 9000);

    const others = env();
    const other = partial.replace(variables.HF_HOME, others.HF_HOME);
    mkdirSync(join(other, '..'), { recursive: true });
    writeFileSync(other, content.subarray(1, 9001));
    expect(await failure('hf://org/model', { env: others, hubCache: true })).toMatchObject({
      code: 'CHECKSUM_MISMATCH',
    });
    expect((await exported('hf://org/model', { env: others, hubCache: true })).report.sha256).toBe(report.sha256);
  });

  it('is not believed where a blob is not what its name says', async () => {
    const variables = env();
    await exported('hf://org/model', { env: variables, hubCache: true });
    const file = join(variables.HF_HOME, 'hub', 'models--org--model', 'snapshots', COMMIT, 'model.safetensors');
    const bytes = readFileSync(file);
    bytes[bytes.byteLength - 3] ^= 1;
    writeFileSync(file, bytes);
    expect(await failure('hf://org/model', { env: variables })).toMatchObject({ code: 'CHECKSUM_MISMATCH' });
  });

  it('says what to do where nothing can be reached', async () => {
    const error = await failure('hf://org/model', {
      env: { HF_ENDPOINT: 'http://127.0.0.1:1', HF_HOME: tempFolder() },
    });
    expect(error).toMatchObject({
      code: 'REMOTE_FAILED',
      message: expect.stringContaining('cannot be reached'),
      hint: expect.stringContaining('HF_HUB_OFFLINE'),
    });
  });
});

/** Two layers in float32, the second one's weight first, as names sort them. */
function largeCheckpoint(bytes: number): Record<string, Uint8Array> {
  const width = Math.floor(bytes / 4 / 64);
  const shapes: Record<string, number[]> = {
    'layers.0.weight': [64, width],
    'layers.0.bias': [64],
    'layers.2.weight': [1, 64],
    'layers.2.bias': [1],
  };
  const order = ['layers.2.bias', 'layers.0.weight', 'layers.2.weight', 'layers.0.bias'];
  let end = 0;
  const header = Object.fromEntries(
    order.map((name) => {
      const begin = end;
      end += 4 * shapes[name].reduce((a, b) => a * b, 1);
      return [name, { dtype: 'F32', shape: shapes[name], data_offsets: [begin, end] }];
    }),
  );
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.byteLength));
  const values = Float32Array.from({ length: end / 4 }, (_, i) => ((i * 2_654_435_761) % 2001) / 1e5 - 0.01);
  return { 'model.safetensors': Buffer.concat([length, text, Buffer.from(values.buffer)]) };
}
