import { Random } from '../bytes/random.js';
import { HpsError } from '../errors.js';
import { withModelProcess } from '../runtime/child.js';
import { median } from './median.js';
import type { Profile, Setting, SweepRow } from './schema.js';
import { type Bench, openSubject, type Subject } from './subject.js';

export interface SweepOptions {
  /** Models by variant; the first is the model itself. */
  readonly subjects: ReadonlyMap<string, Subject>;
  readonly settings: readonly Setting[];
  readonly seed: number;
}

/** Settings left for the last rounds, and how often those are run. */
const FINALISTS = 4;
const FINAL_REPEATS = 5;
/** Rounds of one setting in one process, at least. */
const FEWEST_ROUNDS = 3;
const MOST_ROUNDS = 500;
/** A setting this close to the fastest is as good: machines repeat themselves no better. */
const AS_GOOD = 0.97;
/** Share of the most samples a second at which a larger batch no longer pays. */
const KNEE = 0.95;

interface Measured {
  readonly setting: Setting;
  /** Of a run, one a process: the median, and the mean. */
  readonly ms: number[];
  readonly meanMs: number[];
  failed: string | null;
}

/**
 * Throughput of all settings. Each is measured in a process of its own order of rounds; the slower half is dropped
 * (successive halving), and the last ones are repeated in turn, so that the recommendation does not rest on one lucky moment.
 * The fastest for one sample stay in as well.
 * @see Jamieson and Talwalkar (2016)
 */
export async function sweep(options: SweepOptions, bench: Bench): Promise<Profile['sweep']> {
  const all = options.settings.map((setting): Measured => ({ setting, ms: [], meanMs: [], failed: null }));
  const random = new Random(`${options.seed}/sweep`);
  let left = all;
  while (left.length > FINALISTS) {
    await measure(left, options, random, bench);
    const next = fasterHalf(left);
    if (next.length === left.length) break;
    left = next;
  }
  for (let repeat = 0; repeat < FINAL_REPEATS; repeat++) await measure(left, options, random, bench);
  return {
    settings: all.map(rowOf),
    knees: kneesOf(all),
    recommended: recommend(left),
  };
}

/** Once each, all settings of a loaded session together, sessions in random order. */
async function measure(left: readonly Measured[], options: SweepOptions, random: Random, bench: Bench): Promise<void> {
  const groups = [...groupSessions(left).values()];
  for (const at of random.permutation(groups.length)) {
    bench.onStep('Sweep');
    await measureSession(groups[at], options, bench);
  }
}

function groupSessions(left: readonly Measured[]): Map<string, Measured[]> {
  const sessions = new Map<string, Measured[]>();
  for (const one of left.filter(({ failed }) => failed === null)) {
    const { variant, threads, optimization } = one.setting;
    const key = `${variant}/${threads}/${optimization}`;
    sessions.set(key, [...(sessions.get(key) ?? []), one]);
  }
  return sessions;
}

async function measureSession(group: readonly Measured[], { subjects }: SweepOptions, bench: Bench): Promise<void> {
  const [{ setting }] = group;
  const subject = subjects.get(setting.variant)!;
  let under: Measured = group[0];
  try {
    await withModelProcess(bench.child, async (process) => {
      const session = await openSubject(process, subject, setting, bench);
      for (under of group) {
        const trial = [{ session, feeds: subject.inputs.feeds(under.setting.batch) }];
        await process.time(trial, { rounds: 2, budgetMs: bench.budgetMs / 20 });
        const times: number[] = [];
        do {
          times.push(...(await process.time(trial, { rounds: MOST_ROUNDS, budgetMs: bench.budgetMs / 20 }))[0]);
        } while (times.length < FEWEST_ROUNDS);
        under.ms.push(median(times));
        under.meanMs.push(times.reduce((sum, ms) => sum + ms, 0) / times.length);
      }
    });
  } catch (error) {
    if (!(error instanceof HpsError) || error.code === 'INTERRUPTED') throw error;
    // A batch that does not fit ends its process; those after it in the group go without this round.
    under.failed = error.code;
  }
}

/** By the mean: where others use the machine, a long run waits for it each time and a short one now and then, both as long in all. */
const samplesPerSecond = ({ setting, meanMs }: Measured): number =>
  meanMs.length === 0 ? 0 : (1000 * setting.batch) / median(meanMs);
const latencyOf = ({ ms }: Measured): number => (ms.length === 0 ? Number.POSITIVE_INFINITY : median(ms));

function fasterHalf(left: readonly Measured[]): Measured[] {
  const working = left.filter(({ failed }) => failed === null);
  const count = Math.max(FINALISTS - 1, Math.ceil(working.length / 2));
  const byThroughput = working.toSorted((a, b) => samplesPerSecond(b) - samplesPerSecond(a)).slice(0, count);
  const soonest = working.toSorted((a, b) => latencyOf(a) - latencyOf(b)).slice(0, 1);
  return [...new Set([...byThroughput, ...soonest])];
}

function rowOf(measured: Measured): SweepRow {
  const { setting, ms, failed } = measured;
  const known = failed === null && ms.length > 0;
  return {
    setting,
    ms: known ? median(ms) : null,
    samplesPerSecond: known ? samplesPerSecond(measured) : null,
    repeats: ms.length,
    failed,
  };
}

/** The smallest batch of each variant, thread count and level that is nearly as good as its best. */
function kneesOf(all: readonly Measured[]): Setting[] {
  return [...groupSessions(all).values()].map((group) => {
    const most = Math.max(...group.map(samplesPerSecond));
    return group
      .toSorted((a, b) => a.setting.batch - b.setting.batch)
      .find((one) => samplesPerSecond(one) >= KNEE * most)!.setting;
  });
}

/** Among the equally good, the smallest batch with the fewest threads: it takes the least memory and leaves the most cores. */
function recommend(finalists: readonly Measured[]): Profile['sweep']['recommended'] {
  const working = finalists.filter(({ failed, ms }) => failed === null && ms.length > 0);
  if (working.length === 0) return null;
  const most = Math.max(...working.map(samplesPerSecond));
  const cheapest = (good: readonly Measured[]): Setting =>
    good.toSorted((a, b) => a.setting.batch - b.setting.batch || a.setting.threads - b.setting.threads)[0].setting;
  const smallestBatch = Math.min(...working.map(({ setting }) => setting.batch));
  const single = working.filter(({ setting }) => setting.batch === smallestBatch);
  const least = Math.min(...single.map(latencyOf));
  return {
    throughput: cheapest(working.filter((one) => samplesPerSecond(one) >= AS_GOOD * most)),
    latency: cheapest(single.filter((one) => latencyOf(one) <= least / AS_GOOD)),
  };
}
