import type { Dispatcher } from 'undici';

/** Headers of an answer, by their names in lower case. */
export type AnswerHeaders = Readonly<Record<string, string | string[] | undefined>>;

export interface Question {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  /** Ends it, wherever it is. */
  readonly signal: AbortSignal;
  /** Throws where an answer of 200 is not to be read. */
  readonly check: (headers: AnswerHeaders, bytesSoFar: number) => void;
  /** What is read at least of an answer other than 200. */
  readonly errorBytes: number;
}

export interface Answer {
  readonly status: number;
  readonly headers: AnswerHeaders;
  /** Whole with 200; else whole or its beginning. */
  readonly bytes: Buffer;
}

/**
 * One GET, followed nowhere. It takes pieces as they come, without the stream that undici's `request` makes of each answer, and a
 * connection is kept where an answer is read to its end.
 * @throws what `check` throws, the signal's reason, or the error of the connection
 */
export function ask(dispatcher: Dispatcher, question: Question): Promise<Answer> {
  const { url, headers, signal, check, errorBytes } = question;
  return new Promise<Answer>((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    let controller: Dispatcher.DispatchController | undefined;
    let answered: Omit<Answer, 'bytes'> | undefined;
    const pieces: Buffer[] = [];
    let length = 0;
    const stop = (): void => {
      controller?.abort(signal.reason);
      end(() => reject(signal.reason)); // while it connects nobody tells
    };
    const end = (settle: () => void): void => {
      signal.removeEventListener('abort', stop);
      settle();
    };
    const give = (): void => end(() => resolve({ ...answered!, bytes: Buffer.concat(pieces, length) }));
    signal.addEventListener('abort', stop);
    // What a handler throws ends the request, and comes to `onResponseError`.
    const handler: Dispatcher.DispatchHandler = {
      onRequestStart(given) {
        controller = given;
        if (signal.aborted) given.abort(signal.reason);
      },
      onResponseStart(_, status, given) {
        if (status < 200) return; // others follow
        answered = { status, headers: given };
        if (status === 200) check(given, 0);
      },
      onResponseData(given, piece) {
        pieces.push(piece);
        length += piece.byteLength;
        if (answered!.status === 200) check(answered!.headers, length);
        else if (length >= errorBytes) {
          give();
          given.abort(new Error('no more of it is read'));
        }
      },
      onResponseEnd: give,
      onResponseError: (_, error) => end(() => reject(error)),
    };
    const path = `${url.pathname}${url.search}`;
    dispatcher.dispatch({ origin: url.origin, path, method: 'GET', headers: { ...headers } }, handler);
  });
}
