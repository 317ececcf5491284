import { randomUUID } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { readWhole } from '../documents/read-whole.js';
import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import type { Answer } from './dialect.js';
import { RequestError } from './failure.js';

/** What every server of ours stands on, whatever it serves. */

export type { FastifyInstance as HttpApp, FastifyReply as HttpReply, FastifyRequest as HttpRequest };

/** Bounds of connections, each with a default that suits most. */
export interface HttpLimits {
  /** For the answer to a request, from its arrival: 60 s. */
  readonly deadlineMs: number;
  /** Open connections: 1024. */
  readonly connections: number;
}

/** PEM of certificate and key, or the paths of such files: HTTPS instead of HTTP. */
export interface Tls {
  readonly cert: string;
  readonly key: string;
}

/** What the files hold. @throws HpsError FILE_NOT_FOUND, FILE_UNREADABLE, CONFIG_INVALID */
export const readTls = ({ cert, key }: Tls): Tls => ({ cert: readPem(cert), key: readPem(key) });

const readPem = (path: string): string =>
  Buffer.from(
    readWhole(path, { limit: LIMITS.configBytes, what: 'a PEM file', hint: 'Give `cert` and `key` PEM files.' }).bytes,
  ).toString();

const HEADERS_MS = 5000;
const HEADER_BYTES = 16 * 1024;
/** How often connections that are too slow are looked for. */
const CHECK_MS = 1000;
/** A connection on which nothing moves, either way, for this long beyond the deadline is closed. */
const STALLED_MS = 60_000;

/** An application without routes: bodies are read by whoever handles a route, since clients send them with any content type, or none. */
export function createApp({ deadlineMs, connections }: HttpLimits, tls: Tls | null): FastifyInstance {
  const app = fastify({
    logger: false,
    genReqId: ({ headers }) => requestId(headers['x-request-id']),
    connectionTimeout: deadlineMs + STALLED_MS,
    requestTimeout: 0, // bodies have a time of their own, and a stream takes as long as it takes
    forceCloseConnections: 'idle',
    return503OnClosing: false, // what still comes over an open connection is answered, and ends it
    http: { headersTimeout: HEADERS_MS, connectionsCheckingInterval: CHECK_MS, maxHeaderSize: HEADER_BYTES },
    ...(tls ? { https: { ...tls, headersTimeout: HEADERS_MS, connectionsCheckingInterval: CHECK_MS } } : {}),
    routerOptions: { maxParamLength: 200 },
    exposeHeadRoutes: false,
  }) as unknown as FastifyInstance;
  app.server.maxConnections = connections;
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, _payload, done) => done(null));
  return app;
}

/** Where a server listens. */
export interface Bound {
  readonly host: string;
  readonly port: number;
}

export const urlOf = ({ host, port }: Bound, tls: Tls | null | undefined): string =>
  `${tls ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${port}`;

/** @throws HpsError USAGE for an address that cannot be listened on */
export async function listenAt(app: FastifyInstance, { host, port }: Bound): Promise<Bound> {
  try {
    await app.listen({ host, port });
  } catch (error) {
    throw cannotListen(host, port, error);
  }
  const { address, port: actual } = app.server.address() as AddressInfo;
  return { host: address, port: actual };
}

/** Once the signal says that it is time to end. */
export const stopped = (signal: AbortSignal | undefined): Promise<void> =>
  new Promise((resolve) => {
    if (signal?.aborted) resolve();
    signal?.addEventListener('abort', () => resolve(), { once: true });
  });

function cannotListen(host: string, port: number, cause: unknown): HpsError {
  const { code } = cause as { code?: string };
  return new HpsError('USAGE', `cannot listen on ${host}:${port} (${code})`, {
    hint:
      code === 'EADDRINUSE'
        ? 'Something listens there already: choose another `port`.'
        : 'Choose another `host` or `port`.',
    details: { host, port, system: code },
    cause,
  });
}

export function send(
  { status = 200, headers = {}, type, body }: Answer,
  id: string,
  reply: FastifyReply,
): FastifyReply {
  reply.code(status).headers({ 'x-content-type-options': 'nosniff', 'x-request-id': id, ...headers });
  const isPlain = typeof body === 'object' && !(body instanceof Uint8Array) && !(body instanceof Readable);
  reply.type(type ?? 'application/json');
  return reply.send(isPlain ? JSON.stringify(body) : body);
}

export const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);

/**
 * A page in a browser on this machine can send requests here, and by a name that resolves to 127.0.0.1 even read the answers.
 * @throws RequestError FORBIDDEN for a request that names another host, or comes from another origin
 */
export function assertFromHere(request: FastifyRequest): void {
  if (isLoopback(request.hostname.replace(/^\[|\]$/g, '')) && isOwnOrigin(request)) return;
  throw new RequestError('FORBIDDEN', 'without tokens, requests are taken for this machine by its own name alone');
}

/** Whether no page of another origin has sent it. */
export const isOwnOrigin = ({ headers: { origin }, host }: FastifyRequest): boolean =>
  origin === undefined || origin === `http://${host}` || origin === `https://${host}`;

/** The client's own id where it is one that may stand in a header and a log. */
const requestId = (given: string | string[] | undefined): string =>
  typeof given === 'string' && /^[\w.:-]{1,128}$/.test(given) ? given : randomUUID();
