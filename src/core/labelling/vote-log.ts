import { basename } from 'node:path';
import { sha256Hex } from '../bytes/hash.js';
import { FileSource } from '../bytes/source.js';
import { fileInput } from '../data/input.js';
import { forEachLine, readLineBlocks } from '../data/lines.js';
import { parseDocumentBytes } from '../documents/define.js';
import { HpsError } from '../errors.js';
import { AppendLog } from './append-log.js';
import { type NewVote, type Vote, voteDocument } from './vote.js';

/** Where a log ends, so that the next line can say what it follows. */
export interface LogEnd {
  /** Of the last vote; 0 where there is none. */
  readonly seq: number;
  /** SHA-256 of the last line. */
  readonly sha256: string;
}

export const EMPTY_LOG: LogEnd = { seq: 0, sha256: sha256Hex(new Uint8Array()) };

/** A vote as the line that follows `end`, without its newline. */
export function formatVote(vote: NewVote, end: LogEnd): { readonly line: string; readonly end: LogEnd; vote: Vote } {
  const whole: Vote = { schema: 'hpsv3/vote@1', seq: end.seq + 1, ...vote, prev: end.sha256 };
  const line = JSON.stringify(whole);
  return { line, vote: whole, end: { seq: whole.seq, sha256: sha256Hex(Buffer.from(line)) } };
}

/** Votes as the whole text of a log. */
export function formatVotes(votes: Iterable<NewVote>): string {
  let end = EMPTY_LOG;
  let text = '';
  for (const vote of votes) {
    const next = formatVote(vote, end);
    text += `${next.line}\n`;
    end = next.end;
  }
  return text;
}

export interface ReadVotes {
  readonly votes: readonly Vote[];
  readonly end: LogEnd;
  /** Bytes of whole lines; a last line without newline, as a killed writer leaves it, was never acknowledged. */
  readonly length: number;
  /** Bytes of that last line. */
  readonly tornBytes: number;
}

/**
 * Every vote of a log, each line held to the one before it.
 * @throws HpsError FILE_NOT_FOUND, FILE_UNREADABLE; DATA_INVALID for a line that is no vote; CHECKSUM_MISMATCH where lines were
 *   changed, removed or put in
 */
export async function readVotes(path: string): Promise<ReadVotes> {
  const name = basename(path);
  const source = FileSource.open(path);
  try {
    const votes: Vote[] = [];
    let end = EMPTY_LOG;
    let blockStart = 0;
    let length = 0;
    for await (const block of readLineBlocks(fileInput(source).chunks())) {
      if (block.tooLong) throw changed(name, block.firstLine);
      forEachLine(block, (from, to, line) => {
        if (to === block.end) return; // no newline follows
        const bytes = block.bytes.subarray(from, to);
        const vote = parseDocumentBytes(voteDocument, bytes, `${name}, line ${line}`) as Vote;
        if (vote.seq !== end.seq + 1 || vote.prev !== end.sha256) throw changed(name, line);
        votes.push(vote);
        end = { seq: vote.seq, sha256: sha256Hex(bytes) };
        length = blockStart + to + 1;
      });
      blockStart += block.end;
    }
    return { votes, end, length, tornBytes: source.byteLength - length };
  } finally {
    source.close();
  }
}

const changed = (file: string, line: number): HpsError =>
  new HpsError('CHECKSUM_MISMATCH', `${file}, line ${line}: does not follow from the line before it`, {
    hint: 'Votes were changed, removed or put in by other means than hpsv3: take the file from a backup.',
    details: { file, line },
  });

/** A log that grows. A vote counts once its `add` resolves: it is on disk then. */
export class VoteLog {
  private constructor(
    private readonly file: AppendLog,
    private end: LogEnd,
  ) {}

  static async open(path: string, { length, end }: Pick<ReadVotes, 'length' | 'end'>): Promise<VoteLog> {
    return new VoteLog(await AppendLog.open(path, length), end);
  }

  /** For tests: over any file. */
  static over(file: AppendLog, end = EMPTY_LOG): VoteLog {
    return new VoteLog(file, end);
  }

  /**
   * Gives the vote its place.
   * @throws HpsError OUTPUT_WRITE_FAILED: then it has none
   */
  async add(vote: NewVote): Promise<Vote> {
    let added: ReturnType<typeof formatVote> | undefined;
    let before = this.end;
    await this.file.append(
      () => {
        before = this.end;
        added = formatVote(vote, before);
        this.end = added.end;
        return `${added.line}\n`;
      },
      () => {
        this.end = before;
      },
    );
    return added!.vote;
  }

  close(): Promise<void> {
    return this.file.close();
  }
}
