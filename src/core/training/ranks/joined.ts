import type { Run } from '../../run.js';
import { runOf } from '../../run.js';
import { joinRanks, type RankGroup, type RankOptions } from './group.js';
import { identityOf } from './identity.js';

/** The file where the processes of a run find each other, beside what rank 0 writes. */
export const meetingOf = (out: string): string => `${out.replace(/[/\\]+$/, '')}.ranks`;

/** The group of this process, once all are there; null where it trains alone. @throws HpsError as `joinRanks` */
export async function joined(
  ranks: RankOptions | undefined,
  options: Run & {
    readonly meeting: string;
    readonly fingerprint: string;
    readonly device: string;
    readonly threads?: number;
  },
): Promise<RankGroup | null> {
  if (ranks === undefined) return null;
  const { meeting, fingerprint, signal } = options;
  return joinRanks({ ...ranks, meeting, identity: identityOf(fingerprint, options), signal });
}

/** The run, stopped too where another process is lost. */
export function followedBy(ranks: RankGroup | null, options: Run): Run {
  const run = runOf(options);
  if (ranks === null) return run;
  return { ...run, signal: AbortSignal.any([ranks.signal, ...(run.signal ? [run.signal] : [])]) };
}
