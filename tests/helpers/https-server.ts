import { readFileSync } from 'node:fs';
import { createServer as createHttp, type RequestListener } from 'node:http';
import { createServer as createHttps } from 'node:https';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterAll } from 'vitest';

const golden = (name: string): string => fileURLToPath(new URL(`../golden/remote/${name}`, import.meta.url));

/** Path of the certificate of `serve`: for localhost, media.test and 127.0.0.1. */
export const CERTIFICATE = golden('certificate.pem');

/** A server on the loopback interface, ended after all tests of the file; its port. */
export async function serve(listener: RequestListener, scheme: 'http' | 'https' = 'https'): Promise<number> {
  const tls = { key: readFileSync(golden('key.pem')), cert: readFileSync(CERTIFICATE) };
  const server = scheme === 'https' ? createHttps(tls, listener) : createHttp(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}
