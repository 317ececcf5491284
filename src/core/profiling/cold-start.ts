import { ModelProcess } from '../runtime/child.js';
import type { ValueInfo } from '../runtime/session.js';
import type { TensorValue } from '../runtime/value.js';
import { median } from './median.js';
import type { Profile } from './schema.js';
import { type Bench, openSubject, type SessionSetting, type Subject } from './subject.js';

export interface ColdStart {
  readonly coldStart: Profile['coldStart'];
  readonly runtimeBytes: number;
  readonly loadedBytes: number;
  readonly runtimeVersion: string;
}

/** Beginnings measured; the model's files are in the cache of the system from the second on. */
const STARTS = 3;

/**
 * What a first answer costs: a process started, the runtime loaded, the model loaded, one sample run. Medians.
 * @param feedsOf - the feeds of one run, once the inputs are known
 */
export async function measureColdStart(
  facts: Subject['facts'],
  setting: SessionSetting,
  feedsOf: (inputs: readonly ValueInfo[]) => Promise<ReadonlyMap<string, TensorValue>>,
  bench: Bench,
): Promise<ColdStart> {
  const starts: Start[] = [];
  for (let i = 0; i < STARTS; i++) {
    bench.onStep('Cold start');
    starts.push(await startOnce(facts, setting, feedsOf, bench));
  }
  const of = (key: 'processMs' | 'runtimeMs' | 'loadMs' | 'firstRunMs' | 'totalMs' | 'runtimeBytes' | 'loadedBytes') =>
    median(starts.map((start) => start[key]));
  return {
    coldStart: {
      runs: STARTS,
      processMs: of('processMs'),
      runtimeMs: of('runtimeMs'),
      loadMs: of('loadMs'),
      firstRunMs: of('firstRunMs'),
      totalMs: of('totalMs'),
    },
    runtimeBytes: of('runtimeBytes'),
    loadedBytes: of('loadedBytes'),
    runtimeVersion: starts[0].version,
  };
}

type Start = Awaited<ReturnType<typeof startOnce>>;

async function startOnce(
  facts: Subject['facts'],
  setting: SessionSetting,
  feedsOf: (inputs: readonly ValueInfo[]) => Promise<ReadonlyMap<string, TensorValue>>,
  { child, device }: Bench,
) {
  const begun = performance.now();
  const process = new ModelProcess(child);
  try {
    const { version, prepareMs } = await process.prepare();
    const prepared = performance.now();
    const runtimeBytes = process.rssBytes;
    const session = await openSubject(process, { facts }, setting, { device });
    const loaded = performance.now();
    const loadedBytes = process.rssBytes;
    const feeds = await feedsOf(session.inputs);
    const [[firstRunMs]] = await process.time([{ session, feeds }], { rounds: 1, budgetMs: 0 });
    const processMs = prepared - begun - prepareMs;
    const loadMs = loaded - prepared;
    const totalMs = processMs + prepareMs + loadMs + firstRunMs;
    return { version, processMs, runtimeMs: prepareMs, loadMs, firstRunMs, totalMs, runtimeBytes, loadedBytes };
  } finally {
    await process.close();
  }
}
