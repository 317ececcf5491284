import { randomUUID } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { isJsonObject } from '../bytes/json.js';
import { didYouMean } from '../bytes/suggest.js';
import { HpsError } from '../errors.js';
import { VERSION } from '../version.js';
import { Admission } from './admission.js';
import { type BodyLimits, parseBody, readBody } from './body.js';
import type { Answer, Call, Dialect, Route } from './dialect.js';
import { DIALECTS } from './dialects/registry.js';
import { serverDialect } from './dialects/server.js';
import { LastCheck } from './drift-gauges.js';
import { Explanations } from './explanations.js';
import { failureOf, RequestError } from './failure.js';
import {
  assertFromHere,
  type Bound,
  createApp,
  type HttpLimits,
  isLoopback,
  listenAt,
  send,
  type Tls,
} from './http.js';
import { redactedPath, type ServerLog, SILENT } from './log.js';
import { Metrics } from './metrics.js';
import { Generation, type LoadOptions, type ModelFollowers, ModelSet, type ModelSource, ServedModel } from './model.js';
import { openApi } from './openapi.js';
import { RateLimit } from './rate-limit.js';
import { ScoreLog } from './score-log.js';
import { type RowFollower, Serving } from './serving.js';
import { Shadow } from './shadow.js';
import { type Client, type TokenEntry, Tokens } from './tokens.js';

/** Bounds of a server, each with a default that suits most. */
export interface ServerLimits extends HttpLimits {
  /** Bytes of one body, as sent and once inflated: 32 MiB. */
  readonly bodyBytes: number;
  /** For a body to arrive: 15 s. */
  readonly bodyMs: number;
  /** Rows taken on and not yet answered: 256. */
  readonly queueRows: number;
}

export const DEFAULT_LIMITS: ServerLimits = {
  bodyBytes: 32 * 1024 * 1024,
  bodyMs: 15_000,
  queueRows: 256,
  deadlineMs: 60_000,
  connections: 1024,
};

export interface ServerOptions extends Partial<LoadOptions> {
  readonly models: readonly ModelSource[];
  /** Folder of which other files may be loaded by `POST /admin/models/reload`. */
  readonly modelFolder?: string;
  /** Entries of a token file (`readTokens`); without them anybody who can connect may ask, and only this machine can. */
  readonly tokens?: readonly TokenEntry[];
  readonly tls?: Tls;
  /** Dialects that are not spoken unless they are asked for: `pickle`. */
  readonly dialects?: readonly string[];
  /** A file that scores a share of the rows too, once they are answered, so that flips are seen before it is served. */
  readonly shadow?: { readonly file: string; readonly share: number };
  /** Folder of the rows that were answered, for `hpsv3 drift`. */
  readonly logScores?: string;
  /** Folder that `hpsv3 drift check` writes to: what it last found is among the metrics. */
  readonly drift?: string;
  /** Rows a minute of each client that has no limit of its own. */
  readonly rowsPerMinute?: number;
  readonly limits?: Partial<ServerLimits>;
  readonly log?: ServerLog;
}

/**
 * A reward server over these models. It listens on nothing until it is told to; a program may also hand it requests.
 * @throws HpsError as `HPSv3Scorer.load`; SELF_CHECK_FAILED for a model whose scores depend on their neighbours
 */
export async function startServer(options: ServerOptions): Promise<RewardServer> {
  const {
    models: sources,
    limits,
    log = SILENT,
    workers = 1,
    tokens,
    tls,
    rowsPerMinute,
    modelFolder,
    ...more
  } = options;
  const { dialects: asked = [], shadow, logScores, drift, ...load } = more;
  const bounds = { ...DEFAULT_LIMITS, ...limits };
  const admission = new Admission(bounds.queueRows);
  const metrics = new Metrics(() => admission.rows, drift === undefined ? undefined : new LastCheck(drift, log));
  const told: ModelFollowers = {
    onWaited: (seconds) => metrics.waited(seconds),
    onRestarted: (model) => {
      metrics.restarts.inc({ model });
      log.warn({ model }, 'a model was loaded again, since its process had died');
    },
    onRestartFailed: (model, error) => log.error({ model, err: error }, 'a model could not be loaded again'),
  };
  const isOneOfSeveral = sources.length > 1;
  const onWork = metrics.work;
  const settings = { batchSize: 16, adaptive: true, mediaRoot: null, onWork, workers, isOneOfSeveral, ...load };
  if (sources.length === 0) throw new HpsError('USAGE', 'there is no model to serve');
  const dialects = spoken(asked);
  const description = openApi(dialects);
  const rates = new RateLimit(rowsPerMinute ?? null);
  const all: ServedModel[] = [];
  const followers: RowFollower[] = [];
  const closers: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    await Promise.all([...all.map((model) => model.close()), ...closers.map((end) => end())]);
  };
  try {
    for (const source of sources) all.push(await ServedModel.open(source, settings, told));
    if (shadow) {
      const second = await Generation.load(
        { name: 'shadow', file: shadow.file },
        { ...settings, workers: 1, abstain: false, marks: [] },
        told,
      );
      const judge = new Shadow(second, shadow.share, metrics, log);
      closers.push(() => judge.close());
      followers.push(({ model, sample, score }) => judge.take(model.source.name, sample, score));
    }
    if (logScores !== undefined) {
      const rows = await ScoreLog.open(logScores, log);
      closers.push(() => rows.flush());
      followers.push(({ model, sample, score, id }) => rows.take(model.scorer, sample, score, id));
    }
  } catch (error) {
    await close();
    throw error;
  }
  const explanations = new Explanations(settings);
  closers.push(async () => explanations.close());
  const serving = new Serving({
    explanations,
    models: new ModelSet(all),
    admission,
    rateLimit: rates,
    metrics,
    log,
    describe: () => description,
    modelFolder: modelFolder ?? null,
    followers,
  });
  return new FastifyServer(serving, bounds, {
    dialects,
    tokens: tokens ? new Tokens(tokens) : null,
    tls: tls ?? null,
    close,
  });
}

/** All dialects but those that are not asked for. @throws HpsError USAGE for one that there is not */
function spoken(asked: readonly string[]): Dialect[] {
  const unknown = asked.find((id) => !DIALECTS.some((dialect) => dialect.id === id));
  if (unknown !== undefined) {
    const known = DIALECTS.filter(({ optional }) => optional).map(({ id }) => id);
    throw new HpsError('USAGE', `there is no dialect ${JSON.stringify(unknown)}`, { hint: didYouMean(unknown, known) });
  }
  return DIALECTS.filter(({ id, optional }) => !optional || asked.includes(id));
}

interface ServerParts {
  readonly dialects: readonly Dialect[];
  readonly tokens: Tokens | null;
  readonly tls: Tls | null;
  /** Frees the models. */
  readonly close: () => Promise<void>;
}

/** A server of models: it listens, or takes the requests that a program hands it. */
export interface RewardServer {
  /** What it serves now. */
  readonly models: readonly { readonly name: string; readonly sha256: string }[];
  /**
   * Waits for connections, on 127.0.0.1 and any free port unless told.
   * @returns where
   * @throws HpsError USAGE for an address that cannot be listened on, or that others can reach, where there are no tokens
   */
  listen(at?: { readonly host?: string; readonly port?: number }): Promise<{
    readonly host: string;
    readonly port: number;
  }>;
  /** From now on these tokens alone are taken. */
  replaceTokens(entries: readonly TokenEntry[]): void;
  /** A request from a server of the program itself. */
  handle(request: IncomingMessage, response: ServerResponse): Promise<void>;
  /** A request without a network: for tests and for programs that want an answer and no server. */
  readonly inject: FastifyInstance['inject'];
  /** From now on it says that it is not ready, so that no more requests are sent here. */
  drain(): void;
  /** Takes no more requests, answers those it has, and frees the models. */
  close(): Promise<void>;
}

class FastifyServer implements RewardServer {
  private readonly app: FastifyInstance;
  private closing: Promise<void> | undefined;
  /** Whether requests that a web page elsewhere may have sent are refused: where no token tells who asks. */
  private guarded = false;

  constructor(
    private readonly serving: Serving,
    private readonly limits: ServerLimits,
    private readonly parts: ServerParts,
  ) {
    const { dialects, tls } = parts;
    this.app = createApp(limits, tls);
    for (const [place, sharing] of placesOf(dialects)) this.addRoute(place, sharing);
    this.app.setNotFoundHandler((request, reply) => {
      const error = new RequestError('NOT_FOUND', `there is no ${request.method} ${redactedPath(request.url)} here`);
      return this.fail(error, dialectAt(request.url, dialects), request, reply);
    });
    this.app.setErrorHandler((error, request, reply) =>
      this.fail(error, dialectAt(request.url, dialects), request, reply),
    );
    this.noteModels();
  }

  get models(): readonly { readonly name: string; readonly sha256: string }[] {
    return this.serving.models.all.map(({ name, scorer }) => ({ name, sha256: scorer.sha256 }));
  }

  async listen({ host = '127.0.0.1', port = 0 } = {}): Promise<Bound> {
    if (!this.parts.tokens && !isLoopback(host)) {
      throw new HpsError('USAGE', `${host} can be reached from other machines, and no tokens say who may ask`, {
        hint: 'Make one with `hpsv3 serve token new NAME`, and give its file as `tokens`; or listen on 127.0.0.1.',
        details: { host },
      });
    }
    this.guarded = !this.parts.tokens;
    return listenAt(this.app, { host, port });
  }

  replaceTokens(entries: readonly TokenEntry[]): void {
    if (!this.parts.tokens) throw new RangeError('this server was made without tokens');
    this.parts.tokens.replace(entries);
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    await this.app.ready();
    this.app.routing(request, response);
  }

  get inject(): FastifyInstance['inject'] {
    return this.app.inject.bind(this.app);
  }

  drain(): void {
    this.serving.draining = true;
  }

  close(): Promise<void> {
    this.drain();
    this.closing ??= this.app.close().then(this.parts.close);
    return this.closing;
  }

  private noteModels(): void {
    this.serving.metrics.models(this.models, VERSION);
  }

  private addRoute({ method, url }: Pick<Route, 'method' | 'url'>, sharing: readonly Owned[]): void {
    this.app.route({
      method,
      url,
      handler: async (request, reply) => {
        const streams = /^application\/(x-)?(ndjson|jsonl)/i.test(request.headers['content-type'] ?? '');
        const streaming = streams ? sharing.find(({ route }) => route.stream) : undefined;
        const began = performance.now();
        const call = this.begin(request, reply, streaming ? null : this.deadlineOf(request));
        let owner = streaming ?? sharing[0];
        reply.raw.once('close', () => this.finished(call, reply, { ...owner, ms: performance.now() - began }));
        try {
          call.client = this.clientOf(request, owner.route);
          if (streaming) return await send(await streaming.route.stream!(call), request.id, reply);
          if (owner.route.reads) call.bytes = await readBody(request.raw, this.bodyLimits);
          if (owner.route.reads === 'json') call.json = parseBody(call.bytes);
          if (sharing.length > 1) owner = ownerOf(sharing, call.json);
          return await send(withTruncated(await owner.route.handle(call), call), request.id, reply);
        } catch (error) {
          return this.fail(error, owner.dialect, request, reply);
        }
      },
    });
  }

  private get bodyLimits(): BodyLimits {
    return { bytes: this.limits.bodyBytes, ms: this.limits.bodyMs };
  }

  private deadlineOf({ headers }: FastifyRequest): number {
    const asked = Number(headers['x-request-timeout-ms']);
    return asked > 0 ? Math.min(asked, this.limits.deadlineMs) : this.limits.deadlineMs;
  }

  /** @param ms - until the answer is no longer waited for; null for a stream, which takes as long as it takes */
  private begin(request: FastifyRequest, reply: FastifyReply, ms: number | null): Mutable<Call> {
    const leave = new AbortController();
    setMaxListeners(0, leave.signal); // one a row
    const late = (): void => leave.abort(new RequestError('DEADLINE_EXCEEDED', `no answer within ${ms} ms`));
    const timer = ms === null ? undefined : setTimeout(late, ms);
    reply.raw.once('close', () => {
      clearTimeout(timer);
      if (!reply.raw.writableFinished) leave.abort(new RequestError('CLIENT_GONE', 'the client went away'));
    });
    return {
      serving: this.serving,
      id: request.id,
      headers: request.headers,
      params: request.params as Record<string, string>,
      query: request.query as Record<string, unknown>,
      signal: leave.signal,
      bytes: Buffer.alloc(0),
      json: null,
      raw: request.raw,
      client: { name: request.ip, rowsPerMinute: null },
      truncated: 0,
    };
  }

  /** @throws RequestError UNAUTHENTICATED, FORBIDDEN */
  private clientOf(request: FastifyRequest, { scope }: Route): Client {
    const anybody = { name: request.ip, rowsPerMinute: null };
    if (this.guarded) assertFromHere(request);
    if (scope === null || !this.parts.tokens) return anybody;
    return this.parts.tokens.check(request.raw, scope, (request.params as { token?: string }).token);
  }

  private finished(call: Call, reply: FastifyReply, { dialect, route, ms }: Owned & { readonly ms: number }): void {
    // A client that keeps its connection for more would keep a server that takes no more.
    if (this.closing) setImmediate(() => this.app.server.closeIdleConnections());
    const { statusCode, request } = reply;
    this.serving.metrics.request(dialect.id, statusCode, ms / 1000);
    if (route.scope === 'admin') this.noteModels();
    const facts = {
      request_id: call.id,
      trace_id: traceOf(request.headers['traceparent']),
      client: call.client.name,
      dialect: dialect.id,
      method: request.method,
      path: redactedPath(request.url),
      status: statusCode,
      ms: Math.round(10 * ms) / 10,
      ...(call.truncated > 0 ? { truncated_rows: call.truncated } : {}),
    };
    if (route.scope === null && statusCode < 400)
      this.serving.log.debug(facts, 'request'); // probes come every few seconds
    else this.serving.log.info(facts, 'request');
  }

  private fail(error: unknown, dialect: Dialect, request: FastifyRequest, reply: FastifyReply) {
    const failure = failureOf(error);
    if (failure.status === 500)
      this.serving.log.error({ request_id: request.id, err: error }, 'a request failed by a bug');
    const answer = dialect.failure(failure, request.id);
    return send({ ...answer, headers: { ...failure.headers, ...answer.headers } }, request.id, reply);
  }
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** With a header that says how many of its rows had a text that was cut: not all protocols have another place for it. */
function withTruncated(answer: Answer, { truncated }: Call): Answer {
  if (truncated === 0) return answer;
  return { ...answer, headers: { ...answer.headers, 'x-truncated-rows': String(truncated) } };
}

interface Owned {
  readonly dialect: Dialect;
  readonly route: Route;
}

/** Routes by their place, those of several dialects together. */
function placesOf(dialects: readonly Dialect[]): [Pick<Route, 'method' | 'url'>, Owned[]][] {
  const places = new Map<string, Owned[]>();
  for (const dialect of dialects) {
    for (const route of dialect.routes) {
      const key = `${route.method} ${route.url}`;
      places.set(key, [...(places.get(key) ?? []), { dialect, route }]);
    }
  }
  return Array.from(places.values(), (sharing) => [sharing[0].route, sharing]);
}

/** The dialect that a body at a shared place is in. @throws RequestError where it is in two at once */
function ownerOf(sharing: readonly Owned[], body: Call['json']): Owned {
  const claiming = isJsonObject(body) ? sharing.filter(({ route }) => route.claims?.(body)) : [];
  const [first, second] = claiming;
  if (second) {
    throw new RequestError(
      'REQUEST_INVALID',
      `the body has fields of ${first.dialect.title} and of ${second.dialect.title}`,
    );
  }
  return first ?? sharing[0];
}

const dialectAt = (url: string, dialects: readonly Dialect[]): Dialect =>
  dialects.find(({ prefix }) => prefix !== undefined && url.startsWith(prefix)) ?? serverDialect;

/** The trace a request belongs to (W3C traceparent), or a new one. */
function traceOf(header: string | string[] | undefined): string {
  const [, trace] = /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}/.exec(String(header ?? '')) ?? [];
  return trace !== undefined && !/^0+$/.test(trace) ? trace : randomUUID().replaceAll('-', '');
}
