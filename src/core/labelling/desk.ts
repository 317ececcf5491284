import { HpsError } from '../errors.js';
import type { Consent } from './consent.js';
import { promptOf, questionOf } from './pairs.js';
import type { Question, Session } from './session.js';
import type { Shelf, ShownPair } from './shelf.js';
import { otherSide } from './tickets.js';
import type { NewVote, Vote } from './vote.js';
import type { VoteLog } from './vote-log.js';
import type { SentVote, ShownQuestion, Work } from './wire.js';

export interface Acknowledged {
  readonly vote: string;
  readonly seq: number;
  /** Whether it was there already. */
  readonly again: boolean;
}

/** Why a vote is not taken. */
export type Refusal = 'TICKET_UNKNOWN' | 'VOTE_REUSED' | 'SHOWN_OTHERWISE' | 'NOTHING_TO_UNDO';

export class VoteRefused extends Error {
  override readonly name = 'VoteRefused';
  constructor(
    readonly code: Refusal,
    message: string,
  ) {
    super(message);
  }
}

export interface DeskOptions {
  readonly session: Session;
  readonly shelf: Shelf;
  readonly log: VoteLog;
  /** What is asked instead of what the rows say; null for that. */
  readonly question: string | null;
  readonly consent: Consent | null;
  /** Called for each pair that cannot be shown. */
  readonly onWithdrawn?: (pair: string, why: string) => void;
  readonly now?: () => Date;
}

/** Hands out questions and takes votes: each is on disk before it is acknowledged, and one of a rater is taken after the other. */
export class Desk {
  private readonly turns = new Map<string, Promise<unknown>>();

  constructor(private readonly options: DeskOptions) {}

  /** What the rater has before it. Pairs that cannot be shown are withdrawn, and others come in their place. */
  async work(rater: string): Promise<Work> {
    const { session } = this.options;
    for (;;) {
      const questions = session.questions(rater);
      const shown = await Promise.all(questions.map((question) => this.show(question)));
      if (shown.includes(null)) continue; // each pass withdraws one at least
      return {
        questions: shown.filter((question) => question !== null),
        done: session.ballots.by(rater).length,
        due: session.due,
        paused: session.isPaused(rater),
        canUndo: session.ballots.by(rater).length > 0,
      };
    }
  }

  /**
   * Takes a vote. Sent again, it is acknowledged again.
   * @throws VoteRefused; HpsError OUTPUT_WRITE_FAILED where it could not be written, and does not count
   */
  take(rater: string, sent: SentVote, consent: string | null): Promise<Acknowledged> {
    return this.inTurn(rater, async () => {
      const { session } = this.options;
      const judged = session.judge(rater, sent.ticket, sent.answer);
      if (!judged) throw new VoteRefused('TICKET_UNKNOWN', 'this is no question that this rater was asked');
      const known = session.ballots.find(sent.vote);
      if (known)
        return acknowledgeAgain(known, rater, (vote) => vote.pair === judged.pair && vote.choice === judged.choice);
      const row = session.row(judged.pair)!;
      const pair = await this.options.shelf.show(row);
      const { first } = judged.shown;
      if (sent.shown[0] !== pair[first].sha256 || sent.shown[1] !== pair[otherSide(first)].sha256) {
        throw new VoteRefused('SHOWN_OTHERWISE', 'what was shown is not what the question is about');
      }
      const { ms, visible_ms, media_ready_ms, ui, vote } = sent;
      return this.write(pair, { vote, rater, ...judged, ms, visible_ms, media_ready_ms, ui, consent });
    });
  }

  /**
   * Takes back the rater's last vote that stands, and puts its question before the rater again.
   * @param id - of the undo: sent again, it takes back nothing more
   * @throws VoteRefused NOTHING_TO_UNDO; HpsError OUTPUT_WRITE_FAILED
   */
  undo(rater: string, id: string): Promise<Acknowledged> {
    return this.inTurn(rater, async () => {
      const { session, log } = this.options;
      const known = session.ballots.find(id);
      if (known) return acknowledgeAgain(known, rater, ({ choice }) => choice === 'undo');
      const last = session.ballots.by(rater).at(-1);
      if (!last) throw new VoteRefused('NOTHING_TO_UNDO', 'there is no vote to take back');
      const { schema: _schema, seq: _seq, prev: _prev, ...vote } = last;
      const line = await log.add({ ...vote, vote: id, choice: 'undo', replaces: last.vote, at: this.at() });
      session.apply(line);
      session.askAgain(last);
      return { vote: id, seq: line.seq, again: false };
    });
  }

  private async write(
    pair: ShownPair,
    vote: Omit<NewVote, 'left_sha256' | 'right_sha256' | 'at'>,
  ): Promise<Acknowledged> {
    const { session, log } = this.options;
    const hashes = { left_sha256: pair.left.sha256, right_sha256: pair.right.sha256 };
    const line = await log.add({ ...vote, ...hashes, at: this.at() });
    session.apply(line);
    return { vote: line.vote, seq: line.seq, again: false };
  }

  private at = (): string => (this.options.now?.() ?? new Date()).toISOString();

  /** Null for a pair that was withdrawn. */
  private async show({ row, first, ticket }: Question): Promise<ShownQuestion | null> {
    const { session, shelf, question: asked, onWithdrawn } = this.options;
    if (session.withdrawn.has(row.id)) return null;
    try {
      const pair = await shelf.show(row);
      return {
        ticket,
        question: questionOf(row, asked),
        prompt: promptOf(row, asked),
        first: pair[first],
        second: pair[otherSide(first)],
      };
    } catch (error) {
      if (!(error instanceof HpsError)) throw error;
      if (!session.withdrawn.has(row.id)) {
        session.withdraw(row.id, error.message);
        onWithdrawn?.(row.id, error.message);
      }
      return null;
    }
  }

  /** One after the other, for each rater. */
  private inTurn<T>(rater: string, work: () => Promise<T>): Promise<T> {
    const before = this.turns.get(rater) ?? Promise.resolve();
    const mine = before.then(work, work);
    const settled = mine
      .catch(() => undefined)
      .then(() => {
        if (this.turns.get(rater) === settled) this.turns.delete(rater);
      });
    this.turns.set(rater, settled);
    return mine;
  }
}

function acknowledgeAgain(known: Vote, rater: string, isSame: (vote: Vote) => boolean): Acknowledged {
  if (known.rater === rater && isSame(known)) return { vote: known.vote, seq: known.seq, again: true };
  throw new VoteRefused('VOTE_REUSED', 'the id of the vote was used for another one');
}
