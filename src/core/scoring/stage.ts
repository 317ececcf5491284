import { HpsError } from '../errors.js';
import type { SessionPool } from '../runtime/session-pool.js';
import { firstRows, type TensorValue } from '../runtime/value.js';
import { ProvenSizes } from './proven-sizes.js';
import { BatchOutputs, type BatchRow, type Row, shapeKey } from './row.js';
import { RowBatch } from './row-batch.js';
import type { Collector, Scheduler } from './scheduler.js';

export type { Row } from './row.js';

/** Rows of one shape that wait to run together. */
interface Collected {
  readonly key: string;
  readonly batch: RowBatch;
  readonly result: BatchResult;
  /** When its first row came. */
  readonly since: number;
}

/** What comes of the rows of a batch, and why there is nothing where it failed. */
type Outcome = { readonly outputs: BatchOutputs } | { readonly error: unknown };

/** What comes of a batch: one promise for all of its rows. */
class BatchResult {
  /** Resolves when it has run, whatever came of it. */
  readonly done: Promise<void>;
  isDone = false;
  /** Of the whole batch; or of each row, where they had to run alone. */
  private outcome: Outcome | readonly Outcome[] = [];
  private end = (): void => undefined;

  constructor() {
    this.done = new Promise((resolve) => (this.end = resolve));
  }

  settle(outcome: Outcome | readonly Outcome[]): void {
    if (this.isDone) return;
    this.outcome = outcome;
    this.isDone = true;
    this.end();
  }

  /** @throws what the row failed with */
  row(at: number): BatchRow {
    const { outcome } = this;
    const isAlone = Array.isArray(outcome);
    const own: Outcome = isAlone ? outcome[at] : outcome;
    if ('error' in own) throw own.error;
    return own.outputs.row(isAlone ? 0 : at);
  }
}

/** A row in its batch. */
export class Ticket {
  constructor(
    private readonly result: BatchResult,
    private readonly at: number,
  ) {}

  /** Resolves when its batch has run, whatever came of it. */
  get done(): Promise<void> {
    return this.result.done;
  }

  get isDone(): boolean {
    return this.result.isDone;
  }

  /**
   * What came of it, once that is done: in memory of its batch, which holds no more than as much again that nobody asked for. Outputs
   * without a row per sample are left out.
   * @throws what the batch, or the row alone, failed with
   */
  get outputs(): BatchRow {
    return this.result.row(this.at);
  }
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
  /** What the sessions call the values of rows, where it is something else. */
  readonly names?: ReadonlyMap<string, string>;
  /** What rows call the outputs, where it is something else. */
  readonly gives?: ReadonlyMap<string, string>;
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
  private readonly collecting = new Map<string, Collected>();
  private readonly ready: Collected[] = [];
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
    return this.sizes !== null && this.hasFreeSession;
  }

  get idle(): boolean {
    return this.sessions.most > 1 && this.hasFreeSession;
  }

  private get hasFreeSession(): boolean {
    return this.inFlight < this.sessions.most;
  }

  /** Puts a row into a batch. @throws RangeError for a row of another dtype than those of its shape before */
  add(row: Row): Ticket {
    const since = this.scheduler.tick();
    const collected = this.collectedOf(row, since);
    const { batch, result } = collected;
    const ticket = new Ticket(result, batch.rows);
    batch.add(row);
    if (batch.rows === batch.size) this.dispatch(collected);
    return ticket;
  }

  /** As `outputs` of a ticket. */
  async run(row: Row): Promise<Row> {
    const ticket = this.add(row);
    await ticket.done;
    return ticket.outputs;
  }

  get oldest(): number | undefined {
    return this.oldestOnes()?.since;
  }

  flushOldest(): void {
    const collected = this.oldestOnes();
    if (collected) this.dispatch(collected);
  }

  private collectedOf(row: Row, since: number): Collected {
    const key = shapeKey(row);
    const known = this.collecting.get(key);
    if (known) return known;
    const batch = new RowBatch(row, this.options.rowsOf(row), this.options.names);
    const collected = { key, batch, result: new BatchResult(), since };
    this.collecting.set(key, collected);
    return collected;
  }

  private oldestOnes(): Collected | undefined {
    let oldest: Collected | undefined;
    for (const one of this.collecting.values()) if (oldest === undefined || one.since < oldest.since) oldest = one;
    return oldest;
  }

  private dispatch(collected: Collected): void {
    this.ready.push(collected);
    this.collecting.delete(collected.key);
    this.pump();
  }

  private pump(): void {
    while (this.inFlight < this.sessions.capacity && this.ready.length > 0) {
      this.inFlight++;
      const collected = this.ready.shift()!;
      void this.scheduler
        .duringRun(() => this.runBatch(collected))
        .finally(() => {
          this.inFlight--;
          this.pump();
        });
    }
  }

  private async runBatch({ key, batch, result }: Collected): Promise<void> {
    const { rows, size: full } = batch;
    const size = this.sizes?.sizeFor(key, rows, full) ?? full;
    const start = performance.now();
    const run = async (count: number, size: number) =>
      this.outputsOf(await this.sessions.run(batch.first(count, size)), count, size);
    try {
      const outputs = await run(rows, size);
      result.settle({ outputs });
      this.options.onBatch?.({ seconds: (performance.now() - start) / 1000, rows, size });
      if (size === full) await this.sizes?.prove(key, { rows, full, outputs }, run);
    } catch (error) {
      if (result.isDone) return; // its rows have what they asked for
      // What one row is refused for must not cost its neighbours their scores.
      const alone = rows > 1 && isRefusal(error);
      result.settle(
        alone ? await Promise.all(Array.from({ length: rows }, (_, row) => this.runAlone(batch, row))) : { error },
      );
    }
  }

  private async runAlone(batch: RowBatch, row: number): Promise<Outcome> {
    try {
      return { outputs: this.outputsOf(await this.sessions.run(batch.only(row)), 1, batch.size) };
    } catch (error) {
      return { error };
    }
  }

  /** The first rows of what came of a batch. */
  private outputsOf(outputs: ReadonlyMap<string, TensorValue>, rows: number, size: number): BatchOutputs {
    const { gives } = this.options;
    const isWasteful = 2 * rows <= size; // whoever keeps a row keeps them all
    const whole = new Map<string, TensorValue>();
    for (const [name, value] of outputs) {
      if (value.shape[0] !== size) continue;
      const kept = isWasteful ? owned(firstRows(value, rows)) : value;
      whole.set(gives?.get(name) ?? name, kept);
    }
    return new BatchOutputs(whole);
  }
}

const owned = (value: TensorValue): TensorValue => ({ ...value, data: value.data.slice() });

/** The model has run, and does not take what it was given. */
const isRefusal = (error: unknown): boolean =>
  error instanceof HpsError && (error.code === 'INPUTS_INVALID' || error.code === 'ONNX_UNSUPPORTED');
