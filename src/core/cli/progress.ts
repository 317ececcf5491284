import { formatBytes, formatCount, formatDuration, printable } from './format.js';

const BAR_CELLS = 24;
const LIVE_INTERVAL_MS = 100; // ten times a second is smooth and costs nothing
const LINE_INTERVAL_MS = 10_000; // off a terminal: often enough to see life in a log, seldom enough to read it
const CLEAR_LINE = '\r\u001b[K';

export interface StatusOptions {
  /** Prints nothing at all. */
  quiet?: boolean;
  stream?: NodeJS.WritableStream & { isTTY?: boolean; columns?: number };
  env?: NodeJS.ProcessEnv;
  /** Milliseconds on a clock that never goes back. */
  now?: () => number;
}

export interface ProgressOptions extends StatusOptions {
  /** What is being done, in a word or two: `Writing`. */
  label: string;
}

export interface Progress {
  /** Says how far the work is, in bytes; call it as often as you like. */
  update(doneBytes: number, totalBytes: number): void;
  /** Removes the live line; call it in a `finally`, before anything else is printed. */
  finish(): void;
}

export interface Steps {
  /** Says which step is under way and how often it has done its part; call it as often as you like. */
  update(step: string, done: number): void;
  /** As `Progress.finish`. */
  finish(): void;
}

/** Progress in bytes on standard error, with a bar, rate and remaining time. */
export function startProgress({ label, ...options }: ProgressOptions): Progress {
  const status = startStatus(options);
  return {
    update(doneBytes, totalBytes) {
      status.show((elapsedMs, columns) => {
        const words = describe(doneBytes, totalBytes, elapsedMs);
        if (columns === null) return `${label}: ${words}`;
        const whole = `${label} ${bar(doneBytes / totalBytes)} ${words}`;
        return whole.length < columns ? whole : `${label} ${words}`;
      });
    },
    finish: status.finish,
  };
}

export interface RowProgress {
  /** Says how many rows are done, of how many if that is known; call it as often as you like. */
  update(done: number, expected: number | null): void;
  /** As `Progress.finish`. */
  finish(): void;
}

/** Progress in rows on standard error, with rate and remaining time. */
export function startRows(options: StatusOptions = {}): RowProgress {
  const status = startStatus(options);
  return {
    update: (done, expected) => status.show((elapsedMs) => describeRows(done, expected, elapsedMs)),
    finish: status.finish,
  };
}

function describeRows(done: number, expected: number | null, elapsedMs: number): string {
  const rowsPerMs = done / elapsedMs;
  const count =
    expected === null ? `${formatCount(done)} rows` : `${formatCount(done)} of ${formatCount(expected)} rows`;
  const parts = [count];
  if (rowsPerMs > 0) {
    parts.push(`${(1000 * rowsPerMs).toFixed(rowsPerMs < 0.1 ? 1 : 0)}/s`);
    if (expected !== null) parts.push(`${formatDuration((expected - done) / rowsPerMs)} left`);
  }
  return parts.join(', ');
}

/** Steps of unknown length on standard error: the name of the one under way, and a count that shows life. */
export function startSteps(options: StatusOptions = {}): Steps {
  const status = startStatus(options);
  return {
    update: (step, done) => status.show((elapsedMs) => `${step}: ${done} done, ${formatDuration(elapsedMs)}`),
    finish: status.finish,
  };
}

/**
 * One live line on a terminal, one plain line every ten seconds elsewhere. Escape codes are used only on a terminal that
 * knows them (not `TERM=dumb`, not `NO_COLOR`).
 */
export function startStatus(options: StatusOptions) {
  const { quiet = false, stream = process.stderr, env = process.env, now = () => performance.now() } = options;
  const live = stream.isTTY === true && env['TERM'] !== 'dumb' && !env['NO_COLOR'];
  const interval = live ? LIVE_INTERVAL_MS : LINE_INTERVAL_MS;
  const startedAt = now();
  let shownAt = startedAt;
  let lineShown = false;
  return {
    /** `write` gets the time since the start, and the columns of a live line or null. */
    show(write: (elapsedMs: number, columns: number | null) => string): void {
      const time = now();
      if (quiet || time - shownAt < interval) return;
      shownAt = time;
      const columns = live ? (stream.columns ?? 80) : null;
      const text = printable(write(time - startedAt, columns));
      // A live line must not wrap, or clearing it would leave its upper part behind.
      stream.write(columns === null ? `${text}\n` : `${CLEAR_LINE}${text.slice(0, Math.max(0, columns - 1))}`);
      lineShown = live;
    },
    finish(): void {
      if (lineShown) stream.write(CLEAR_LINE);
      lineShown = false;
    },
  };
}

function describe(doneBytes: number, totalBytes: number, elapsedMs: number): string {
  const bytesPerMs = doneBytes / elapsedMs;
  const percent = totalBytes > 0 ? Math.min(100, Math.floor((100 * doneBytes) / totalBytes)) : 100;
  const parts = [`${percent}%`, `${formatBytes(doneBytes)} of ${formatBytes(totalBytes)}`];
  if (bytesPerMs > 0) {
    parts.push(`${formatBytes(Math.round(bytesPerMs * 1000))}/s`);
    parts.push(`${formatDuration(Math.max(0, totalBytes - doneBytes) / bytesPerMs)} left`);
  }
  return parts.join(', ');
}

function bar(fraction: number): string {
  const filled = Math.round(Math.min(1, Math.max(0, fraction)) * BAR_CELLS);
  return `[${'#'.repeat(filled)}${'.'.repeat(BAR_CELLS - filled)}]`;
}
