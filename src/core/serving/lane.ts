interface Waiting {
  readonly start: () => void;
  readonly signal: AbortSignal | undefined;
}

/** Work of which only so much is under way at a time; the rest waits in the order it came, and may be given up. */
export class Lane {
  private underWay = 0;
  private readonly waiting: Waiting[] = [];

  constructor(private readonly limit: number) {}

  /** Pieces of work under way and waiting. */
  get load(): number {
    return this.underWay + this.waiting.length;
  }

  /**
   * Does `work` when its turn comes.
   * @throws the reason of the signal, at once where it is aborted; work that has begun goes on to its end, and its result is dropped
   */
  run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const onAbort = (): void => reject(signal!.reason);
      signal?.addEventListener('abort', onAbort, { once: true });
      const start = (): void => {
        this.underWay++;
        work()
          .then(resolve, reject)
          .finally(() => {
            signal?.removeEventListener('abort', onAbort);
            this.underWay--;
            this.next();
          });
      };
      if (this.underWay < this.limit) start();
      else this.waiting.push({ start, signal });
    });
  }

  private next(): void {
    while (this.underWay < this.limit && this.waiting.length > 0) {
      const { start, signal } = this.waiting.shift()!;
      if (!signal?.aborted) start();
    }
  }
}
