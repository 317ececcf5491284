import type { Answer } from '../dialect.js';
import type { Failure } from '../failure.js';

const TYPES: Readonly<Record<number, string>> = {
  401: 'AuthenticationError',
  403: 'PermissionDeniedError',
  404: 'NotFoundError',
  429: 'RateLimitError',
};

/** A failure as OpenAI and vLLM have it. */
export function openAiFailure({ status, message, headers }: Failure): Answer {
  const type = TYPES[status] ?? (status >= 500 ? 'InternalServerError' : 'BadRequestError');
  return { status, headers, body: { error: { message, type, param: null, code: status } } };
}
