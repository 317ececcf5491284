import { STATUS_CODES } from 'node:http';
import type { Answer } from './dialect.js';
import type { Failure } from './failure.js';

/** A failure as RFC 9457 has it: the form of our own routes. */
export function problem({ status, code, message, headers }: Failure, id: string): Answer {
  return {
    status,
    headers,
    type: 'application/problem+json',
    body: {
      type: 'about:blank',
      title: STATUS_CODES[status] ?? 'Error',
      status,
      detail: message,
      code,
      request_id: id,
    },
  };
}
