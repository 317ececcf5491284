import { lookup as resolveName } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { Agent } from 'undici';
import { HpsError, systemErrorCode } from '../../errors.js';
import { LIMITS } from '../../limits.js';
import { type Answer, type AnswerHeaders, ask } from './ask.js';
import { refused } from './location.js';

export interface DownloadOptions {
  /** Whether an IP address may be connected to. */
  readonly isAddressAllowed: (address: string) => boolean;
  /** Certificates to trust instead of the built-in ones, as PEM. */
  readonly certificates?: string;
  /** Looks host names up; the system's by default. */
  readonly resolve?: typeof resolveName;
  /** Milliseconds for one download, all redirects and tries together. Default `LIMITS.remoteMs`. */
  readonly timeoutMs?: number;
  /** Default `LIMITS.remoteBytes`. */
  readonly maxBytes?: number;
  /** To one host, at most. Default `LIMITS.remoteConnections`. */
  readonly connections?: number;
  /** Waits before another try; false where the signal ended the wait. */
  readonly pause?: (ms: number, signal: AbortSignal) => Promise<boolean>;
}

/** One request, as its caller wants it done. */
export interface DownloadRequest {
  readonly url: URL;
  /** What errors call it. */
  readonly name: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Whether the host is the user's own word, and may have any address. */
  readonly trusted?: boolean;
  /** Throws where an address may not be asked for: the first one, and each that an answer leads on to. */
  readonly check?: (url: URL) => void;
  /** The error for an answer that is not 200, and leads nowhere. */
  readonly failure: (status: number, body: string) => HpsError;
}

export const REDIRECTS = new Set([301, 302, 303, 307, 308]);
/** Answers that another try may change: too many requests, and what is wrong on the other side for a while. */
export const TRANSIENT_STATUSES = new Set([429, 500, 502, 503, 504]);
/** The same of connections: reset or closed in the middle, a name server that is busy. */
export const TRANSIENT_CAUSES = new Set(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET', 'EAI_AGAIN']);

/** HTTP GET with bounds on bytes, time, redirects, tries and addresses. Close it when done. */
export class Downloader {
  private constructor(
    private readonly checked: Agent,
    private readonly unchecked: Agent,
    private readonly isAddressAllowed: DownloadOptions['isAddressAllowed'],
    private readonly timeoutMs: number,
    private readonly maxBytes: number,
    private readonly pause: NonNullable<DownloadOptions['pause']>,
  ) {}

  static async open(options: DownloadOptions): Promise<Downloader> {
    const { isAddressAllowed, certificates: ca, resolve = resolveName } = options;
    const { timeoutMs = LIMITS.remoteMs, maxBytes = LIMITS.remoteBytes, pause = pauseFor } = options;
    const { connections = LIMITS.remoteConnections } = options; // one is free a moment after its answer: without a bound another is opened
    const { Agent } = await import('undici');
    const checked = new Agent({ connections, connect: { ca, lookup: checkedLookup(isAddressAllowed, resolve) } });
    const unchecked = new Agent({ connections, connect: { ca } });
    return new Downloader(checked, unchecked, isAddressAllowed, timeoutMs, maxBytes, pause);
  }

  /**
   * The bytes behind an address. What fails for a while only is tried again, as long as the time for it lasts.
   * @throws HpsError REMOTE_REFUSED for a host, address or redirect that is not allowed; REMOTE_FAILED for what does not
   *   come whole, within the limits; what `failure` makes of an answer
   */
  async get(request: DownloadRequest): Promise<Uint8Array> {
    const signal = AbortSignal.timeout(this.timeoutMs);
    for (let tries = 1; ; tries++) {
      try {
        return await this.follow(request, signal);
      } catch (error) {
        const waitMs = tries < LIMITS.remoteTries ? waitBeforeNext(error, tries) : null;
        const again = waitMs !== null && !signal.aborted && (await this.pause(waitMs, signal));
        if (!again) throw this.explain(error, request.name, signal);
      }
    }
  }

  async close(): Promise<void> {
    await Promise.all([this.checked.destroy(), this.unchecked.destroy()]);
  }

  private async follow(request: DownloadRequest, signal: AbortSignal): Promise<Uint8Array> {
    const { name, trusted = false, failure } = request;
    let { url } = request;
    for (let hop = 0; ; hop++) {
      request.check?.(url);
      const { status, headers, bytes } = await this.send(url, request, signal);
      if (status === 200) return bytes;
      const { location } = headers;
      const leadsOn = !trusted && REDIRECTS.has(status) && typeof location === 'string';
      if (!leadsOn) {
        const error = failure(status, bytes.toString('latin1'));
        throw TRANSIENT_STATUSES.has(status) ? new TransientFailure(error, retryAfterMs(headers)) : error;
      }
      if (hop === LIMITS.remoteRedirects)
        throw refused(name, `is redirected more than ${LIMITS.remoteRedirects} times`);
      if (!URL.canParse(location, url.href)) throw refused(name, 'is redirected to what is no address');
      url = new URL(location, url);
    }
  }

  private async send(
    url: URL,
    { name, headers, trusted = false }: DownloadRequest,
    signal: AbortSignal,
  ): Promise<Answer> {
    const host = url.hostname.replace(/^\[|\]$/g, '');
    // An address that needs no look-up never reaches the look-up's check.
    if (!trusted && isIP(host) !== 0 && !this.isAddressAllowed(host)) throw refusedAddress(name);
    return ask(trusted ? this.unchecked : this.checked, {
      url,
      headers: { 'accept-encoding': 'identity', 'user-agent': 'hpsv3', ...headers },
      signal,
      check: (answered, bytesSoFar) => assertFits(answered, bytesSoFar, name, this.maxBytes),
      errorBytes: LIMITS.remoteErrorBytes,
    });
  }

  private explain(error: unknown, name: string, signal: AbortSignal): unknown {
    if (error instanceof RefusedAddress) return refusedAddress(name);
    if (error instanceof TransientFailure) return error.failure;
    if (error instanceof HpsError) return error;
    if (signal.aborted) return failed(name, `did not come whole within ${this.timeoutMs / 1000} s`, error);
    return failed(name, `cannot be fetched (${systemErrorCode(error) ?? 'the connection failed'})`, error);
  }
}

/** @param bytesSoFar - of the body; undici fails where the header's length is not kept */
function assertFits(headers: AnswerHeaders, bytesSoFar: number, name: string, maxBytes: number): void {
  const encoding = headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity') throw failed(name, 'comes compressed, though it was not asked for so');
  const isLonger = bytesSoFar > maxBytes || Number(headers['content-length'] ?? 0) > maxBytes;
  if (isLonger) throw failed(name, `is longer than ${maxBytes} bytes`);
}

/** A look-up that ended at an address which is not allowed. */
export class RefusedAddress extends Error {}

/** An answer that another try may change. */
class TransientFailure extends Error {
  constructor(
    /** What it is where no try changes it. */
    readonly failure: HpsError,
    /** How long the other side asks to wait; 0 where it does not. */
    readonly retryAfterMs: number,
  ) {
    super(failure.message);
  }
}

/** Milliseconds: twice as long after each try, and no less than the other side asks for. Null for what is not worth another try. */
function waitBeforeNext(error: unknown, tries: number): number | null {
  const transient = error instanceof TransientFailure;
  if (!transient && !TRANSIENT_CAUSES.has(systemErrorCode(error) ?? '')) return null;
  const waitMs = Math.max(LIMITS.remoteBackoffMs * 2 ** (tries - 1), transient ? error.retryAfterMs : 0);
  return waitMs <= LIMITS.remoteRetryAfterMs ? waitMs : null;
}

/** Of the header `Retry-After`, in seconds or as a date (RFC 9110, 10.2.3). */
export function retryAfterMs({ 'retry-after': header }: AnswerHeaders): number {
  if (typeof header !== 'string') return 0;
  const ms = /^\d+$/.test(header) ? 1000 * Number(header) : Date.parse(header) - Date.now();
  return Number.isNaN(ms) ? 0 : Math.max(0, ms);
}

/** Waits; false where the signal ended the wait. */
export const pauseFor = (ms: number, signal: AbortSignal): Promise<boolean> =>
  delay(ms, true, { signal }).catch(() => false);

/** Every address of the name must be allowed: a mixed answer is an attempt. The connection goes to those that were looked at. */
export const checkedLookup =
  (isAllowed: (address: string) => boolean, resolve: typeof resolveName): LookupFunction =>
  (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      if (error) return callback(error, '', 0);
      if (addresses.length === 0 || !addresses.every(({ address }) => isAllowed(address))) {
        return callback(new RefusedAddress('the name leads to an address that is not allowed'), '', 0);
      }
      if (options.all) return callback(null, addresses);
      callback(null, addresses[0].address, addresses[0].family);
    });
  };

/** The error for it. */
export const refusedAddress = (name: string): HpsError => refused(name, 'its host is not on the public internet');

const failed = (name: string, rule: string, cause?: unknown): HpsError =>
  new HpsError('REMOTE_FAILED', `${name}: ${rule}`, {
    hint: 'Check the address, or download the file and give its path.',
    details: { file: name, rule },
    cause,
  });
