import { setTimeout as sleep } from 'node:timers/promises';
import { RequestError } from './failure.js';
import type { Client } from './tokens.js';

const MINUTE_MS = 60_000;
/** Clients remembered; the ones that asked longest ago are forgotten first, and begin anew. */
const MAX_CLIENTS = 10_000;

interface Bucket {
  rows: number;
  at: number;
}

/** Rows a minute, by client: a bucket that holds a minute's rows and fills evenly. */
export class RateLimit {
  private readonly buckets = new Map<string, Bucket>();

  constructor(
    /** Of clients without a limit of their own; null for none. */
    private readonly rowsPerMinute: number | null,
    private readonly now: () => number = Date.now,
  ) {}

  /** @throws RequestError RATE_LIMITED, with the seconds until there is room */
  take(client: Client, rows: number): void {
    const seconds = this.tryTake(client, rows);
    if (seconds === 0) return;
    throw new RequestError('RATE_LIMITED', `${client.name} asks for more rows than it may in a minute`, {
      'retry-after': String(Math.ceil(seconds)),
    });
  }

  /** Takes one row of a stream, when there is room. */
  async takeWhenFree(client: Client, signal: AbortSignal): Promise<void> {
    for (;;) {
      const seconds = this.tryTake(client, 1);
      if (seconds === 0) return;
      await sleep(1000 * seconds, undefined, { signal });
    }
  }

  /** 0 where the rows were taken, else the seconds until they may be. */
  private tryTake({ name, rowsPerMinute }: Client, rows: number): number {
    const limit = rowsPerMinute ?? this.rowsPerMinute;
    if (limit === null) return 0;
    const now = this.now();
    const bucket = this.buckets.get(name) ?? { rows: limit, at: now };
    this.buckets.delete(name); // the order of a Map is that of insertion
    this.buckets.set(name, bucket);
    if (this.buckets.size > MAX_CLIENTS) this.buckets.delete(this.buckets.keys().next().value!);
    bucket.rows = Math.min(limit, bucket.rows + ((now - bucket.at) / MINUTE_MS) * limit);
    bucket.at = now;
    // A request larger than a minute's rows is let in when the bucket is full, and empties it for as long as it is worth.
    const needed = Math.min(rows, limit);
    if (bucket.rows < needed) return Math.max(0.001, ((needed - bucket.rows) * MINUTE_MS) / limit / 1000);
    bucket.rows -= rows;
    return 0;
  }
}
