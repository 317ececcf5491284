import { createHash } from 'node:crypto';
import { HpsError } from '../errors.js';
import { parseAs, parseBody, readBody } from '../serving/body.js';
import type { Answer as HttpAnswer } from '../serving/dialect.js';
import { failureOf, RequestError } from '../serving/failure.js';
import {
  assertFromHere,
  type Bound,
  createApp,
  type HttpApp,
  type HttpReply,
  type HttpRequest,
  isLoopback,
  isOwnOrigin,
  listenAt,
  send,
  type Tls,
} from '../serving/http.js';
import { redactedPath, type ServerLog } from '../serving/log.js';
import { problem } from '../serving/problem.js';
import * as z from '../zod.js';
import type { Consent } from './consent.js';
import { type Desk, type Refusal, VoteRefused } from './desk.js';
import { CONTENT_SECURITY_POLICY, PAGES, pageFile } from './page.js';
import type { Raters, Visitor } from './raters.js';
import type { Shelf } from './shelf.js';
import { RATER_ID, VOTE_ID } from './vote.js';
import { type AdminFigures, ANSWERS } from './wire.js';

export interface LabelServerOptions {
  readonly desk: Desk;
  readonly shelf: Shelf;
  readonly raters: Raters;
  readonly consent: Consent | null;
  /** Whether whoever opens the page may take part, without an invitation. */
  readonly open: boolean;
  /** Names the cookie: sessions on one host, which cookies do not tell apart by their ports, each have their own. */
  readonly name: string;
  /** What the page of an administrator shows, and the files it offers. */
  readonly admin: AdminDesk;
  readonly tls: Tls | null;
  readonly log: ServerLog;
}

export interface AdminDesk {
  figures(): Promise<AdminFigures>;
  /** Makes an invitation for a rater. @returns its secret */
  invite(): Promise<string>;
  /** Lets a rater go on who was paused for its answers on gold. @returns whether it was paused */
  resume(rater: string): Promise<boolean>;
  /** A file of what was collected; null where there is none of this name. */
  download(name: string): Promise<{ readonly type: string; readonly body: string } | null>;
}

const LIMITS = { deadlineMs: 30_000, connections: 1024 };
const BODY = { bytes: 64 * 1024, ms: 15_000 };
const COOKIE_SECONDS = 90 * 24 * 3600;

const voteBody = z.strictObject({
  vote: z.string().regex(VOTE_ID),
  ticket: z.string().max(512),
  answer: z.enum(ANSWERS),
  shown: z.tuple([z.string().max(64), z.string().max(64)]),
  ms: z.number().min(0).max(1e10),
  visible_ms: z.number().min(0).max(1e10),
  media_ready_ms: z.number().min(0).max(1e10),
  ui: z.string().max(32),
});
const undoBody = z.strictObject({ vote: z.string().regex(VOTE_ID) });
const joinBody = z.strictObject({ token: z.string().max(128).nullable(), consent: z.string().max(32).nullable() });
const resumeBody = z.strictObject({ rater: z.string().regex(RATER_ID) });
const consentBody = z.strictObject({ consent: z.string().max(32) });

const REFUSAL_STATUS: Readonly<Record<Refusal, number>> = {
  TICKET_UNKNOWN: 403,
  VOTE_REUSED: 409,
  SHOWN_OTHERWISE: 409,
  NOTHING_TO_UNDO: 409,
};

type Handler = (request: HttpRequest, visitor: Visitor) => Promise<HttpAnswer> | HttpAnswer;

/** The labeller over HTTP: its page, its media, and votes. */
export class LabelServer {
  private readonly app: HttpApp;
  private readonly pages = new Map<string, HttpAnswer>();
  private readonly cookieName: string;

  /** @throws HpsError FILE_NOT_FOUND where the page is not built */
  constructor(private readonly options: LabelServerOptions) {
    this.cookieName = `hpsv3_label_${createHash('sha256').update(options.name).digest('hex').slice(0, 12)}`;
    this.app = createApp(LIMITS, options.tls);
    for (const [path, { file, type }] of Object.entries(PAGES)) {
      const headers = { ...SAFE, 'content-security-policy': CONTENT_SECURITY_POLICY, 'cache-control': 'no-cache' };
      this.pages.set(path, { type, headers, body: pageFile(file) });
      this.route('GET', path, null, () => this.pages.get(path)!);
    }
    this.route('GET', '/livez', null, () => ({ body: { status: 'ok' } }));
    this.route('GET', '/api/me', null, (request) => ({ body: this.me(request) }));
    this.route('POST', '/api/join', null, (request) => this.join(request));
    this.route('POST', '/api/consent', 'rater', (request, visitor) => this.agree(request, visitor));
    this.route('GET', '/api/work', 'rater', async (_, { rater }) => ({
      body: await options.desk.work(this.mayWork(rater!)),
    }));
    this.route('POST', '/api/votes', 'rater', async (request, { rater }) => {
      const sent = parseAs(voteBody, await jsonOf(request));
      return { body: await options.desk.take(this.mayWork(rater!), sent, options.raters.consentOf(rater!)) };
    });
    this.route('POST', '/api/undo', 'rater', async (request, { rater }) => {
      const { vote } = parseAs(undoBody, await jsonOf(request));
      return { body: await options.desk.undo(this.mayWork(rater!), vote) };
    });
    this.route('GET', '/m/:sha256', 'any', (request) => this.media(request));
    this.route('GET', '/admin/api/figures', 'admin', async () => ({ body: await options.admin.figures() }));
    this.route('POST', '/admin/api/invite', 'admin', async () => ({ body: { token: await options.admin.invite() } }));
    this.route('POST', '/admin/api/resume', 'admin', async (request) => {
      const { rater } = parseAs(resumeBody, await jsonOf(request));
      if (!(await options.admin.resume(rater))) throw new RequestError('NOT_FOUND', 'no rater of this name is paused');
      return { body: { rater } };
    });
    this.route('GET', '/admin/files/:name', 'admin', (request) => this.download(request));
    this.app.setNotFoundHandler((request, reply) =>
      this.fail(
        new RequestError('NOT_FOUND', `there is no ${request.method} ${redactedPath(request.url)} here`),
        request,
        reply,
      ),
    );
    this.app.setErrorHandler((error, request, reply) => this.fail(error, request, reply));
  }

  /** @throws HpsError USAGE for an address that cannot be listened on, or that others can reach, where everybody may take part */
  async listen({ host, port }: Bound): Promise<Bound> {
    if (this.options.open && !isLoopback(host)) {
      throw new HpsError('USAGE', `${host} can be reached from other machines, and everybody may take part`, {
        hint: 'Invite raters (`raters` N, or `invite`), or listen on 127.0.0.1.',
        details: { host },
      });
    }
    return listenAt(this.app, { host, port });
  }

  /** A request without a network, for tests. */
  get inject(): HttpApp['inject'] {
    return this.app.inject.bind(this.app);
  }

  close(): Promise<void> {
    return this.app.close();
  }

  private route(method: 'GET' | 'POST', url: string, role: Visitor['role'] | 'any' | null, handle: Handler): void {
    this.app.route({
      method,
      url,
      handler: async (request, reply) => {
        try {
          if (this.options.open) assertFromHere(request);
          else if (method === 'POST' && !isOwnOrigin(request)) throw forbidden('the request comes from another page');
          const visitor = this.options.raters.visitor(this.cookieOf(request));
          if (role !== null && visitor === null)
            throw new RequestError('UNAUTHENTICATED', 'open the link that you were given');
          if (role !== null && role !== 'any' && visitor!.role !== role)
            throw forbidden(`this is not for ${visitor!.role}s`);
          const answer = await handle(request, visitor ?? { role: 'rater', rater: null });
          return send({ ...answer, headers: { ...SAFE, ...NEVER_KEPT, ...answer.headers } }, request.id, reply);
        } catch (error) {
          return this.fail(error, request, reply);
        }
      },
    });
  }

  private me(request: HttpRequest): object {
    const { raters, consent, open } = this.options;
    const visitor = raters.visitor(this.cookieOf(request));
    const agreed = visitor?.rater != null && raters.consentOf(visitor.rater) === consent?.version;
    return { rater: visitor?.rater ?? null, role: visitor?.role ?? null, open, consent: agreed ? null : consent };
  }

  private async join(request: HttpRequest): Promise<HttpAnswer> {
    const { raters, consent, open } = this.options;
    const { token, consent: agreed } = parseAs(joinBody, await jsonOf(request));
    if (token === null && !open) throw new RequestError('UNAUTHENTICATED', 'open the link that you were given');
    const entered = token === null ? await raters.joinOpenly() : await raters.join(token);
    if (!entered) throw forbidden('the link was used already, or has ended: ask for another');
    const { cookie, visitor } = entered;
    if (visitor.rater !== null && consent && agreed === consent.version) await raters.agree(visitor.rater, agreed);
    const secure = this.options.tls ? '; Secure' : '';
    const attributes = `Path=/; HttpOnly; SameSite=Strict; Max-Age=${COOKIE_SECONDS}${secure}`;
    return { headers: { 'set-cookie': `${this.cookieName}=${cookie}; ${attributes}` }, body: visitor };
  }

  private async agree(request: HttpRequest, { rater }: Visitor): Promise<HttpAnswer> {
    const { consent } = parseAs(consentBody, await jsonOf(request));
    if (consent !== this.options.consent?.version)
      throw new RequestError('REQUEST_INVALID', 'consent: is to another text');
    await this.options.raters.agree(rater!, consent);
    return { body: { consent } };
  }

  /** @throws RequestError FORBIDDEN before the rater has agreed to what there is to agree to */
  private mayWork(rater: string): string {
    const { consent, raters } = this.options;
    if (consent && raters.consentOf(rater) !== consent.version) throw forbidden('agree to the text first');
    return rater;
  }

  private async media(request: HttpRequest): Promise<HttpAnswer> {
    const { sha256 } = request.params as { sha256: string };
    const { type, byteLength, read, release } = await this.options.shelf.open(sha256);
    const headers = { 'accept-ranges': 'bytes', 'cache-control': 'private, max-age=31536000, immutable' };
    const range = rangeOf(request.headers.range, byteLength);
    if (range === null) {
      release();
      return { status: 416, headers: { 'content-range': `bytes */${byteLength}` }, body: '', type };
    }
    const [start, end] = range ?? [0, byteLength - 1];
    const body = read(start, end);
    body.once('close', release);
    const partial = range && { 'content-range': `bytes ${start}-${end}/${byteLength}` };
    return {
      status: range ? 206 : 200,
      headers: { ...headers, ...partial, 'content-length': String(end - start + 1) },
      type,
      body,
    };
  }

  private async download(request: HttpRequest): Promise<HttpAnswer> {
    const { name } = request.params as { name: string };
    const file = await this.options.admin.download(name);
    if (!file) throw new RequestError('NOT_FOUND', 'there is no such file');
    return { type: file.type, headers: { 'content-disposition': `attachment; filename="${name}"` }, body: file.body };
  }

  private cookieOf({ headers: { cookie = '' } }: HttpRequest): string | undefined {
    const found = cookie.split(';').map((pair) => pair.trim().split('=', 2));
    return found.find(([name]) => name === this.cookieName)?.[1];
  }

  private fail(error: unknown, request: HttpRequest, reply: HttpReply): HttpReply {
    const failure = labelFailure(error);
    const facts = {
      request_id: request.id,
      path: redactedPath(request.url),
      status: failure.status,
      code: failure.code,
    };
    if (failure.status === 500) this.options.log.error({ ...facts, err: error }, 'a request failed by a bug');
    else if (failure.status > 500) this.options.log.error(facts, failure.message);
    else this.options.log.info(facts, 'refused');
    const answer = problem(failure, request.id);
    return send({ ...answer, headers: { ...SAFE, ...NEVER_KEPT, ...answer.headers } }, request.id, reply);
  }
}

const SAFE = {
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
};
const NEVER_KEPT = { 'cache-control': 'no-store' };

const forbidden = (why: string): RequestError => new RequestError('FORBIDDEN', why);

async function jsonOf(request: HttpRequest) {
  if (!/^application\/json\b/i.test(request.headers['content-type'] ?? '')) {
    throw new RequestError('ENCODING_UNSUPPORTED', 'the body must be application/json'); // forms of other pages cannot be
  }
  return parseBody(await readBody(request.raw, BODY));
}

function labelFailure(error: unknown) {
  if (error instanceof VoteRefused) {
    return { status: REFUSAL_STATUS[error.code], code: error.code, message: error.message, headers: {} };
  }
  const failure = failureOf(error);
  if (failure.code === 'OUTPUT_WRITE_FAILED') return { ...failure, status: 507, headers: { 'retry-after': '5' } };
  return failure.code === 'FILE_NOT_FOUND' ? { ...failure, status: 404 } : failure;
}

/** One range of bytes, of those that browsers ask for; undefined for none, null for one that lies outside. */
function rangeOf(header: string | undefined, byteLength: number): readonly [number, number] | null | undefined {
  const [, from, to] = /^bytes=(\d*)-(\d*)$/.exec(header ?? '') ?? [];
  if (from === undefined || (from === '' && to === '')) return undefined;
  const start = from === '' ? Math.max(byteLength - Number(to), 0) : Number(from);
  const end = from === '' || to === '' ? byteLength - 1 : Math.min(Number(to), byteLength - 1);
  return start <= end && start < byteLength ? [start, end] : null;
}
