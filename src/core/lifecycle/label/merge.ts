import { basename, join } from 'node:path';
import { FileSource } from '../../bytes/source.js';
import { readJsonLines } from '../../data/json-lines.js';
import { HpsError } from '../../errors.js';
import { EXPORTS } from '../../labelling/exports.js';
import { sessionFigures } from '../../labelling/figures.js';
import { FILES, type LeftOutByFile, writeExports, writeFolderFile } from '../../labelling/folder.js';
import { goldAnswer } from '../../labelling/pairs.js';
import { Shelf, type ShownPair } from '../../labelling/shelf.js';
import { type NewVote, offlineVoteSchema } from '../../labelling/vote.js';
import { formatVotes, readVotes } from '../../labelling/vote-log.js';
import type { SessionFigures } from '../../labelling/wire.js';
import { type ExistingSession, sessionOf, withSession } from './existing.js';

export interface MergeLabelsOptions {
  /** Folder of the session. */
  readonly session: string;
  /** What pages that are files have saved; none only writes the labels again. */
  readonly files: readonly string[];
}

export interface MergedFile {
  readonly file: string;
  readonly added: number;
  /** Votes that were there already. */
  readonly known: number;
}

export interface MergeLabelsReport {
  readonly merged: readonly MergedFile[];
  readonly figures: SessionFigures;
  readonly files: readonly string[];
  readonly leftOut: LeftOutByFile;
}

/**
 * Adds votes that were saved by pages that are files, each once however often it is given, and writes the labels again. Either all
 * files are added, or none.
 * @throws HpsError DATA_INVALID for a line that is no vote on a pair of this session as it is
 */
export async function mergeLabels({ session: folder, files }: MergeLabelsOptions): Promise<MergeLabelsReport> {
  return withSession(folder, async (existing) => {
    const votes: NewVote[] = existing.votes.map(({ schema: _schema, seq: _seq, prev: _prev, ...vote }) => vote);
    const known = new Set(votes.map(({ vote }) => vote));
    const check = checkOf(existing);
    const merged: MergedFile[] = [];
    for (const path of files) {
      const found = await readOffline(path, check);
      const added = found.filter(({ vote }) => !known.has(vote));
      for (const vote of added) {
        known.add(vote.vote);
        votes.push(vote);
      }
      merged.push({ file: basename(path), added: added.length, known: found.length - added.length });
    }
    if (merged.some(({ added }) => added > 0)) await writeFolderFile(folder, FILES.votes, formatVotes(votes));
    const after = await readVotes(join(folder, FILES.votes));
    const session = sessionOf(folder, { ...existing, votes: after.votes });
    const leftOut = await writeExports(folder, session, existing.pairs);
    return { merged, figures: await sessionFigures(session), files: EXPORTS, leftOut };
  });
}

type Check = (vote: NewVote, where: string) => Promise<NewVote>;

/** Holds votes to the pairs of the session: what was shown is what is there, and gold is what the session calls so. */
function checkOf({ settings, pairs, gold }: ExistingSession): Check {
  const rows = new Map([...pairs, ...gold].map((row) => [row.id, row]));
  const answers = new Set(gold.filter((row) => goldAnswer(row) !== null).map(({ id }) => id));
  const shelf = new Shelf({ mediaRoot: settings.media_root });
  const shown = new Map<string, ShownPair>();
  return async (vote, where) => {
    const row = rows.get(vote.pair);
    if (!row) throw notOfSession(where, `is on ${JSON.stringify(vote.pair)}, which is no pair of this session`);
    const pair = shown.get(row.id) ?? (await shelf.show(row));
    shown.set(row.id, pair);
    if (pair.left.sha256 !== vote.left_sha256 || pair.right.sha256 !== vote.right_sha256) {
      throw notOfSession(where, `has seen something else as pair ${JSON.stringify(row.id)}`);
    }
    return { ...vote, gold: answers.has(row.id) };
  };
}

const notOfSession = (where: string, rule: string): HpsError =>
  new HpsError('DATA_INVALID', `${where}: the vote ${rule}`, {
    hint: 'Merge what a page of this session has saved. Nothing was added.',
    details: { where },
  });

async function readOffline(path: string, check: Check): Promise<NewVote[]> {
  const source = FileSource.open(path);
  try {
    const votes: NewVote[] = [];
    for await (const { value, line } of readJsonLines(source)) {
      const parsed = offlineVoteSchema.safeParse(value);
      const where = `${source.name}, line ${line}`;
      if (!parsed.success) {
        const [{ path: at, message }] = parsed.error.issues;
        throw new HpsError(
          'DATA_INVALID',
          `${where}: is no vote: ${at.map(String).join('.') || 'the line'}: ${message}`,
          {
            hint: 'Give what `Save votes to a file` of the page has saved. Nothing was added.',
            details: { file: source.name, line },
          },
        );
      }
      const { schema: _schema, seq: _seq, prev: _prev, ...vote } = parsed.data;
      votes.push(await check(vote, where));
    }
    return votes;
  } finally {
    source.close();
  }
}
