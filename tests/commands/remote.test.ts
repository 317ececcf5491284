import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { hpsv3, PROJECT } from '../helpers/cli.js';
import { CERTIFICATE, serve } from '../helpers/https-server.js';
import { tinyModel, writePicture, writeRows } from '../helpers/scoring.js';
import { sharedFolder } from '../helpers/temp.js';

const folder = sharedFolder();
const at = (name: string): string => join(folder, name);
const requests: string[] = [];
let model = '';
let httpsPort = 0;
let env: Record<string, string> = {};

beforeAll(async () => {
  model = await tinyModel(folder, 'image');
  for (let i = 0; i < 3; i++) await writePicture(folder, `${i}.png`, i);
  httpsPort = await serve((_, response) => response.end(readFileSync(at('0.png'))));
  const storePort = await serve((request, response) => {
    requests.push(request.url!);
    const [, bucket, name] = request.url!.split('/');
    if (name === 'secret.png') response.writeHead(403).end('<Error><Code>AccessDenied</Code></Error>');
    else if (name === 'late.png') response.writeHead(400).end('<Error><Code>ExpiredToken</Code></Error>');
    else if (bucket === 'media' && /^\d\.png$/.test(name)) response.end(readFileSync(at(name)));
    else response.writeHead(404).end('<Error><Code>NoSuchKey</Code></Error>');
  }, 'http');
  env = {
    AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${storePort}`,
    AWS_ACCESS_KEY_ID: 'me',
    AWS_SECRET_ACCESS_KEY: 'do-not-print',
    NODE_EXTRA_CA_CERTS: CERTIFICATE,
  };
}, 120_000);

const score = async (item: string, ...more: string[]) => {
  const { code, stdout, stderr } = await hpsv3(['score', '--model', model, '--item', item, '--json', ...more], { env });
  expect(stdout + stderr).not.toContain('do-not-print');
  return { code, result: JSON.parse(stdout) };
};

describe('remote media', () => {
  it('are scored in a batch where their bucket is allowed, each fetched once, bad rows reported', async () => {
    const pair = (id: string, left: string, right: string) => ({ id, type: 'pair', left, right });
    const input = writeRows(folder, 'rows.jsonl', [
      pair('a', 's3://media/0.png', 's3://media/1.png'),
      pair('b', 's3://media/1.png', '2.png'),
      pair('gone', 's3://media/none.png', '2.png'),
      pair('denied', 's3://media/secret.png', '2.png'),
      pair('other', 's3://others/0.png', '2.png'),
      pair('up', 's3://media/../others/0.png', '2.png'),
      pair('own network', `https://localhost:${httpsPort}/0.png`, '2.png'),
      pair('c', 's3://media/0.png', '2.png'),
      pair('here', '0.png', '2.png'),
    ]);
    requests.length = 0;
    const allowed = ['--allow-bucket', 'media', '--allow-host', `localhost:${httpsPort}`];
    const args = ['batch', '--model', model, '--input', input, '--output', at('out.jsonl'), '-q', ...allowed];
    const { code, stderr } = await hpsv3(args, { env });
    expect(code).toBe(6);
    expect(stderr).not.toContain('do-not-print');
    expect(requests.sort()).toEqual(['/media/0.png', '/media/1.png', '/media/none.png', '/media/secret.png']);
    const lines = (name: string) =>
      readFileSync(at(name), 'utf8')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));
    expect(lines('out.jsonl').map(({ id }) => id)).toEqual(['a', 'b', 'c', 'here']);
    const [, , c, here] = lines('out.jsonl');
    expect(c.logit).toBe(here.logit);
    expect(lines('out.jsonl.errors.jsonl').map(({ line, id, code: error }) => [line, id, error])).toEqual([
      [3, 'gone', 'REMOTE_FAILED'],
      [4, 'denied', 'ACCESS_DENIED'],
      [5, 'other', 'REMOTE_REFUSED'],
      [6, 'up', 'REMOTE_REFUSED'],
      [7, 'own network', 'REMOTE_REFUSED'],
    ]);
  });

  it('are allowed by nobody but whoever types the command', async () => {
    requests.length = 0;
    writeFileSync(at('config.yaml'), 'flags:\n  allow-bucket: [media]\n');
    const byFile = await score('s3://media/0.png', '--config', at('config.yaml'));
    expect(byFile).toMatchObject({ code: 2, result: { error: { code: 'CONFIG_INVALID' } } });
    expect(byFile.result.error.message).toContain('flags.allow-bucket: --allow-bucket counts only on the command line');
    const args = ['score', '--model', model, '--item', 's3://media/0.png', '--json'];
    const byVariable = await hpsv3(args, { env: { ...env, HPSV3_ALLOW_BUCKET: 'media' } });
    expect([byVariable.code, JSON.parse(byVariable.stdout).error.code]).toEqual([2, 'USAGE']);
    expect(requests).toEqual([]);
  });

  it('are never fetched because a file names them: the base of an adapter', async () => {
    requests.length = 0;
    const adapter = at('adapter');
    cpSync(`${PROJECT}tests/golden/lora/plain`, adapter, { recursive: true });
    const base = `${env.AWS_ENDPOINT_URL_S3}/media/base.safetensors`;
    writeFileSync(join(adapter, 'adapter_config.json'), JSON.stringify({ base_model_name_or_path: base }));
    const { code, stdout } = await hpsv3(['export', '--checkpoint', adapter, '--out', at('adapter.onnx'), '--json'], {
      env,
    });
    expect([code, JSON.parse(stdout).error.code]).toEqual([2, 'CHECKPOINT_UNSUPPORTED']);
    expect(JSON.parse(stdout).error.hint).toContain(base);
    expect(requests).toEqual([]);
  });

  it.each([
    ['s3://media/0.png', [], 2, 'REMOTE_REFUSED'],
    ['s3://media/0.png', ['--allow-bucket', 'Media!'], 2, 'USAGE'],
    ['https://127.0.0.1/0.png', ['--allow-host', '127.0.0.1'], 2, 'REMOTE_REFUSED'],
    ['http://example.org/0.png', ['--allow-host', 'example.org'], 2, 'DATA_INVALID'],
    ['s3://media/secret.png', ['--allow-bucket', 'media'], 4, 'ACCESS_DENIED'],
    ['s3://media/late.png', ['--allow-bucket', 'media'], 4, 'CREDENTIALS_INVALID'],
  ])('score of %s with %j exits %i: %s', async (item, flags, exit, error) => {
    const { code, result } = await score(item, ...flags);
    expect([code, result.error.code]).toEqual([exit, error]);
  });

  it('end a batch with exit 4 where the credentials are not taken, which can be gone on with', async () => {
    const input = writeRows(folder, 'late.jsonl', [
      { id: 'a', type: 'pair', left: '0.png', right: '1.png' },
      { id: 'late', type: 'pair', left: 's3://media/late.png', right: '1.png' },
    ]);
    const args = ['batch', '--model', model, '--input', input, '--output', at('late.out.jsonl'), '-q', '--json'];
    const { code, stdout } = await hpsv3([...args, '--allow-bucket', 'media'], { env });
    expect([code, JSON.parse(stdout).error.code]).toEqual([4, 'CREDENTIALS_INVALID']);
    const other = await hpsv3([...args, '--resume'], { env });
    expect(JSON.parse(other.stdout).error.message).toContain('begun with another remote');
  });
});
