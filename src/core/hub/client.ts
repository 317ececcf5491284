import { setMaxListeners } from 'node:events';
import { isIP } from 'node:net';
import type { Agent, Dispatcher } from 'undici';
import { HpsError, systemErrorCode } from '../errors.js';
import { LIMITS } from '../limits.js';
import { isPublicAddress } from '../media/remote/addresses.js';
import {
  checkedLookup,
  pauseFor,
  REDIRECTS,
  RefusedAddress,
  refusedAddress,
  retryAfterMs,
  TRANSIENT_CAUSES,
  TRANSIENT_STATUSES,
} from '../media/remote/download.js';
import { refused } from '../media/remote/location.js';

export interface ClientOptions {
  /** Hosts (`example.org`, `example.org:8443`) that may have any address, and be asked over http. */
  readonly hosts?: readonly string[];
  /** Whether any other host may have an address; by default public unicast ones only. */
  readonly isAddressAllowed?: (address: string) => boolean;
  readonly signal?: AbortSignal;
  /** Waits before another try; false where the signal ended the wait. */
  readonly pause?: (ms: number, signal: AbortSignal) => Promise<boolean>;
}

/** One GET, or HEAD. */
export interface ClientRequest {
  readonly url: URL;
  /** What errors call it. */
  readonly name: string;
  readonly method?: 'GET' | 'HEAD';
  /** Sent to the origin of `url`, and to no other that an answer leads on to. */
  readonly authorization?: string | null;
  /** Headers of one try, signed over it. */
  readonly sign?: (headers: Readonly<Record<string, string>>) => Record<string, string>;
  /** Whether the host is the user's own word, and may have any address. */
  readonly trusted?: boolean;
  /** Whether answers that lead on are followed. Default true. */
  readonly follow?: boolean;
  /** From `start` to before `end`, of a file of `size` bytes; null where that is not known: then a host without ranges sends nothing. */
  readonly range?: { readonly start: number; readonly end: number; readonly size: number | null };
  /** Most bytes of an answer without a range. Default `LIMITS.hubAnswerBytes`. */
  readonly maxBytes?: number;
}

type Headers = Readonly<Record<string, string | string[] | undefined>>;

export interface Reply {
  /** 200, 206 for a range, or whatever else no other try changes. */
  readonly status: number;
  /** Of the last answer. */
  readonly headers: Headers;
  /** Of the first one, which may lead on to another host. */
  readonly first: Headers;
  /** The body; of a failure its beginning. */
  readonly bytes: Uint8Array;
  readonly url: URL;
}

/** HTTP with ranges that are resumed, tries that are bounded, and the rules for addresses. Close it when done. */
export class Client {
  /** Where files were found lastly: links of a content network serve until they expire. */
  private readonly routes = new Map<string, { readonly url: URL; readonly first: Headers }>();

  private constructor(
    private readonly request: typeof import('undici').request,
    private readonly checked: Agent,
    private readonly unchecked: Agent,
    private readonly options: ClientOptions,
    private readonly signal: AbortSignal,
  ) {}

  static async open(options: ClientOptions = {}): Promise<Client> {
    const { Agent, request } = await import('undici');
    const { isAddressAllowed = isPublicAddress } = options;
    const signal = AbortSignal.any(options.signal ? [options.signal] : []);
    setMaxListeners(0, signal); // one for every request on its way
    const limits = { headersTimeout: LIMITS.hubStallMs, bodyTimeout: LIMITS.hubStallMs };
    const connect = { timeout: LIMITS.hubConnectMs };
    const { lookup } = await import('node:dns');
    const checked = new Agent({ ...limits, connect: { ...connect, lookup: checkedLookup(isAddressAllowed, lookup) } });
    const unchecked = new Agent({ ...limits, connect });
    return new Client(request, checked, unchecked, options, signal);
  }

  /**
   * The answer, whole. What fails for a while only is tried again, and goes on where it was cut.
   * @throws HpsError REMOTE_REFUSED for a host, address or redirect that is not allowed; REMOTE_FAILED for what does not come whole
   */
  async get(request: ClientRequest): Promise<Reply> {
    const body = new Body(request);
    for (let tries = 1; ; tries++) {
      const before = body.length;
      let failure: unknown;
      let waitMs = LIMITS.remoteBackoffMs * 2 ** (tries - 1);
      try {
        const reply = await this.follow(request, body);
        if (!TRANSIENT_STATUSES.has(reply.status)) {
          if (reply.status !== 206 || body.isWhole) return reply;
        } else if (tries === LIMITS.hubTries) return reply;
        else waitMs = Math.max(waitMs, retryAfterMs(reply.headers));
        if (waitMs > LIMITS.hubRetryAfterMs) return reply;
      } catch (error) {
        this.signal.throwIfAborted();
        failure = error;
        if (!isTransient(error)) throw this.explain(error, request.name);
      }
      if (body.length > before) tries = 0;
      else if (tries >= LIMITS.hubTries) throw this.explain(failure, request.name);
      const { pause = pauseFor } = this.options;
      if (tries > 0 && !(await pause(waitMs, this.signal))) this.signal.throwIfAborted();
    }
  }

  async close(): Promise<void> {
    await Promise.all([this.checked.destroy(), this.unchecked.destroy()]);
  }

  /** One try: from hop to hop to the answer that leads no further. */
  private async follow(request: ClientRequest, body: Body): Promise<Reply> {
    const { name, follow = true } = request;
    const known = follow && request.range ? this.routes.get(request.url.href) : undefined;
    let url = known?.url ?? request.url;
    let first = known?.first;
    for (let hop = 0; ; hop++) {
      const response = await this.send(url, request, body);
      const { statusCode: status, headers } = response;
      response.body.on('error', () => undefined); // destroyed before its end it tells so; whoever reads it hears of failures anyway
      first ??= headers;
      const location = headers.location;
      if (!follow || !REDIRECTS.has(status) || typeof location !== 'string') {
        if (known !== undefined && status >= 400 && !TRANSIENT_STATUSES.has(status)) {
          response.body.destroy();
          this.routes.delete(request.url.href);
          return await this.follow(request, body);
        }
        if (hop > 0 && status === 206) this.routes.set(request.url.href, { url, first });
        const bytes = status === 200 || status === 206 ? await body.read(response) : await beginning(response);
        return { status, headers, first, bytes, url };
      }
      response.body.destroy();
      if (hop === LIMITS.hubRedirects) throw refused(name, `is redirected more than ${LIMITS.hubRedirects} times`);
      if (!URL.canParse(location, url.href)) throw refused(name, 'is redirected to what is no address');
      url = new URL(location, url);
      url.hash = '';
    }
  }

  private send(url: URL, request: ClientRequest, body: Body): Promise<Dispatcher.ResponseData> {
    const { authorization, sign, method = 'GET' } = request;
    const trusted = this.checkUrl(url, request);
    const isOwn = url.origin === request.url.origin;
    const range = body.range;
    const wanted: Record<string, string> = range === null ? {} : { range };
    return this.request(url, {
      dispatcher: trusted ? this.unchecked : this.checked,
      method,
      headers: {
        'accept-encoding': 'identity',
        'user-agent': 'hpsv3',
        ...(isOwn && authorization ? { authorization } : {}),
        ...(sign && isOwn ? sign(wanted) : wanted),
      },
      signal: this.signal,
    });
  }

  /** @returns whether the host may have any address */
  private checkUrl(url: URL, { url: asked, trusted = false, name }: ClientRequest): boolean {
    if (url.username !== '' || url.password !== '') throw refused(name, 'leads to an address that holds credentials');
    const own = (trusted && url.host === asked.host) || (this.options.hosts ?? []).includes(url.host);
    if (url.protocol !== 'https:' && !(url.protocol === 'http:' && own)) {
      throw refused(
        name,
        `leads to ${url.protocol}//…, and only https:// is fetched`,
        'Allow the host with `remote.hosts`, if it is yours.',
      );
    }
    if (own) return true;
    const host = url.hostname.replace(/^\[|\]$/g, '');
    // An address that needs no look-up never reaches the look-up's check.
    const { isAddressAllowed = isPublicAddress } = this.options;
    if (isIP(host) !== 0 && !isAddressAllowed(host)) throw privateAddress(name);
    return false;
  }

  private explain(error: unknown, name: string): unknown {
    if (error instanceof RefusedAddress) return privateAddress(name);
    if (error instanceof HpsError) return error;
    const code = systemErrorCode(error);
    const unreachable = code !== undefined && UNREACHABLE.has(code);
    return new HpsError(
      'REMOTE_FAILED',
      `${name}: ${unreachable ? 'its host cannot be reached' : 'does not come whole'} (${code ?? 'the connection was cut'})`,
      {
        hint: unreachable
          ? 'Check the network and the address; what `hubCache` fetched before can be used with HF_HUB_OFFLINE=1.'
          : 'Run the command again, or download the file and give its path.',
        details: { file: name, ...(code === undefined ? {} : { cause: code }), unreachable },
        cause: error,
      },
    );
  }
}

const privateAddress = (name: string): HpsError => {
  const { code, message, details } = refusedAddress(name);
  return new HpsError(code, message, {
    hint: 'Allow it with `remote.hosts` HOST[:PORT], if the host is yours.',
    details,
  });
};

const UNREACHABLE = new Set([
  'ENOTFOUND',
  'EAI_AGAIN',
  'ECONNREFUSED',
  'ENETUNREACH',
  'EHOSTUNREACH',
  'ENETDOWN',
  'ETIMEDOUT',
  'UND_ERR_CONNECT_TIMEOUT',
]);
/** What cuts an answer that had begun, or that was on its way. */
const CUT = new Set([
  'UND_ERR_BODY_TIMEOUT',
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_RES_CONTENT_LENGTH_MISMATCH',
  'ETIMEDOUT',
  'UND_ERR_ABORTED',
]);

function isTransient(error: unknown): boolean {
  if (error instanceof CutShort) return true;
  const code = systemErrorCode(error) ?? '';
  return TRANSIENT_CAUSES.has(code) || CUT.has(code) || code.startsWith('HPE_');
}

/** A range that ended before its end, though the connection did not say so. */
class CutShort extends Error {}

/** Enough of an answer to tell why it is not what was asked for. */
async function beginning({ body }: Dispatcher.ResponseData): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of body as AsyncIterable<Uint8Array>) {
    pieces.push(piece);
    length += piece.byteLength;
    if (length >= LIMITS.remoteErrorBytes) break;
  }
  body.destroy();
  return Buffer.concat(pieces, length);
}

/** What has come of an answer, over all tries. */
class Body {
  length = 0;
  private readonly bytes: Uint8Array | null;

  constructor(private readonly request: ClientRequest) {
    const { range } = request;
    this.bytes = range ? new Uint8Array(range.end - range.start) : null;
  }

  get isWhole(): boolean {
    return this.bytes === null || this.length === this.bytes.byteLength;
  }

  /** What is still to be asked for; null for all. */
  get range(): string | null {
    const { range } = this.request;
    return range ? `bytes=${range.start + this.length}-${range.end - 1}` : null;
  }

  async read(response: Dispatcher.ResponseData): Promise<Uint8Array> {
    const { headers, body, statusCode } = response;
    const { name } = this.request;
    try {
      if ((headers['content-encoding'] ?? 'identity') !== 'identity')
        throw failed(name, 'comes compressed, though it was not asked for so');
      if (statusCode === 206 && this.bytes !== null) await this.readRange(response);
      else return await this.readAll(response);
      return this.bytes ?? new Uint8Array(0);
    } finally {
      body.destroy();
    }
  }

  private async readRange({ headers, body }: Dispatcher.ResponseData): Promise<void> {
    const { range, name } = this.request;
    const [, from, to, size] = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(String(headers['content-range'] ?? '')) ?? [];
    if (range!.size !== null && size !== undefined && size !== '*' && Number(size) !== range!.size) throw changed(name);
    if (Number(from) !== range!.start + this.length || Number(to) >= range!.end)
      throw failed(name, 'comes with other bytes than were asked for');
    const target = this.bytes!;
    for await (const piece of body as AsyncIterable<Uint8Array>) {
      if (this.length + piece.byteLength > target.byteLength)
        throw failed(name, 'comes with more bytes than were asked for');
      target.set(piece, this.length);
      this.length += piece.byteLength;
    }
    if (this.length < target.byteLength) throw new CutShort();
  }

  /** All of the file, also where a part was asked for. */
  private async readAll({ headers, body }: Dispatcher.ResponseData): Promise<Uint8Array> {
    const { range, name, maxBytes = LIMITS.hubAnswerBytes, method } = this.request;
    if (method === 'HEAD' || range?.size === null) return new Uint8Array(0);
    const most = range?.size ?? maxBytes;
    if (range && most > LIMITS.hubUnrangedBytes)
      throw failed(
        name,
        'its host answers with all of it where a part was asked for',
        'Download the file and give its path: this host does not know ranges.',
      );
    if (Number(headers['content-length'] ?? 0) > most)
      throw range ? changed(name) : failed(name, `is longer than ${most} bytes`);
    const pieces: Uint8Array[] = [];
    let length = 0;
    for await (const piece of body as AsyncIterable<Uint8Array>) {
      length += piece.byteLength;
      if (length > most) throw range ? changed(name) : failed(name, `is longer than ${most} bytes`);
      pieces.push(piece);
    }
    if (range && length !== most) throw new CutShort();
    return Buffer.concat(pieces);
  }
}

export const changed = (name: string): HpsError =>
  failed(name, 'changed while it was read', 'Run the command again: nothing was written.');

export const failed = (
  name: string,
  rule: string,
  hint = 'Check the address, or download the file and give its path.',
): HpsError => new HpsError('REMOTE_FAILED', `${name}: ${rule}`, { hint, details: { file: name, rule } });
