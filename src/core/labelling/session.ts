import { Random } from '../bytes/random.js';
import type { PairRow } from '../data/rows.js';
import { Assignment } from './assignment.js';
import { Ballots, type Kind, kindOf, raterName, type Standing } from './ballots.js';
import { goldAnswer } from './pairs.js';
import { AccuracyTest, GOLD_ALARM } from './sequential.js';
import { drawFirst, otherSide, pairDigest, type Task, Tickets } from './tickets.js';
import { type Choice, LABELS, type NewVote, type Side, type Vote } from './vote.js';
import type { Answer } from './wire.js';

export interface SessionOptions {
  /** In the order of asking. */
  readonly pairs: readonly PairRow[];
  /** Pairs whose labels are the answer. */
  readonly gold?: readonly PairRow[];
  readonly votesPerPair: number;
  /** Share of questions that are gold, and of questions that were asked before; each in [0, 1). */
  readonly goldShare?: number;
  readonly repeatShare?: number;
  readonly seed: number;
  readonly key: Uint8Array;
  readonly raters?: readonly string[];
  readonly leaseMs?: number;
  readonly now?: () => number;
}

/** A question, and what a page has to send back to answer it. */
export interface Question {
  readonly row: PairRow;
  readonly first: Side;
  readonly kind: Kind;
  readonly ticket: string;
}

/** Votes between a question and its repetition: few are remembered for longer. */
const REPEAT_AFTER = 10;
/** Questions that a page has: the one that is shown, and the next. */
const HELD = 2;

/** What is asked of whom, from the votes there are. It keeps nothing: the log does. */
export class Session {
  readonly ballots = new Ballots();
  private readonly assignment: Assignment;
  private readonly tickets: Tickets;
  private readonly places: ReadonlyMap<string, number>;
  private readonly gold: ReadonlyMap<string, PairRow>;
  private readonly byDigest = new Map<string, PairRow>();
  private readonly held = new Map<string, Question[]>();
  private readonly withdrawnPairs = new Map<string, string>();
  private readonly tests = new Map<string, AccuracyTest>();
  private readonly resumed = new Map<string, number>();

  constructor(readonly options: SessionOptions) {
    const { pairs, gold = [], key, votesPerPair, raters, leaseMs, now } = options;
    this.assignment = new Assignment({ pairs: pairs.length, votesPerPair, raters, leaseMs, now });
    this.tickets = new Tickets(key);
    this.places = new Map(pairs.map(({ id }, place) => [id, place]));
    this.gold = new Map(gold.map((row) => [row.id, row]));
    for (const row of [...pairs, ...gold]) this.byDigest.set(pairDigest(row.id), row);
  }

  /** A vote that is in the log. */
  apply(vote: Vote): void {
    const replaced = this.ballots.apply(vote);
    if (replaced && kindOf(replaced) === 'pair') this.retract(replaced);
    const kind = kindOf(vote);
    const name = raterName(vote);
    const place = this.places.get(vote.pair);
    if (vote.choice !== 'undo' && kind === 'pair' && place !== undefined) {
      this.assignment.voted(place, name, LABELS[vote.choice] !== null);
    }
    if (vote.rater === null) return;
    if (kind === 'gold') this.tests.set(vote.rater, this.testOf(vote.rater));
    const held = this.held.get(vote.rater) ?? [];
    this.held.set(
      vote.rater,
      held.filter((question) => question.row.id !== vote.pair || question.kind !== kind),
    );
  }

  /** The questions that the rater has before it: the one to show, and the next. Empty where there is nothing to ask now. */
  questions(rater: string): readonly Question[] {
    if (this.isPaused(rater)) return [];
    const leased = new Set(this.assignment.leasedTo(rater));
    const held = (this.held.get(rater) ?? []).filter(
      ({ row, kind }) => kind !== 'pair' || leased.has(this.places.get(row.id) ?? -1),
    );
    for (const { row, kind } of held) if (kind === 'pair') this.assignment.hold(this.places.get(row.id)!, rater); // still there
    while (held.length < HELD) {
      const next = this.leftOver(rater, leased, held) ?? this.next(rater, held);
      if (!next) break;
      held.push(next);
    }
    this.held.set(rater, held);
    return held;
  }

  /** What an answer to a ticket is as a vote; null for a ticket that is not this rater's, or for a pair that is gone. */
  judge(
    rater: string,
    ticket: string,
    answer: Answer,
  ): Pick<NewVote, 'pair' | 'choice' | 'shown' | 'gold' | 'repeat' | 'replaces'> | null {
    const task = this.tickets.open(ticket);
    const row = task && this.byDigest.get(task.pair);
    if (!task || !row || task.rater !== rater) return null;
    return {
      pair: row.id,
      choice: choiceOf(answer, task.first),
      shown: { first: task.first, seed: this.options.seed },
      gold: task.kind === 'gold',
      repeat: task.kind === 'repeat',
      replaces: this.ballots.of(rater, row.id, task.kind)?.vote ?? null,
    };
  }

  row = (pair: string): PairRow | undefined => this.byDigest.get(pairDigest(pair));

  /** Puts a question that was taken back before the rater again, as it was shown. */
  askAgain({ rater, pair, shown, ...vote }: Standing): void {
    const row = this.row(pair);
    if (rater === null || !row) return;
    const kind = kindOf(vote);
    const place = this.places.get(pair);
    if (kind === 'pair' && place !== undefined) this.assignment.hold(place, rater);
    const held = (this.held.get(rater) ?? []).slice(0, HELD - 1);
    this.held.set(rater, [this.question(rater, row, kind, shown.first), ...held]);
  }

  /** The pair cannot be shown. @param why - a line without paths */
  withdraw(pair: string, why: string): void {
    this.withdrawnPairs.set(pair, why);
    const place = this.places.get(pair);
    if (place !== undefined) this.assignment.withdraw(place);
    for (const [rater, held] of this.held)
      this.held.set(
        rater,
        held.filter(({ row }) => row.id !== pair),
      );
  }

  get withdrawn(): ReadonlyMap<string, string> {
    return this.withdrawnPairs;
  }

  /** Whether the rater's answers on gold are worse than they should, so that it is asked nothing more. */
  isPaused = (rater: string): boolean => (this.tests.get(rater)?.eValue ?? 0) >= GOLD_ALARM;

  /** Lets a rater who was paused go on: answers on gold up to the vote of that number count no more. */
  resume(rater: string, seq: number): void {
    this.resumed.set(rater, seq);
    this.tests.set(rater, this.testOf(rater));
  }

  goldOf = (rater: string): AccuracyTest => this.tests.get(rater) ?? new AccuracyTest();
  /** The side that is right on a gold pair. */
  answerOf(pair: string): Side | null {
    const row = this.gold.get(pair);
    return row ? goldAnswer(row) : null;
  }
  meetingsOf = (a: string, b: string): number => this.assignment.meetingsOf(a, b);

  /** Votes that are still due. */
  get due(): number {
    return this.assignment.due;
  }

  /** A pair that the rater was given, and that an undo has pushed out. */
  private leftOver(rater: string, leased: ReadonlySet<number>, held: readonly Question[]): Question | null {
    for (const place of leased) {
      const row = this.options.pairs[place];
      if (!isHeld(held, row.id)) return this.question(rater, row, 'pair', drawFirst(this.options.seed, rater, row.id));
    }
    return null;
  }

  private next(rater: string, held: readonly Question[]): Question | null {
    const done = this.ballots.by(rater);
    // One draw for each question that the rater was ever asked, so that it falls the same after a restart.
    const draw = new Random(`${this.options.seed} ${rater} ${done.length + held.length}`);
    const roll = draw.uniform();
    const { goldShare = 0, repeatShare = 0 } = this.options;
    if (roll < goldShare) {
      const gold = this.drawGold(rater, held, draw);
      if (gold) return gold;
    } else if (roll < goldShare + repeatShare) {
      const repeat = this.drawRepeat(rater, held, draw);
      if (repeat) return repeat;
    }
    const place = this.assignment.lease(rater);
    if (place === null) return null;
    const row = this.options.pairs[place];
    return this.question(rater, row, 'pair', drawFirst(this.options.seed, rater, row.id));
  }

  private drawGold(rater: string, held: readonly Question[], draw: Random): Question | null {
    const open = [...this.gold.values()].filter(
      ({ id }) => !this.withdrawnPairs.has(id) && !this.ballots.of(rater, id, 'gold') && !isHeld(held, id),
    );
    if (open.length === 0) return null;
    const row = open[draw.integer(0, open.length)];
    return this.question(rater, row, 'gold', drawFirst(this.options.seed, rater, row.id));
  }

  private drawRepeat(rater: string, held: readonly Question[], draw: Random): Question | null {
    const old = this.ballots.by(rater).slice(0, -REPEAT_AFTER);
    const open = old.filter(
      (vote) =>
        kindOf(vote) === 'pair' &&
        LABELS[vote.choice] !== null &&
        this.places.has(vote.pair) &&
        !this.withdrawnPairs.has(vote.pair) &&
        !this.ballots.of(rater, vote.pair, 'repeat') &&
        !isHeld(held, vote.pair),
    );
    if (open.length === 0) return null;
    const { pair, shown } = open[draw.integer(0, open.length)];
    return this.question(rater, this.row(pair)!, 'repeat', otherSide(shown.first));
  }

  private question(rater: string, row: PairRow, kind: Kind, first: Side): Question {
    const task: Task = { rater, kind, pair: pairDigest(row.id), first };
    return { row, first, kind, ticket: this.tickets.seal(task) };
  }

  private retract(vote: Standing): void {
    const place = this.places.get(vote.pair);
    if (place !== undefined) this.assignment.retracted(place, raterName(vote));
  }

  private testOf(rater: string): AccuracyTest {
    const test = new AccuracyTest();
    const since = this.resumed.get(rater) ?? -1;
    for (const vote of this.ballots.by(rater)) {
      const answer = kindOf(vote) === 'gold' && vote.seq > since ? this.answerOf(vote.pair) : null;
      if (answer !== null && LABELS[vote.choice] !== null) test.add(vote.choice === answer);
    }
    return test;
  }
}

const isHeld = (held: readonly Question[], pair: string): boolean => held.some(({ row }) => row.id === pair);

function choiceOf(answer: Answer, first: Side): Choice {
  if (answer === 'first') return first;
  if (answer === 'second') return otherSide(first);
  return answer;
}
