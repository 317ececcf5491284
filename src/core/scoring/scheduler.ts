/** Something that collects rows until a batch is full. */
export interface Collector {
  /** When its longest-waiting row came, by the scheduler's count; undefined where none waits. */
  readonly oldest: number | undefined;
  /** Whether it would rather run now what it has than wait for more. */
  readonly eager: boolean;
  /** Whether one of several sessions that run its batches has nothing to do. */
  readonly idle: boolean;
  /** Runs the batch of its longest-waiting row, though it is not full. */
  flushOldest(): void;
}

/**
 * Decides when batches that are not full run: when nothing is under way that could still add a row to them, when only batches are and
 * a session has nothing to do meanwhile, or when a collector is eager. What a batch holds changes no result, so this is a matter of
 * speed alone.
 */
export class Scheduler {
  private readonly collectors: Collector[] = [];
  private underWay = 0;
  private running = 0;
  private clock = 0;
  private checking = false;

  add(collector: Collector): void {
    this.collectors.push(collector);
  }

  /** A number for a row that starts to wait: larger than all before. */
  tick(): number {
    this.check();
    return this.clock++;
  }

  /** Says that work has begun which may bring rows; call what it returns once, when that work is over. */
  begin(): () => void {
    this.underWay++;
    let over = false;
    return () => {
      if (over) return;
      over = true;
      this.underWay--;
      this.check();
    };
  }

  /** Runs `work` as something that may bring rows. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    const end = this.begin();
    try {
      return await work();
    } finally {
      end();
    }
  }

  /** Runs a batch, whose end may bring rows. */
  async duringRun(run: () => Promise<void>): Promise<void> {
    this.running++;
    try {
      await run();
    } finally {
      this.running--;
      this.check();
    }
  }

  /** Later, so that whoever waits for the work that just ended can begin its own. */
  private check(): void {
    if (this.checking) return;
    this.checking = true;
    setImmediate(() => {
      this.checking = false;
      const waiting = this.collectors.filter(
        ({ oldest, eager, idle }) =>
          oldest !== undefined && (eager || (this.underWay === 0 && (this.running === 0 || idle))),
      );
      const [first] = waiting.sort((a, b) => a.oldest! - b.oldest!);
      if (!first) return;
      first.flushOldest();
      if (waiting.some(({ eager, idle }) => eager || idle)) this.check();
    });
  }
}
