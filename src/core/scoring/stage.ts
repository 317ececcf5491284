import { HpsError } from '../errors.js';
import type { SessionPool } from '../runtime/session-pool.js';
import { concatRows, type TensorValue } from '../runtime/value.js';
import { ProvenSizes } from './proven-sizes.js';
import { BatchRow, type Row, shapeKey } from './row.js';
import type { Collector, Scheduler } from './scheduler.js';

export type { Row } from './row.js';

interface Waiting {
  readonly row: Row;
  readonly since: number;
  resolve(outputs: Row): void;
  reject(error: unknown): void;
}

/** What a stage asks of the sessions it runs batches in. */
export type BatchRunner = Pick<SessionPool, 'run' | 'capacity' | 'most'>;

/** One batch that has run, for whoever measures. */
export interface BatchTaken {
  readonly seconds: number;
  /** Rows that were asked for, and rows that were computed. */
  readonly rows: number;
  readonly size: number;
}

export interface StageOptions {
  /** Rows of a full batch of rows that have the shape of this one, and by its shape alone. */
  rowsOf(row: Row): number;
  /** Whether batches that are not full may be smaller, where that was seen to change no bit. */
  readonly adaptive?: boolean;
  readonly onBatch?: (taken: BatchTaken) => void;
}

/**
 * Takes rows one at a time and runs them in batches. Rows share a batch when their shapes are equal; one shape has one size of batches,
 * and one that does not fill is filled up with repeats of its last row. So the shape a row is computed in depends on that row alone.
 *
 * An adaptive stage runs what it has as soon as a session is free, in the smallest size that is proven to give what a full batch
 * gives, bit for bit.
 */
export class Stage implements Collector {
  private readonly collecting = new Map<string, Waiting[]>();
  private readonly ready: Waiting[][] = [];
  private inFlight = 0;
  private readonly sizes: ProvenSizes | null;

  constructor(
    private readonly sessions: BatchRunner,
    private readonly options: StageOptions,
    private readonly scheduler: Scheduler,
  ) {
    this.sizes = options.adaptive ? new ProvenSizes() : null;
    scheduler.add(this);
  }

  get eager(): boolean {
    return this.sizes !== null && this.inFlight < this.sessions.most;
  }

  /** The outputs of one row, in the memory of its batch; outputs without a row per sample are left out. */
  run(row: Row): Promise<Row> {
    return new Promise((resolve, reject) => {
      const key = shapeKey(row);
      const batch = this.collecting.get(key) ?? [];
      batch.push({ row, since: this.scheduler.tick(), resolve, reject });
      this.collecting.set(key, batch);
      if (batch.length === this.options.rowsOf(row)) this.dispatch(key);
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
    const rows = batch.map(({ row }) => row);
    const full = this.options.rowsOf(rows[0]);
    const size = this.sizes?.sizeFor(rows, full) ?? full;
    const start = performance.now();
    try {
      const outputs = await this.runRows(rows, size);
      for (const [i, { resolve }] of batch.entries()) resolve(outputs[i]);
      this.options.onBatch?.({ seconds: (performance.now() - start) / 1000, rows: rows.length, size });
      if (size === full) await this.sizes?.prove(rows, outputs, full, (some, fewer) => this.runRows(some, fewer));
    } catch (error) {
      // What one row is refused for must not cost its neighbours their scores.
      if (batch.length > 1 && isRefusal(error)) await Promise.all(batch.map((one) => this.runBatch([one])));
      else for (const { reject } of batch) reject(error); // it changes nothing for those that were resolved
    }
  }

  private async runRows(rows: readonly Row[], size: number): Promise<Row[]> {
    const outputs = await this.sessions.run(feeds(rows, size));
    const whole = new Map([...outputs].filter(([, { shape }]) => shape[0] === size));
    return rows.map((_, i) => new BatchRow(whole, i));
  }
}

/** The model has run, and does not take what it was given. */
const isRefusal = (error: unknown): boolean =>
  error instanceof HpsError && (error.code === 'INPUTS_INVALID' || error.code === 'ONNX_UNSUPPORTED');

function feeds(given: readonly Row[], size: number): Map<string, TensorValue> {
  const rows = Array.from({ length: size }, (_, i) => given[Math.min(i, given.length - 1)]);
  return new Map(Array.from(rows[0].keys(), (name) => [name, concatRows(rows.map((row) => row.get(name)!))]));
}
