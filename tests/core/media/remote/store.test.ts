import { existsSync, readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type RemoteFile, type RemoteOptions, RemoteStore } from '../../../../src/core/media/remote/store.js';
import { CERTIFICATE, serve } from '../../../helpers/https-server.js';

const requests: string[] = [];
let atOnce = 0;
let mostAtOnce = 0;
async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  requests.push(request.url ?? '');
  mostAtOnce = Math.max(mostAtOnce, ++atOnce);
  await new Promise((resolve) => setTimeout(resolve, 10));
  atOnce--;
  if (request.url?.startsWith('/denied')) response.writeHead(403).end();
  else if (request.url?.startsWith('/other')) response.writeHead(302, { location: 'https://example.org/x' }).end();
  else response.end(`content of ${request.url}`);
}
let port = 0;
let bucketPort = 0;
beforeAll(async () => {
  port = await serve(answer);
  bucketPort = await serve((request, response) => {
    const signed = request.headers.authorization?.startsWith('AWS4-HMAC-SHA256 Credential=me/');
    if (!signed) response.writeHead(403).end('<Error><Code>AccessDenied</Code></Error>');
    else if (request.url?.endsWith('expired')) response.writeHead(400).end('<Error><Code>ExpiredToken</Code></Error>');
    else if (request.url?.endsWith('moved')) response.writeHead(307, { location: 'http://127.0.0.1:1/' }).end();
    else response.end(`object ${request.url}`);
  }, 'http');
});

const stores: RemoteStore[] = [];
afterEach(() => Promise.all(stores.splice(0).map((store) => store.close())));
function openStore(options: RemoteOptions = {}): RemoteStore {
  const certificates = readFileSync(CERTIFICATE, 'utf8');
  const isAddressAllowed = (address: string): boolean => address === '127.0.0.1';
  const store = RemoteStore.open({ hosts: [`localhost:${port}`], certificates, isAddressAllowed, ...options });
  stores.push(store);
  return store;
}
/** Of a file on the disk. */
const pathOf = ({ source }: RemoteFile): string => ('path' in source ? source.path : 'in memory');
const at = (path: string): string => `https://localhost:${port}${path}`;

describe('RemoteStore', () => {
  it('fetches an address once, for all who ask for it, and removes its files at the end', async () => {
    const store = openStore();
    requests.length = 0;
    const files = await Promise.all(['/a.png', '/a.png', '/a.png#part', '/b.png'].map((path) => store.fetch(at(path))));
    files.push(await store.fetch(at('/a.png')));
    expect(requests.sort()).toEqual(['/a.png', '/b.png']);
    expect(new Set(files.map(pathOf)).size).toBe(2);
    expect(readFileSync(pathOf(files[0]), 'utf8')).toBe('content of /a.png');
    expect(files[0]).toMatchObject({ source: { name: `a.png at localhost:${port}` }, sha256: files[4].sha256 });
    for (const { release } of files) release();
    expect(existsSync(pathOf(files[0]))).toBe(true);
    await store.close();
    expect(existsSync(pathOf(files[0]))).toBe(false);
  });

  it('holds files in memory up to a bound, and writes those of more that nobody reads, the ones used longest ago first', async () => {
    const store = openStore();
    store.holdInMemory(2 * 'content of /1'.length);
    const first = await store.fetch(at('/1'));
    expect(first.source).toEqual({ bytes: Buffer.from('content of /1'), name: `1 at localhost:${port}` });
    for (const path of ['/2', '/3']) (await store.fetch(at(path))).release();
    requests.length = 0;
    const [second, third] = [await store.fetch(at('/2')), await store.fetch(at('/3'))];
    expect(readFileSync(pathOf(second), 'utf8')).toBe('content of /2');
    expect(third.source).toHaveProperty('bytes');
    for (const { release } of [first, second, third]) release();
    store.holdInMemory(0);
    for (const path of ['/1', '/2', '/3'])
      expect(readFileSync(pathOf(await store.fetch(at(path))), 'utf8')).toBe(`content of ${path}`);
    expect(requests).toEqual([]);
  });

  it('keeps to its number of connections', async () => {
    const store = openStore();
    mostAtOnce = 0;
    await Promise.all(Array.from({ length: 40 }, (_, i) => store.fetch(at(`/${i}`))));
    expect(mostAtOnce).toBeGreaterThan(1);
    expect(mostAtOnce).toBeLessThanOrEqual(8);
  });

  it('shares a failure like a file', async () => {
    const store = openStore();
    requests.length = 0;
    for (let i = 0; i < 2; i++) {
      await expect(store.fetch(at('/denied.png'))).rejects.toMatchObject({ code: 'ACCESS_DENIED', exitCode: 4 });
    }
    expect(requests).toEqual(['/denied.png']);
  });

  it.each([
    ['a host that is not allowed', 'https://example.org/a.png', /host example.org is not allowed/],
    ['the host with another port', 'https://localhost/a.png', /host localhost is not allowed/],
    ['a host that only ends alike', 'https://notlocalhost:1/a.png', /not allowed/],
    ['a bucket that is not allowed', 's3://bucket/a.png', /its bucket is not allowed/],
  ])('refuses %s', async (_, address, message) => {
    await expect(openStore().fetch(address)).rejects.toMatchObject({
      code: 'REMOTE_REFUSED',
      message: expect.stringMatching(message),
    });
  });

  it('checks the host of a redirect as well', async () => {
    await expect(openStore().fetch(at('/other'))).rejects.toMatchObject({
      code: 'REMOTE_REFUSED',
      message: expect.stringContaining('host example.org is not allowed'),
    });
  });

  it('refuses the loopback interface unless it is told otherwise, whatever hosts are allowed', async () => {
    const store = openStore({ hosts: [`127.0.0.1:${port}`, `localhost:${port}`], isAddressAllowed: undefined });
    for (const host of ['127.0.0.1', 'localhost']) {
      await expect(store.fetch(`https://${host}:${port}/a.png`)).rejects.toMatchObject({ code: 'REMOTE_REFUSED' });
    }
  });

  it('fetches objects from the endpoint it is given, signed', async () => {
    const endpoint = new URL(`http://127.0.0.1:${bucketPort}`);
    const s3 = { endpoint, region: 'us-east-1', credentials: { accessKeyId: 'me', secretAccessKey: 'secret' } };
    const store = openStore({ buckets: ['bucket'], s3, isAddressAllowed: undefined });
    const file = await store.fetch('s3://bucket/a b/c.png');
    expect(readFileSync(pathOf(file), 'utf8')).toBe('object /bucket/a%20b/c.png');
    await expect(store.fetch('s3://bucket/expired')).rejects.toMatchObject({ code: 'CREDENTIALS_INVALID' });
    await expect(store.fetch('s3://bucket/moved')).rejects.toMatchObject({ code: 'REMOTE_FAILED' });
    const anonymous = openStore({ buckets: ['bucket'], s3: { ...s3, credentials: null } });
    await expect(anonymous.fetch('s3://bucket/c.png')).rejects.toMatchObject({ code: 'ACCESS_DENIED' });
  });

  it.each(['https://example.org', 'example.org/path', 'user@example.org', 'a b', '', 'example.org?x'])(
    'takes %o for no host',
    (host) => {
      expect(() => RemoteStore.open({ hosts: [host] })).toThrow(expect.objectContaining({ code: 'USAGE' }));
    },
  );

  it('takes names as URLs spell them, and says what it allows', () => {
    const store = RemoteStore.open({
      hosts: ['EXAMPLE.org', 'b.example:8443', 'c.example:443'],
      buckets: ['bucket'],
      s3: { endpoint: null, region: 'us-east-1', credentials: null },
    });
    expect(store.rules).toBe('b.example:8443 c.example example.org s3:bucket');
    expect(() => RemoteStore.open({ buckets: ['Not A Bucket'] })).toThrow(expect.objectContaining({ code: 'USAGE' }));
  });
});
