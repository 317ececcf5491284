import { RETRY_SECONDS, RequestError } from './failure.js';

/**
 * The rows a server has taken on: a bound on what may wait, counted in rows, so that a request of a thousand is not as light
 * as a request of one.
 */
export class Admission {
  private taken = 0;
  private readonly waiting: (() => void)[] = [];

  constructor(
    /** Most rows taken on at a time. */
    readonly limit: number,
  ) {}

  /** Rows that were taken on and are not yet answered. */
  get rows(): number {
    return this.taken;
  }

  /** @throws RequestError OVERLOADED where there is no room now, TOO_MANY_ROWS where there never is */
  enter(rows: number): void {
    if (rows > this.limit) {
      throw new RequestError(
        'TOO_MANY_ROWS',
        `${rows} rows in one request, and at most ${this.limit} are taken on: send them as application/x-ndjson`,
      );
    }
    if (this.taken + rows > this.limit) {
      throw new RequestError('OVERLOADED', `${this.taken} rows wait for their scores already`, {
        'retry-after': String(RETRY_SECONDS),
      });
    }
    this.taken += rows;
  }

  /**
   * Takes on one row of a stream, when there is room: a stream leaves half of it to others.
   * @throws the reason of the signal
   */
  async enterWhenFree(signal: AbortSignal): Promise<void> {
    while (this.taken >= Math.max(1, this.limit / 2)) {
      signal.throwIfAborted();
      await this.room(signal);
    }
    signal.throwIfAborted();
    this.taken++;
  }

  /** Says that a row was answered. */
  leave(): void {
    this.taken--;
    this.waiting.shift()?.();
  }

  private room(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const go = (): void => {
        signal.removeEventListener('abort', go);
        resolve();
      };
      this.waiting.push(go);
      signal.addEventListener('abort', go, { once: true });
    });
  }
}
