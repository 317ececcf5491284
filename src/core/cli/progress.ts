import { formatBytes, formatDuration, printable } from './format.js';

const BAR_CELLS = 24;
const LIVE_INTERVAL_MS = 100; // ten times a second is smooth and costs nothing
const LINE_INTERVAL_MS = 10_000; // off a terminal: often enough to see life in a log, seldom enough to read it
const CLEAR_LINE = '\r\u001b[K';

export interface ProgressOptions {
  /** What is being done, in a word or two: `Exporting`. */
  label: string;
  /** Prints nothing at all. */
  quiet?: boolean;
  stream?: NodeJS.WritableStream & { isTTY?: boolean; columns?: number };
  env?: NodeJS.ProcessEnv;
  /** Milliseconds on a clock that never goes back. */
  now?: () => number;
}

export interface Progress {
  /** Says how far the work is, in bytes; call it as often as you like. */
  update(doneBytes: number, totalBytes: number): void;
  /** Removes the live line; call it in a `finally`, before anything else is printed. */
  finish(): void;
}

/**
 * Progress on standard error: one live line with a bar, bytes, rate and remaining time on a terminal, one plain line
 * every ten seconds elsewhere. Escape codes are used only on a terminal that knows them (not `TERM=dumb`, not `NO_COLOR`).
 */
export function startProgress(options: ProgressOptions): Progress {
  const { label, quiet = false, stream = process.stderr, env = process.env, now = () => performance.now() } = options;
  if (quiet) return { update() {}, finish() {} };
  const live = stream.isTTY === true && env['TERM'] !== 'dumb' && !env['NO_COLOR'];
  const interval = live ? LIVE_INTERVAL_MS : LINE_INTERVAL_MS;
  const startedAt = now();
  let printedAt = startedAt;
  let lineShown = false;

  return {
    update(doneBytes, totalBytes) {
      const time = now();
      if (time - printedAt < interval) return;
      printedAt = time;
      const status = describe(doneBytes, totalBytes, time - startedAt);
      if (live)
        stream.write(`${CLEAR_LINE}${fitLine(printable(label), bar(doneBytes / totalBytes), status, stream.columns)}`);
      else stream.write(`${printable(label)}: ${status}\n`);
      lineShown = live;
    },
    finish() {
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

/** A live line must not wrap, or clearing it would leave the upper part behind: the bar goes first. */
function fitLine(label: string, barText: string, status: string, columns = 80): string {
  const whole = `${label} ${barText} ${status}`;
  return whole.length < columns ? whole : `${label} ${status}`.slice(0, Math.max(0, columns - 1));
}
