/** How long a host that was in the middle of a frame may be silent before the frame counts as all there is. */
const SILENCE_MS = 1000;

/**
 * The pieces of a stream until its end, or until `signal` asks for an end: at once, or where `mayGoOn` then says that something is
 * unfinished, once that is no longer so or nothing has come for a second. It never waits for a stream that has stopped.
 */
export async function* untilAsked(
  stream: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
  mayGoOn: () => boolean,
): AsyncGenerator<Uint8Array> {
  const pieces = stream[Symbol.asyncIterator]();
  try {
    for (;;) {
      const piece = await beforeEnd(pieces.next(), signal, mayGoOn);
      if (piece === null || piece.done) return;
      yield piece.value;
    }
  } finally {
    pieces.return?.()?.catch(() => undefined); // not awaited: it may be waiting for its next piece
  }
}

/** What comes, or null where the end comes first. */
function beforeEnd<T>(next: Promise<T>, signal: AbortSignal, mayGoOn: () => boolean): Promise<T | null> {
  return new Promise((resolve, reject) => {
    let timer: NodeJS.Timeout | undefined;
    const end = (): void => settle(() => resolve(null));
    const onAsked = (): void => {
      if (mayGoOn()) timer = setTimeout(end, SILENCE_MS);
      else end();
    };
    const settle = (how: () => void): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAsked);
      how();
    };
    next.then(
      (value) => settle(() => resolve(value)),
      (error) => settle(() => reject(error)),
    );
    if (signal.aborted) onAsked();
    else signal.addEventListener('abort', onAsked, { once: true });
  });
}
