import { basename } from 'node:path';
import { fetchLocked } from '../../bundle/fetch.js';
import { hasLocked } from '../../bundle/runtimes.js';
import { RUNTIMES } from '../../bundle/runtimes-lock.js';
import { TARGET_IDS, targetsOf } from '../../bundle/targets.js';
import { filled } from '../../defaults.js';
import { type Run, startStage } from '../../run.js';

export interface FetchOptions extends Run {
  /** Folder of packages. */
  readonly runtimes: string;
  readonly targets?: readonly string[];
}

export const FETCH_DEFAULTS = { targets: TARGET_IDS } as const satisfies Partial<FetchOptions>;

export interface FetchReport {
  /** Base name of the folder. */
  readonly runtimes: string;
  readonly targets: readonly string[];
  readonly packages: readonly { readonly name: string; readonly version: string; readonly fetched: boolean }[];
}

/**
 * Downloads what releases are made of, once: Node and native libraries of each target, in the versions and with the hashes of the lock.
 * @throws HpsError REMOTE_FAILED, CHECKSUM_MISMATCH, and as `targetsOf`
 */
export async function fetchRuntimes(given: FetchOptions): Promise<FetchReport> {
  const options = filled(given, FETCH_DEFAULTS);
  const targets = targetsOf(options.targets);
  const packages: { name: string; version: string; fetched: boolean }[] = [];
  for (const locked of targets.flatMap(({ id }) => RUNTIMES[id])) {
    const { name, version } = locked;
    startStage(options, `Fetching ${name}`);
    const fetched = !hasLocked(options.runtimes, locked);
    if (fetched) await fetchLocked(options.runtimes, locked, options.signal);
    packages.push({ name, version, fetched });
  }
  return { runtimes: basename(options.runtimes), targets: targets.map(({ id }) => id), packages };
}
