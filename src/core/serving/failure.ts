import { RowError } from '../data/rows.js';
import { type ErrorCode, HpsError } from '../errors.js';

/** Failures of a request as such, beside those of `errors.ts`, with the status each has. */
const REQUEST_CODES = {
  JSON_INVALID: 400,
  REQUEST_INVALID: 400,
  UNAUTHENTICATED: 401,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  MODEL_UNKNOWN: 404,
  METHOD_NOT_ALLOWED: 405,
  BODY_TIMEOUT: 408,
  BODY_TOO_LARGE: 413,
  TEXT_TOO_LONG: 413,
  TOO_MANY_ROWS: 413,
  ENCODING_UNSUPPORTED: 415,
  RATE_LIMITED: 429,
  CLIENT_GONE: 499,
  INTERNAL: 500,
  OVERLOADED: 503,
  NOT_READY: 503,
  DEADLINE_EXCEEDED: 504,
} as const;

export type RequestCode = keyof typeof REQUEST_CODES;

/** A request that is refused: what its status, its code and its words are. */
export class RequestError extends Error {
  override readonly name = 'RequestError';
  readonly status: number;

  constructor(
    readonly code: RequestCode,
    message: string,
    /** Headers that go with it, such as `retry-after`. */
    readonly headers: Readonly<Record<string, string>> = {},
  ) {
    super(message);
    this.status = REQUEST_CODES[code];
  }
}

/** Of failures of the library. What a client can mend is 4xx; what only time can mend is 503. */
const STATUS: Partial<Record<ErrorCode, number>> = {
  REMOTE_REFUSED: 403,
  ACCESS_DENIED: 403,
  OUTPUT_BUSY: 409,
  GATE_FAILED: 409,
  CHECKSUM_MISMATCH: 409,
  MODELS_INCOMPARABLE: 409,
  SCORE_NONFINITE: 422,
  INTERNAL: 500,
  BACKEND_UNAVAILABLE: 501,
  REMOTE_FAILED: 502,
  CREDENTIALS_INVALID: 502,
  MODEL_CRASHED: 503,
  MODEL_TIMEOUT: 503,
  MODEL_OUT_OF_MEMORY: 503,
  INTERRUPTED: 503,
};

/** What went wrong with a request or one of its rows, in no dialect yet. */
export interface Failure {
  readonly status: number;
  /** Stable, for programs. */
  readonly code: string;
  /** One line, without paths of the machine. */
  readonly message: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Seconds after which a request that found no room, or no model, is worth trying again. */
export const RETRY_SECONDS = 1;

/** A bug keeps its stack for the log, and says nothing of itself to the client. */
export function failureOf(error: unknown): Failure {
  if (error instanceof RequestError) {
    const { status, code, message, headers } = error;
    return { status, code, message, headers };
  }
  if (error instanceof HpsError) {
    const { code, message, hint } = error;
    const status = STATUS[code] ?? 400;
    return {
      status,
      code,
      message: hint === undefined || status >= 500 ? message : `${message}. ${hint}`,
      headers: status === 503 ? { 'retry-after': String(RETRY_SECONDS) } : {},
    };
  }
  if (error instanceof RowError) return { status: 400, code: error.code, message: error.message, headers: {} };
  const { statusCode } = (error ?? {}) as { statusCode?: unknown };
  if (typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500) {
    return { status: statusCode, code: 'REQUEST_INVALID', message: (error as Error).message, headers: {} };
  }
  return {
    status: 500,
    code: 'INTERNAL',
    message: 'a bug in hpsv3; its log says more, by the request id',
    headers: {},
  };
}
