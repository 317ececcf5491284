import type { ModelProcess } from '../runtime/child.js';
import { type RemoteSession, withModelProcess } from '../runtime/child.js';
import type { TensorValue } from '../runtime/value.js';
import { quantileOfSorted } from '../stats/quantile.js';
import { quantileInterval } from '../stats/quantile-interval.js';
import type { Estimate, Latency, Setting } from './schema.js';
import { type Bench, openSubject, type Subject } from './subject.js';

/** Runs that the 95th percentile and its interval take; a slow model stops sooner, at the fewest that give a median. */
const ENOUGH_RUNS = 100;
const FEWEST_RUNS = 8;
const MOST_RUNS = 20_000;
/** How many times the budget a slow model may take to reach `ENOUGH_RUNS`. */
const PATIENCE = 3;
const WARM_UP_ROUNDS = 5;
/** Runs are asked for in slices, so that there is something to report. */
const SLICE_MS = 500;

export interface WarmLatency {
  readonly latency: Latency;
  /** Milliseconds of every run, in order. */
  readonly times: readonly number[];
  readonly steadyBytes: number;
  readonly peakBytes: number;
}

/** Times warm runs of one setting, back to back in a process of their own. */
export function measureLatency(subject: Subject, setting: Setting, bench: Bench): Promise<WarmLatency> {
  return withModelProcess(bench.child, async (process) => {
    const session = await openSubject(process, subject, setting, bench);
    const times = await timeRuns(process, session, subject.inputs.feeds(setting.batch), bench);
    return {
      latency: summarize(times, setting),
      times,
      steadyBytes: process.rssBytes,
      peakBytes: process.peakRssBytes,
    };
  });
}

async function timeRuns(
  process: ModelProcess,
  session: RemoteSession,
  feeds: ReadonlyMap<string, TensorValue>,
  { budgetMs, onStep }: Bench,
): Promise<number[]> {
  const trial = [{ session, feeds }];
  await process.time(trial, { rounds: WARM_UP_ROUNDS, budgetMs: budgetMs / 5 });
  const times: number[] = [];
  const begun = performance.now();
  for (;;) {
    onStep('Latency');
    times.push(...(await process.time(trial, { rounds: MOST_RUNS - times.length, budgetMs: SLICE_MS }))[0]);
    const elapsed = performance.now() - begun;
    if (times.length >= MOST_RUNS || (times.length >= ENOUGH_RUNS && elapsed >= budgetMs)) return times;
    if (times.length >= FEWEST_RUNS && elapsed >= PATIENCE * budgetMs) return times;
  }
}

/** Percentiles with distribution-free intervals; runs are taken as independent. */
export function summarize(times: readonly number[], setting: Setting): Latency {
  const sorted = Float64Array.from(times).sort();
  const percentile = (p: number): Estimate => ({
    value: quantileOfSorted(sorted, p),
    ci: asPair(quantileInterval(sorted, p)),
  });
  const meanMs = times.reduce((sum, ms) => sum + ms, 0) / times.length;
  return {
    setting,
    runs: times.length,
    meanMs,
    minMs: sorted[0],
    maxMs: sorted[sorted.length - 1],
    p50Ms: percentile(0.5),
    p90Ms: percentile(0.9),
    p95Ms: percentile(0.95),
    p99Ms: percentile(0.99),
    samplesPerSecond: (1000 * setting.batch) / meanMs,
  };
}

export const asPair = (ci: readonly [number, number] | null): [number, number] | null => (ci ? [ci[0], ci[1]] : null);
