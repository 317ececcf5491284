import { join } from 'node:path';
import { withLockedFolder } from '../../bytes/folder-lock.js';
import type { PairRow } from '../../data/rows.js';
import { FILES, type LabelSettings, readFolderPairs, readKey, readSettings } from '../../labelling/folder.js';
import { Session } from '../../labelling/session.js';
import type { Vote } from '../../labelling/vote.js';
import { readVotes } from '../../labelling/vote-log.js';

/** A session that nobody serves. */
export interface ExistingSession {
  readonly settings: LabelSettings;
  readonly pairs: readonly PairRow[];
  readonly gold: readonly PairRow[];
  readonly votes: readonly Vote[];
}

/**
 * Runs `use` over a session while no other process has its folder.
 * @throws HpsError FILE_NOT_FOUND for a folder that is none of a session; OUTPUT_BUSY; as `readVotes`
 */
export async function withSession<T>(folder: string, use: (session: ExistingSession) => Promise<T>): Promise<T> {
  const settings = readSettings(folder); // before the folder is locked, which makes it
  return withLockedFolder(folder, async () => {
    const [pairs, gold] = [await readFolderPairs(folder, FILES.pairs), await readFolderPairs(folder, FILES.gold)];
    const { votes } = await readVotes(join(folder, FILES.votes));
    return use({ settings, pairs, gold, votes });
  });
}

/** The session as these votes leave it. */
export function sessionOf(folder: string, { settings, pairs, gold, votes }: ExistingSession): Session {
  const session = new Session({
    pairs,
    gold,
    votesPerPair: settings.votes_per_pair,
    seed: settings.seed,
    key: readKey(folder),
    raters: settings.raters ?? undefined,
  });
  for (const vote of votes) session.apply(vote);
  return session;
}
