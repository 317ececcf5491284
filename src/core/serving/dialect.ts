import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import type { JsonObject, JsonValue } from '../bytes/json.js';
import type * as z from '../zod.js';
import type { Failure } from './failure.js';
import type { Scope } from './scopes.js';
import type { Asker, Serving } from './serving.js';

/** What a route gives back. */
export interface Answer {
  /** 200 by default. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** `application/json` by default. */
  readonly type?: string;
  /** An object becomes JSON; bytes, text and streams go out as they are. */
  readonly body: object | string | Uint8Array | Readable;
}

/** One request, as a route sees it. */
export interface Call extends Asker {
  readonly serving: Serving;
  readonly headers: IncomingHttpHeaders;
  readonly params: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, unknown>>;
  /** The whole body, inflated; empty where the route reads none. */
  readonly bytes: Buffer;
  /** The body of a route that reads JSON. */
  readonly json: JsonValue;
  /** The request itself, for a route that takes its body as it comes. */
  readonly raw: IncomingMessage;
}

export interface Route {
  readonly method: 'GET' | 'POST';
  /** As fastify spells it: `/v2/models/:name/infer`. */
  readonly url: string;
  readonly summary: string;
  /** What a token must be good for; null for what anybody may ask. */
  readonly scope: Scope | null;
  readonly reads?: 'json' | 'bytes';
  /** Of the body and of the answer, for `/openapi.json`. */
  readonly body?: z.ZodType;
  readonly answer?: z.ZodType;
  /** Whether a body is in this dialect, where several have a route at one place; a body that none claims is the first one's. */
  claims?(body: JsonObject): boolean;
  handle(call: Call): Promise<Answer> | Answer;
  /** Takes a body of `application/x-ndjson` as it comes, instead of `handle`. */
  stream?(call: Call): Promise<Answer> | Answer;
}

/** A way of speaking to a reward server that some clients have. */
export interface Dialect {
  /** Its tag in `/openapi.json` and its label in metrics. */
  readonly id: string;
  readonly title: string;
  readonly routes: readonly Route[];
  /** Spoken only where it is asked for. */
  readonly optional?: boolean;
  /** Paths that begin so have errors of this dialect, also where no route is. */
  readonly prefix?: string;
  /** A failure as its clients expect it. */
  failure(failure: Failure, id: string): Answer;
}
