import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { HpsError } from '../../errors.js';
import { EXPORTS } from '../../labelling/exports.js';
import { FILES, type LeftOutByFile, writeExports, writeFolderFile } from '../../labelling/folder.js';
import { formatEvents, readRaters } from '../../labelling/raters.js';
import type { NewVote } from '../../labelling/vote.js';
import { formatVotes, readVotes } from '../../labelling/vote-log.js';
import { sessionOf, withSession } from './existing.js';

export interface ForgetRaterOptions {
  /** Folder of the session. */
  readonly session: string;
  readonly rater: string;
}

export interface ForgetRaterReport {
  readonly rater: string;
  /** Votes that are nobody's now, those that were replaced included. */
  readonly votes: number;
  readonly files: readonly string[];
  readonly leftOut: LeftOutByFile;
}

/**
 * Makes the votes of a rater nobody's: the name goes from the log, from the labels and from the list of raters, with the link and the
 * cookie; of the times the day is left. The votes still count, each for itself.
 * @throws HpsError USAGE for a name that nobody has
 */
export async function forgetRater({ session: folder, rater }: ForgetRaterOptions): Promise<ForgetRaterReport> {
  return withSession(folder, async (existing) => {
    const { pairs } = existing;
    const path = join(folder, FILES.raters);
    const events = existsSync(path) ? (await readRaters(path)).events : [];
    const own = existing.votes.filter((vote) => vote.rater === rater).length;
    const others = events.filter((event) => event.rater !== rater);
    if (own === 0 && others.length === events.length) {
      throw new HpsError('USAGE', `nobody has the name ${JSON.stringify(rater)} here`, {
        hint: 'Give a name that stands in labels.jsonl.',
        details: { rater },
      });
    }
    const votes = existing.votes.map(({ schema: _schema, seq: _seq, prev: _prev, ...vote }): NewVote => {
      return vote.rater === rater ? { ...vote, rater: null, at: `${vote.at.slice(0, 10)}T00:00:00.000Z` } : vote;
    });
    await writeFolderFile(folder, FILES.votes, formatVotes(votes));
    await writeFolderFile(folder, FILES.raters, formatEvents(others));
    const after = await readVotes(join(folder, FILES.votes));
    const session = sessionOf(folder, { ...existing, votes: after.votes });
    return { rater, votes: own, files: EXPORTS, leftOut: await writeExports(folder, session, pairs) };
  });
}
