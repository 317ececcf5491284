import { isLarge } from '../../gate/load.js';
import { type ModelFacts, readFacts } from '../../gate/model.js';
import type { Probes } from '../../gate/probes.js';
import { batchFeeds, fixedBatch, range } from '../../gate/rows.js';
import {
  type ModelProcess,
  type ModelProcessOptions,
  type RemoteSession,
  withModelProcess,
} from '../../runtime/child.js';

/** Milliseconds of one run of the smallest batch. */
export interface Latency {
  readonly float: number;
  readonly quantized: number;
  /** float / quantized: above 1 the quantized file is faster. */
  readonly ratio: number;
}

export interface LatencyOptions {
  readonly child: ModelProcessOptions;
  readonly threads?: number;
}

const WARM_UP = 3;
const MIN_ROUNDS = 7;
const MAX_ROUNDS = 60;
/** Time spent on one comparison beyond the fewest rounds. */
const BUDGET_MS = 3000;

/**
 * Median time of a run of two files on the same rows, in turn, so that a drift of the machine meets both. Each is loaded as it
 * will be served: all optimisations, with the options its manifest asks for.
 */
export async function compareLatency(
  floatPath: string,
  quantizedPath: string,
  probes: Probes,
  options: LatencyOptions,
): Promise<Latency> {
  const files = await Promise.all([floatPath, quantizedPath].map(readFacts));
  if (files.some(isLarge)) return latencyOf(await Promise.all(files.map((file) => timeAlone(file, probes, options))));
  return withModelProcess(options.child, async (child) => {
    const sessions = await Promise.all(files.map((file) => open(child, file, options)));
    return latencyOf(await timeInTurn(sessions, probes));
  });
}

/** One after the other, where both do not fit at once. */
const timeAlone = (file: ModelFacts, probes: Probes, options: LatencyOptions): Promise<number> =>
  withModelProcess(options.child, async (child) => (await timeInTurn([await open(child, file, options)], probes))[0]);

const open = (child: ModelProcess, { path, manifest, bytes }: ModelFacts, { threads }: LatencyOptions) =>
  child.load(path, { threads, config: manifest?.session }, bytes);

async function timeInTurn(sessions: readonly RemoteSession[], probes: Probes): Promise<number[]> {
  const batch = batchFeeds(
    probes,
    range(fixedBatch(sessions[0]) ?? 1).map(() => 0),
  );
  const times = sessions.map((): number[] => []);
  const started = performance.now();
  for (let round = -WARM_UP; round < MAX_ROUNDS; round++) {
    for (const [i, session] of sessions.entries()) {
      const before = session.runMs;
      await session.run(batch);
      if (round >= 0) times[i].push(session.runMs - before);
    }
    if (round >= MIN_ROUNDS && performance.now() - started > BUDGET_MS) break;
  }
  return times.map(median);
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1];

const latencyOf = ([float, quantized]: readonly number[]): Latency => ({ float, quantized, ratio: float / quantized });

/** What to say of a file that is not faster: one sentence, or none. */
export function speedWarnings(latency: Latency | null): string[] {
  if (latency === null || latency.quantized < latency.float) return [];
  const [float, quantized] = [latency.float, latency.quantized].map((ms) => `${ms.toPrecision(3)} ms`);
  return [
    `Not faster here than the float model (${quantized} against ${float}): not recommended for speed on this machine.`,
  ];
}
