import { setTimeout as sleep } from 'node:timers/promises';
import { HpsError } from '../../errors.js';
import type { Run } from '../../run.js';
import { createLog, type LOG_LEVELS } from '../../serving/log.js';
import { createServer, type ServerOptions } from '../../serving/server.js';

export interface ServeOptions extends Run, Omit<ServerOptions, 'log' | 'onWarning'> {
  readonly host: string;
  readonly port: number;
  readonly logLevel: (typeof LOG_LEVELS)[number];
  /** Seconds between saying that it is not ready and taking no more requests. */
  readonly drainDelay: number;
  /** Called once it takes requests. */
  readonly onListening?: (address: ServeAddress) => void;
}

export interface ServeAddress {
  readonly url: string;
  readonly models: readonly { readonly name: string; readonly sha256: string }[];
}

export interface ServeReport extends ServeAddress {
  readonly seconds: number;
}

const STANDARD_ERROR = 2;

/**
 * Serves models until the signal stops it; then every request it has taken is answered before it ends.
 * @throws HpsError as `createServer`; USAGE for an address that cannot be listened on
 */
export async function serve(options: ServeOptions): Promise<ServeReport> {
  const { host, port, logLevel, drainDelay, signal, onListening, ...rest } = options;
  const started = performance.now();
  const log = createLog(logLevel, STANDARD_ERROR);
  const server = await createServer({ ...rest, log });
  try {
    signal?.throwIfAborted();
    const bound = await server.listen({ host, port }).catch((error: unknown) => {
      throw cannotListen(host, port, error);
    });
    const address = {
      url: `http://${bound.host.includes(':') ? `[${bound.host}]` : bound.host}:${bound.port}`,
      models: server.models,
    };
    log.info(address, 'listening');
    onListening?.(address);
    await stopped(signal);
    server.drain();
    log.info({}, 'draining');
    await sleep(1000 * drainDelay);
    return { ...address, seconds: (performance.now() - started) / 1000 };
  } finally {
    await server.close();
    log.info({}, 'ended');
  }
}

const stopped = (signal: AbortSignal | undefined): Promise<void> =>
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
