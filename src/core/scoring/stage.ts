import type { SessionPool } from '../runtime/session-pool.js';
import { concatRows, type TensorValue, takeRows } from '../runtime/value.js';
import { formatShape } from '../tensor/shape.js';
import type { Collector, Scheduler } from './scheduler.js';

/** The inputs or the outputs of one row, by name: each has one row. */
export type Row = ReadonlyMap<string, TensorValue>;

interface Waiting {
  readonly row: Row;
  readonly since: number;
  resolve(outputs: Row): void;
  reject(error: unknown): void;
}

/** What a stage asks of the sessions it runs batches in. */
export type BatchRunner = Pick<SessionPool, 'run' | 'capacity'>;

/**
 * Takes rows one at a time and runs them in batches of one fixed size. Rows share a batch when their shapes are equal; one that does not fill is filled up with repeats of its last row. So the shape a row is computed in
 * depends on that row alone.
 */
export class Stage implements Collector {
  private readonly collecting = new Map<string, Waiting[]>();
  private readonly ready: Waiting[][] = [];
  private inFlight = 0;

  constructor(
    private readonly sessions: BatchRunner,
    private readonly rows: number,
    private readonly scheduler: Scheduler,
  ) {
    scheduler.add(this);
  }

  /** The outputs of one row; outputs without a row per sample are left out. */
  run(row: Row): Promise<Row> {
    return new Promise((resolve, reject) => {
      const key = shapeKey(row);
      const batch = this.collecting.get(key) ?? [];
      batch.push({ row, since: this.scheduler.tick(), resolve, reject });
      this.collecting.set(key, batch);
      if (batch.length === this.rows) this.dispatch(key);
    });
  }

  get oldest(): number | undefined {
    const [first] = this.oldestBatch() ?? [];
    return first?.since;
  }

  flushOldest(): void {
    const batch = this.oldestBatch();
    if (batch) this.dispatch(shapeKey(batch[0].row));
  }

  private oldestBatch(): Waiting[] | undefined {
    let oldest: Waiting[] | undefined;
    for (const batch of this.collecting.values())
      if (oldest === undefined || batch[0].since < oldest[0].since) oldest = batch;
    return oldest;
  }

  private dispatch(key: string): void {
    this.ready.push(this.collecting.get(key)!);
    this.collecting.delete(key);
    this.pump();
  }

  private pump(): void {
    while (this.inFlight < this.sessions.capacity && this.ready.length > 0) {
      this.inFlight++;
      const batch = this.ready.shift()!;
      void this.scheduler
        .during(() => this.runBatch(batch))
        .finally(() => {
          this.inFlight--;
          this.pump();
        });
    }
  }

  private async runBatch(batch: readonly Waiting[]): Promise<void> {
    try {
      const outputs = await this.sessions.run(this.feeds(batch));
      const whole = [...outputs].filter(([, { shape }]) => shape[0] === this.rows);
      for (const [i, { resolve }] of batch.entries())
        resolve(new Map(whole.map(([name, value]) => [name, takeRows(value, [i])])));
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }

  private feeds(batch: readonly Waiting[]): Map<string, TensorValue> {
    const rows = Array.from({ length: this.rows }, (_, i) => batch[Math.min(i, batch.length - 1)].row);
    return new Map(Array.from(rows[0].keys(), (name) => [name, concatRows(rows.map((row) => row.get(name)!))]));
  }
}

const shapeKey = (row: Row): string => Array.from(row, ([name, { shape }]) => `${name}${formatShape(shape)}`).join(' ');
