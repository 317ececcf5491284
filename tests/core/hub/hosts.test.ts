import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { isAddress, parseAddress } from '../../../src/core/hub/address.js';
import { statsOfFile } from '../../../src/core/lifecycle/data/data-files.js';
import { exportModel } from '../../../src/core/lifecycle/export/export.js';
import { inspectFile } from '../../../src/core/lifecycle/inspect/inspect.js';
import { serve } from '../../helpers/https-server.js';
import { COMMIT, HubServer } from '../../helpers/hub-server.js';
import { tempFolder } from '../../helpers/temp.js';

const MODEL = fileURLToPath(new URL('../../golden/decoders/llama', import.meta.url));
const LABELS = '{"id":"1","type":"pair","left":"a","right":"b","labels":[1,0,1]}\n';

/** Objects of a store, by key. */
const objects = new Map<string, Buffer>();
/** Of each answer; what is signed, and by whom. */
let asked: { path: string; authorization: string | undefined }[] = [];
let etag = '"1"';
let listed = true;
let port = 0;
let host = '';

beforeAll(async () => {
  for (const name of readdirSync(MODEL)) objects.set(`models/llama a/${name}`, readFileSync(join(MODEL, name)));
  objects.set('labels.jsonl', Buffer.from(LABELS));
  port = await serve((request, response) => {
    const url = new URL(request.url!, `http://${host}`);
    asked.push({ path: url.pathname, authorization: request.headers.authorization });
    const key = decodeURIComponent(url.pathname.replace(/^\/(bucket|files)\//, ''));
    if (url.searchParams.has('list-type')) {
      if (!listed) return response.writeHead(403).end('<Error><Code>AccessDenied</Code></Error>');
      const prefix = url.searchParams.get('prefix')!;
      const found = [...objects].filter(([name]) => name.startsWith(prefix));
      const contents = found.map(
        ([name, bytes]) => `<Contents><Key>${name}</Key><Size>${bytes.byteLength}</Size></Contents>`,
      );
      return response.end(`<ListBucketResult><IsTruncated>false</IsTruncated>${contents.join('')}</ListBucketResult>`);
    }
    const bytes = objects.get(key);
    if (!bytes) return response.writeHead(404).end('<Error><Code>NoSuchKey</Code></Error>');
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
    if (from === undefined)
      return response
        .writeHead(200, { etag, 'content-length': bytes.byteLength })
        .end(request.method === 'HEAD' ? '' : bytes);
    const part = bytes.subarray(Number(from), Number(to) + 1);
    response
      .writeHead(206, {
        etag,
        'content-range': `bytes ${from}-${Number(from) + part.byteLength - 1}/${bytes.byteLength}`,
      })
      .end(part);
  }, 'http');
  host = `127.0.0.1:${port}`;
});
beforeEach(() => {
  asked = [];
  etag = '"1"';
  listed = true;
});

const exported = async (checkpoint: string, remote: Parameters<typeof exportModel>[0]['remote']) => {
  const out = join(tempFolder(), 'model.onnx');
  return (await exportModel({ checkpoint, out, gate: 'off', remote })).sha256;
};
const fromDisk = () => exported(MODEL, {});

describe('s3://', () => {
  const keys = { AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE', AWS_SECRET_ACCESS_KEY: 'secretsecret' };
  const env = (more = {}) => ({ AWS_ENDPOINT_URL: `http://${host}`, ...more });

  it('reads a folder of a bucket, each request signed', async () => {
    expect(await exported('s3://bucket/models/llama a', { env: env(keys) })).toBe(await fromDisk());
    expect(
      asked.every(({ authorization }) => authorization?.startsWith('AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/')),
    ).toBe(true);
    expect(asked.some(({ authorization }) => authorization?.includes('range;'))).toBe(true);
  });

  it('reads what is public without a signature, and an object where the bucket may not be listed', async () => {
    listed = false;
    const { tensorCount } = await inspectFile({
      path: 's3://bucket/models/llama a/model.safetensors',
      remote: { env: env() },
    });
    expect(tensorCount).toBeGreaterThan(0);
    expect(asked.every(({ authorization }) => authorization === undefined)).toBe(true);
  });

  it('says that an object is not there', async () => {
    await expect(inspectFile({ path: 's3://bucket/none.pt', remote: { env: env() } })).rejects.toMatchObject({
      code: 'FILE_NOT_FOUND',
    });
  });
});

describe('https://', () => {
  it('reads a file and what lies beside it', async () => {
    expect(await exported(`http://${host}/files/models/llama%20a/model.safetensors`, { hosts: [host] })).toBe(
      await fromDisk(),
    );
  });

  it('refuses a private host that is not allowed, and a file that changes while it is read', async () => {
    const path = `http://${host}/files/models/llama%20a/model.safetensors`;
    await expect(inspectFile({ path })).rejects.toMatchObject({ code: 'REMOTE_REFUSED' });
    await expect(inspectFile({ path: `https://${host}/x.pt` })).rejects.toMatchObject({ code: 'REMOTE_REFUSED' });
    expect(asked).toEqual([]);
    const changing = inspectFile({
      path,
      statistics: true,
      remote: { hosts: [host] },
      onProgress: () => (etag = '"2"'),
    });
    await expect(changing).rejects.toMatchObject({
      code: 'REMOTE_FAILED',
      message: expect.stringContaining('changed while it was read'),
    });
  });

  it('reads labels', async () => {
    const stats = await statsOfFile({ input: `http://${host}/files/labels.jsonl`, remote: { hosts: [host] } });
    expect(stats).toMatchObject({ file: 'labels.jsonl', errors: null });
  });
});

describe('hf://datasets', () => {
  it('reads labels, compared with their stated hash', async () => {
    const hub = await HubServer.start();
    hub.put('org/data', { 'data/labels.jsonl': Buffer.from(LABELS.repeat(200)) });
    const options = {
      input: 'hf://datasets/org/data/data/labels.jsonl',
      remote: { env: { HF_ENDPOINT: hub.endpoint, HF_HOME: tempFolder() } },
    };
    expect(await statsOfFile(options)).toMatchObject({ file: 'labels.jsonl' });
    expect(hub.seen.some(({ path }) => path === `/datasets/org/data/resolve/${COMMIT}/data/labels.jsonl`)).toBe(true);
    hub.faults.tamper = 'data/labels.jsonl';
    await expect(statsOfFile(options)).rejects.toMatchObject({ code: 'CHECKSUM_MISMATCH' });
  });
});

describe('an address', () => {
  it.each([
    ['hf://org/name', { repo: 'org/name', revision: null, path: '' }],
    ['hf://org/name@v1.0/a/b.pt', { repo: 'org/name', revision: 'v1.0', path: 'a/b.pt' }],
    ['hf://org/name@feature%2Fx', { revision: 'feature/x', path: '' }],
    ['hf://org/name@refs/pr/12/model.bin', { revision: 'refs/pr/12', path: 'model.bin' }],
    ['hf://datasets/org/name/rows.csv', { type: 'dataset', repo: 'org/name', path: 'rows.csv' }],
    ['s3://bucket', { kind: 's3', bucket: 'bucket', key: '' }],
    ['s3://bucket/a b/c?.pt', { key: 'a b/c?.pt' }],
  ])('is taken apart: %s', (text, expected) => {
    expect(parseAddress(text)).toMatchObject(expected);
  });

  it.each([
    'hf://',
    'hf://org',
    'hf://org/na me',
    'hf://org/name@',
    'hf://org/name@../x',
    'hf://org/name/../x',
    'hf://org/name/a\\b',
    'hf://org/name/C:/x',
    'hf://a@b/c',
    's3://b@d/x',
    's3://bucket/../x',
    'https://u:p@host/x',
    'http://',
    'https://host:port/x',
  ])('is refused: %s', (text) => {
    expect(isAddress(text)).toBe(true);
    expect(() => parseAddress(text)).toThrow(
      expect.objectContaining({ code: expect.stringMatching(/USAGE|REMOTE_REFUSED|DATA_INVALID/) }),
    );
  });

  it('is told from a path', () => {
    expect(['model.pt', './hf/x', 'C:\\models\\x', 'C:/x', 'hf:x', '/a/https'].some(isAddress)).toBe(false);
  });
});
