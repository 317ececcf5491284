import type { Progress, ProgressUnit } from '../run.js';
import { formatBytes, formatCount, formatDuration, printable } from './format.js';

const BAR_CELLS = 24;
const LIVE_INTERVAL_MS = 100; // ten times a second is smooth and costs nothing
const LINE_INTERVAL_MS = 10_000; // off a terminal: often enough to see life in a log, seldom enough to read it
const CLEAR_LINE = '\r\u001b[K';

export interface ProgressOptions {
  /** Prints nothing at all. */
  quiet?: boolean;
  stream?: NodeJS.WritableStream & { isTTY?: boolean; columns?: number };
  env?: NodeJS.ProcessEnv;
  /** Milliseconds on a clock that never goes back. */
  now?: () => number;
}

export interface ProgressLine {
  /** Says how far the work is; call it as often as you like. */
  update(progress: Progress): void;
  /** Removes the live line; call it in a `finally`, and before anything else is printed. */
  finish(): void;
}

/**
 * Progress on standard error: stage, count, rate and remaining time, with a bar where there is a total. One live line on a terminal, one plain
 * line every ten seconds elsewhere. Escape codes are used only on a terminal that knows them (not `TERM=dumb`, not `NO_COLOR`).
 */
export function startProgress(options: ProgressOptions = {}): ProgressLine {
  const { quiet = false, stream = process.stderr, env = process.env, now = () => performance.now() } = options;
  const live = stream.isTTY === true && env['TERM'] !== 'dumb' && !env['NO_COLOR'];
  const interval = live ? LIVE_INTERVAL_MS : LINE_INTERVAL_MS;
  let start: Start | undefined;
  let shownAt = now();
  let lineShown = false;
  return {
    update(progress) {
      const time = now();
      // The rate is that of this stage, since it was first seen: a run that is resumed has much done already.
      if (start?.stage !== progress.stage) start = { stage: progress.stage, done: progress.done, at: time };
      if (quiet || time - shownAt < interval) return;
      shownAt = time;
      const columns = live ? (stream.columns ?? 80) : null;
      const text = printable(describe(progress, start, time, columns));
      // A live line must not wrap, or clearing it would leave its upper part behind.
      stream.write(columns === null ? `${text}\n` : `${CLEAR_LINE}${text.slice(0, Math.max(0, columns - 1))}`);
      lineShown = live;
    },
    finish() {
      if (lineShown) stream.write(CLEAR_LINE);
      lineShown = false;
    },
  };
}

interface Start {
  readonly stage: string;
  readonly done: number;
  readonly at: number;
}

/** @param columns - of a live line; null off a terminal */
function describe(progress: Progress, start: Start, time: number, columns: number | null): string {
  const { stage, done, total, isEstimate = false, unit, detail } = progress;
  const elapsedMs = time - start.at;
  const perMs = elapsedMs > 0 ? (done - start.done) / elapsedMs : 0;
  const parts = [
    countOf(done, total, unit, isEstimate),
    perMs > 0 ? rateOf(perMs, unit) : '',
    perMs > 0 && total !== null ? `${formatDuration(Math.max(0, total - done) / perMs)} left` : '',
    perMs > 0 && total !== null ? '' : formatDuration(elapsedMs),
    detail ?? '',
  ];
  const words = parts.filter((part) => part !== '').join(', ');
  if (columns === null || total === null) return `${stage}: ${words}`;
  const whole = `${stage} ${bar(total > 0 ? done / total : 1)} ${words}`;
  return whole.length < columns ? whole : `${stage} ${words}`;
}

const SINGULAR = {
  bytes: 'byte',
  rows: 'row',
  pairs: 'pair',
  batches: 'batch',
  steps: 'step',
  windows: 'window',
} as const;

function countOf(done: number, total: number | null, unit: ProgressUnit, isEstimate: boolean): string {
  if (unit === 'bytes') {
    if (total === null) return formatBytes(done);
    const percent = total > 0 ? Math.min(100, Math.floor((100 * done) / total)) : 100;
    return `${percent}%, ${formatBytes(done)} of ${formatBytes(total)}`;
  }
  if (total !== null) return `${formatCount(done)} of ${isEstimate ? 'about ' : ''}${formatCount(total)} ${unit}`;
  return done > 0 ? `${formatCount(done)} ${done === 1 ? SINGULAR[unit] : unit}` : '';
}

function rateOf(perMs: number, unit: ProgressUnit): string {
  const perSecond = 1000 * perMs;
  return unit === 'bytes'
    ? `${formatBytes(Math.round(perSecond))}/s`
    : `${perSecond.toFixed(perSecond < 100 ? 1 : 0)}/s`;
}

function bar(fraction: number): string {
  const filled = Math.round(Math.min(1, Math.max(0, fraction)) * BAR_CELLS);
  return `[${'#'.repeat(filled)}${'.'.repeat(BAR_CELLS - filled)}]`;
}
