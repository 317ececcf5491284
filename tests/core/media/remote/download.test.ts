import type { lookup } from 'node:dns';
import { readFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HpsError } from '../../../../src/core/errors.js';
import { isPublicAddress } from '../../../../src/core/media/remote/addresses.js';
import { Downloader, type DownloadOptions } from '../../../../src/core/media/remote/download.js';
import { CERTIFICATE, serve } from '../../../helpers/https-server.js';

const MAX_BYTES = 1000;
let port = 0;
const open: Downloader[] = [];
/** What each path answers. */
const ANSWERS: Record<string, (response: ServerResponse) => void> = {
  '/file': (r) => r.end('content'),
  '/whole': (r) => r.end(Buffer.alloc(MAX_BYTES, 1)),
  '/close': (r) => r.writeHead(200, { connection: 'close' }).end('content'),
  '/long': (r) => r.end(Buffer.alloc(MAX_BYTES + 1)),
  '/endless': (r) => {
    const timer = setInterval(() => r.write(Buffer.alloc(100)), 1);
    r.on('close', () => clearInterval(timer));
  },
  '/drip': (r) => {
    r.write('a');
    const timer = setInterval(() => r.write('a'), 20);
    r.on('close', () => clearInterval(timer));
  },
  '/silent': () => {},
  '/cut': (r) => {
    r.writeHead(200, { 'content-length': '100' });
    r.write('short');
    setTimeout(() => r.destroy(), 20);
  },
  '/gzip': (r) => r.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(Buffer.alloc(1_000_000))),
  '/not-modified': (r) => r.writeHead(304).end(),
  '/missing': (r) => r.writeHead(404).end('x'.repeat(200_000)),
  '/once': (r) => r.writeHead(302, { location: '/file' }).end(),
  '/three': (r) => r.writeHead(301, { location: '/two' }).end(),
  '/two': (r) => r.writeHead(307, { location: '/once' }).end(),
  '/four': (r) => r.writeHead(308, { location: '/three' }).end(),
  '/round': (r) => r.writeHead(302, { location: '/round' }).end(),
  '/to-metadata': (r) => r.writeHead(302, { location: 'https://169.254.169.254/latest' }).end(),
  '/to-file': (r) => r.writeHead(302, { location: 'file:///etc/passwd' }).end(),
  '/to-nothing': (r) => r.writeHead(302, { location: 'https://' }).end(),
  '/nowhere': (r) => r.writeHead(302).end(),
  '/with-body': (r) => r.writeHead(302, { location: '/file' }).end('x'.repeat(200)),
  '/long-body': (r) => {
    r.writeHead(302, { location: '/file' });
    const timer = setInterval(() => r.write('x'.repeat(1000)), 1);
    r.on('close', () => clearInterval(timer));
  },
  '/hints': (r) => {
    r.writeEarlyHints({ link: '</file>; rel=preload' });
    r.end('content');
  },
};

/** Requests so far, by path. */
const asked = new Map<string, number>();
/** Connections that requests came over. */
const connections = new Set<unknown>();
/** Answers of the first requests of a path; the next one gets the file. */
const AT_FIRST: Record<string, ((response: ServerResponse) => void)[]> = {
  '/busy': [(r) => r.writeHead(503).end(), (r) => r.writeHead(429, { 'retry-after': '2' }).end()],
  '/reset': [(r) => r.socket?.destroy()],
  '/until': [(r) => r.writeHead(503, { 'retry-after': new Date(Date.now() + 3900).toUTCString() }).end()],
  '/later': [(r) => r.writeHead(503, { 'retry-after': '3600' }).end()],
  '/down': Array(10).fill((r: ServerResponse) => r.writeHead(502).end()),
};

beforeAll(async () => {
  port = await serve((request, response) => {
    const path = request.url ?? '';
    const times = asked.get(path) ?? 0;
    asked.set(path, times + 1);
    connections.add(request.socket);
    const answer = path in AT_FIRST ? (AT_FIRST[path][times] ?? ANSWERS['/file']) : ANSWERS[path];
    answer?.(response);
  });
});
afterAll(() => Promise.all(open.map((downloader) => downloader.close())));

async function downloader(options: Partial<DownloadOptions> = {}): Promise<Downloader> {
  const made = await Downloader.open({
    isAddressAllowed: (address) => address === '127.0.0.1',
    certificates: readFileSync(CERTIFICATE, 'utf8'),
    timeoutMs: 5000,
    maxBytes: MAX_BYTES,
    pause: async () => true,
    ...options,
  });
  open.push(made);
  return made;
}

const request = (address: string) => ({
  url: new URL(address),
  name: 'a file',
  check: (url: URL) => {
    if (url.protocol !== 'https:') throw new HpsError('REMOTE_REFUSED', 'a file: leads elsewhere');
  },
  failure: (status: number, body: string) => new HpsError('REMOTE_FAILED', `HTTP ${status}, ${body.length} characters`),
});

/** Every name leads to these addresses, the next answer for each look-up. */
const resolver = (...answers: string[][]): typeof lookup =>
  ((_: string, __: object, callback: (error: null, addresses: object[]) => void) => {
    const addresses = answers.length > 1 ? answers.shift()! : answers[0];
    callback(
      null,
      addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    );
  }) as unknown as typeof lookup;

describe('Downloader', () => {
  it('gives the bytes, over redirects too', async () => {
    const get = await downloader();
    for (const path of ['/file', '/once', '/two', '/three', '/with-body', '/long-body', '/hints']) {
      const bytes = await get.get(request(`https://localhost:${port}${path}`));
      expect(Buffer.from(bytes).toString()).toBe('content');
    }
    expect(await get.get(request(`https://127.0.0.1:${port}/whole`))).toHaveLength(MAX_BYTES);
  });

  it('keeps a connection for what comes next, from redirects and failures too', async () => {
    const get = await downloader({ connections: 1 });
    connections.clear();
    for (const path of ['/file', '/three', '/with-body', '/hints', '/whole']) {
      await get.get(request(`https://localhost:${port}${path}`));
    }
    await expect(get.get(request(`https://localhost:${port}/not-modified`))).rejects.toThrow('HTTP 304');
    await get.get(request(`https://localhost:${port}/file`));
    expect(connections.size).toBe(1);
  });

  it.each([
    ['/long', 'REMOTE_FAILED', /longer than 1000 bytes/],
    ['/endless', 'REMOTE_FAILED', /longer than 1000 bytes/],
    ['/cut', 'REMOTE_FAILED', /cannot be fetched \(UND_ERR_/],
    ['/gzip', 'REMOTE_FAILED', /compressed/],
    ['/not-modified', 'REMOTE_FAILED', /HTTP 304/],
    ['/missing', 'REMOTE_FAILED', /HTTP 404, (?:1[6-9]|[2-9]\d)\d{3} characters/],
    ['/nowhere', 'REMOTE_FAILED', /HTTP 302/],
    ['/four', 'REMOTE_REFUSED', /more than 3 times/],
    ['/round', 'REMOTE_REFUSED', /more than 3 times/],
    ['/to-metadata', 'REMOTE_REFUSED', /not on the public internet/],
    ['/to-file', 'REMOTE_REFUSED', /leads elsewhere/],
    ['/to-nothing', 'REMOTE_REFUSED', /no address/],
  ])('refuses what %s answers', async (path, code, message) => {
    const get = await downloader();
    await expect(get.get(request(`https://localhost:${port}${path}`))).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });

  it('tries again what fails for a while, after a wait that grows and is no shorter than asked for', async () => {
    const waits: number[] = [];
    const pause = async (ms: number): Promise<boolean> => waits.push(ms) > 0;
    const get = await downloader({ pause });
    for (const path of ['/busy', '/reset', '/until']) {
      expect(Buffer.from(await get.get(request(`https://localhost:${port}${path}`))).toString()).toBe('content');
    }
    expect(waits.slice(0, 3)).toEqual([250, 2000, 250]);
    expect(waits[3]).toBeGreaterThan(250);
    expect(waits[3]).toBeLessThanOrEqual(3900);
    expect(waits).toHaveLength(4);
  });

  it.each([
    ['/down', 3, 'HTTP 502'],
    ['/later', 1, 'HTTP 503'],
    ['/missing', 1, 'HTTP 404'],
  ])('tries %s %i times, and then says what it answers', async (path, times, message) => {
    asked.delete(path);
    const get = await downloader();
    await expect(get.get(request(`https://localhost:${port}${path}`))).rejects.toMatchObject({
      code: 'REMOTE_FAILED',
      message: expect.stringContaining(message),
    });
    expect(asked.get(path)).toBe(times);
  });

  it('does not wait beyond the time for a download', async () => {
    asked.delete('/down');
    const get = await downloader({ timeoutMs: 100, pause: undefined });
    await expect(get.get(request(`https://localhost:${port}/down`))).rejects.toMatchObject({
      message: expect.stringMatching(/HTTP 502|within 0.1 s/),
    });
    expect(asked.get('/down') ?? 0).toBeLessThanOrEqual(1);
  });

  it.each(['/drip', '/silent'])('waits for %s no longer than its limit, however it trickles', async (path) => {
    const get = await downloader({ timeoutMs: 200 });
    await expect(get.get(request(`https://localhost:${port}${path}`))).rejects.toMatchObject({
      code: 'REMOTE_FAILED',
      message: expect.stringContaining('within 0.2 s'),
    });
  });

  it.each([
    '127.0.0.1',
    'localhost',
    '[::1]',
    '[::ffff:127.0.0.1]',
    '2130706433',
    '0177.0.0.1',
    '0x7f.1',
    '①②⑦.⓪.⓪.①',
    '0.0.0.0',
    '169.254.169.254',
    '[fd00:ec2::254]',
    '[64:ff9b::7f00:1]',
    '100.64.0.1',
    'user@127.0.0.1',
  ])('by default connects to no address of its own networks: %s', async (host) => {
    const get = await downloader({ isAddressAllowed: isPublicAddress });
    await expect(get.get(request(`https://${host}:${port}/file`))).rejects.toMatchObject({
      code: 'REMOTE_REFUSED',
      message: expect.stringContaining('not on the public internet'),
    });
  });

  it.each([
    ['a private address', ['10.0.0.1']],
    ['the loopback interface, as localhost. does', ['127.0.0.1']],
    ['a public and a private one', ['127.0.0.9', '10.0.0.1']],
    ['a public one and one of the other family', ['127.0.0.9', '::1']],
    ['none', []],
  ])('refuses a name that leads to %s', async (_, addresses) => {
    const isAddressAllowed = (address: string): boolean => address === '127.0.0.9';
    const get = await downloader({ resolve: resolver(addresses), isAddressAllowed });
    await expect(get.get(request(`https://media.test:${port}/file`))).rejects.toMatchObject({ code: 'REMOTE_REFUSED' });
  });

  it('connects to the address that was looked at, and looks again for each connection', async () => {
    const get = await downloader({ resolve: resolver(['127.0.0.1'], ['127.0.0.2']) });
    expect(await get.get(request(`https://media.test:${port}/close`))).toHaveLength(7);
    await expect(get.get(request(`https://media.test:${port}/close`))).rejects.toMatchObject({
      code: 'REMOTE_REFUSED',
    });
  });

  it('takes no certificate but those it trusts', async () => {
    const get = await downloader({ certificates: undefined });
    await expect(get.get(request(`https://localhost:${port}/file`))).rejects.toMatchObject({
      code: 'REMOTE_FAILED',
      message: expect.stringMatching(/DEPTH_ZERO_SELF_SIGNED_CERT/),
    });
  });

  it('says what failed where nobody listens', async () => {
    const get = await downloader();
    await expect(get.get(request('https://localhost:1/file'))).rejects.toMatchObject({
      code: 'REMOTE_FAILED',
      message: expect.stringContaining('ECONNREFUSED'),
    });
  });
});
