import { describe, expect, it } from 'vitest';
import { Random } from '../../../src/core/bytes/random.js';
import type { PairRow } from '../../../src/core/data/rows.js';
import { Assignment, differencesFor } from '../../../src/core/labelling/assignment.js';
import { sessionFigures } from '../../../src/core/labelling/figures.js';
import { Session, type SessionOptions } from '../../../src/core/labelling/session.js';
import type { Vote } from '../../../src/core/labelling/vote.js';
import { ANSWERS, type Answer } from '../../../src/core/labelling/wire.js';
import { newVote, voteId } from '../../helpers/labelling.js';

const KEY = new Uint8Array(32);

const row = (id: string, votes: readonly number[] = []): PairRow => ({
  kind: 'pair',
  id,
  promptId: id,
  groups: new Map(),
  left: `left ${id}`,
  right: `right ${id}`,
  votes,
});
const rows = (count: number): PairRow[] => Array.from({ length: count }, (_, i) => row(`p${i}`));

function sessionOf(options: Partial<SessionOptions> = {}): Session {
  return new Session({ pairs: rows(20), votesPerPair: 2, seed: 0, key: KEY, ...options });
}

/** Votes as the server does, without a log. */
function vote(session: Session, rater: string, answer: Answer, seq: { n: number }, at = 0): Vote | null {
  const question = session.questions(rater)[at];
  if (!question) return null;
  const judged = session.judge(rater, question.ticket, answer)!;
  const { schema, prev, ...rest } = { ...newVote({ rater, ...judged }), schema: 'hpsv3/vote@1' as const, prev: '' };
  const line: Vote = { schema, seq: ++seq.n, prev, ...rest };
  session.apply(line);
  return line;
}

function undo(session: Session, rater: string, seq: { n: number }): void {
  const last = session.ballots.by(rater).at(-1)!;
  session.apply({ ...last, seq: ++seq.n, vote: voteId(), choice: 'undo', replaces: last.vote });
  session.askAgain(last);
}

describe('a design', () => {
  it.each([
    [7, 3, 1],
    [11, 5, 2],
    [13, 4, 1],
    [21, 5, 1],
    [31, 6, 1],
    [11, 6, 3],
    [15, 7, 3],
    [6, 5, 4],
  ])('of %i raters and %i votes a pair lets every two raters meet %i times a cycle', (raters, votesPerPair, lambda) => {
    const differences = differencesFor(raters, votesPerPair)!;
    const counts = new Map<number, number>();
    for (const a of differences)
      for (const b of differences)
        if (a !== b) counts.set((a - b + raters) % raters, (counts.get((a - b + raters) % raters) ?? 0) + 1);
    expect([...counts.values()]).toEqual(Array(raters - 1).fill(lambda));
  });

  it('is kept where raters come in any order, and left where one never comes', () => {
    for (const missing of [0, 1]) {
      let time = 0;
      const raters = Array.from({ length: 11 }, (_, i) => `r${i}`);
      const assignment = new Assignment({ pairs: 110, votesPerPair: 5, raters, now: () => time, leaseMs: 1000 });
      const active = raters.slice(missing);
      const random = new Random('order');
      const voted = new Map<number, string[]>();
      for (let idle = 0; idle < 200; ) {
        const rater = active[random.integer(0, active.length)];
        const pair = assignment.lease(rater);
        time += 10;
        if (pair === null) {
          idle++;
          continue;
        }
        idle = 0;
        assignment.voted(pair, rater, true);
        voted.set(pair, [...(voted.get(pair) ?? []), rater]);
      }
      expect(assignment.due).toBe(0);
      expect([...voted.values()].every((of) => of.length === 5 && new Set(of).size === 5)).toBe(true);
      const meetings = active.flatMap((a, i) => active.slice(i + 1).map((b) => assignment.meetingsOf(a, b)));
      if (missing === 0) expect(new Set(meetings)).toEqual(new Set([20]));
      else expect(Math.max(...meetings) - Math.min(...meetings)).toBeLessThan(15);
    }
  });

  it('without known raters, pairs get their votes evenly, and raters meet evenly', () => {
    const assignment = new Assignment({ pairs: 128, votesPerPair: 3 });
    const random = new Random('dynamic');
    const raters = Array.from({ length: 8 }, (_, i) => `r${i}`);
    for (let misses = 0; misses < 100; ) {
      const rater = raters[random.integer(0, 8)];
      const pair = assignment.lease(rater);
      if (pair === null) misses++;
      else assignment.voted(pair, rater, true);
    }
    expect(assignment.due).toBe(0);
    const meetings = raters.flatMap((a, i) => raters.slice(i + 1).map((b) => assignment.meetingsOf(a, b)));
    expect(Math.min(...meetings)).toBeGreaterThan(5); // 128 * 3 / 28 = 13.7 on average
    expect(Math.max(...meetings)).toBeLessThan(25);
  });

  it('a lease keeps others away until it ends', () => {
    let time = 0;
    const assignment = new Assignment({ pairs: 1, votesPerPair: 1, now: () => time, leaseMs: 100 });
    expect(assignment.lease('a')).toBe(0);
    expect(assignment.lease('b')).toBe(null);
    time = 101;
    expect(assignment.lease('b')).toBe(0);
    assignment.voted(0, 'a', true); // late, and taken
    expect(assignment.due).toBe(0);
  });
});

it('asks every rater each pair once, whichever way it answers, and again what it took back', () => {
  const seq = { n: 0 };
  const session = sessionOf();
  const asked: string[] = [];
  for (let i = 0; ; i++) {
    const line = vote(session, 'a', ANSWERS[i % 5], seq);
    if (!line) break;
    asked.push(line.pair);
    if (i === 3 || i === 7) {
      const { pair, shown } = line;
      undo(session, 'a', seq);
      expect(asked.pop()).toBe(pair);
      const [again] = session.questions('a');
      expect([again.row.id, again.first]).toEqual([pair, shown.first]);
    }
  }
  expect(asked.toSorted()).toEqual(
    rows(20)
      .map(({ id }) => id)
      .toSorted(),
  );
});

it('an undo pushes no pair out for good', () => {
  const seq = { n: 0 };
  const session = sessionOf({ pairs: rows(3), votesPerPair: 1 });
  vote(session, 'a', 'first', seq);
  session.questions('a'); // the two others
  undo(session, 'a', seq);
  for (let i = 0; i < 3; i++) vote(session, 'a', 'first', seq);
  expect(session.due).toBe(0);
});

it('a skip is not a label, and the pair still gets its votes from others', () => {
  const seq = { n: 0 };
  const session = sessionOf({ pairs: rows(1), votesPerPair: 1 });
  vote(session, 'a', 'skip', seq);
  expect(session.due).toBe(1);
  expect(session.questions('a')).toEqual([]);
  vote(session, 'b', 'tie', seq);
  expect(session.due).toBe(0);
  expect(session.ballots.labelsOf('p0').map(({ choice }) => choice)).toEqual(['tie']);
});

it('the choice that is recorded is for what stood there, for every answer and rater', () => {
  const session = sessionOf({ pairs: rows(400), votesPerPair: 1 });
  const seq = { n: 0 };
  let leftFirst = 0;
  for (let i = 0; i < 400; i++) {
    const [{ first }] = session.questions('a');
    const line = vote(session, 'a', i % 2 ? 'first' : 'second', seq)!;
    const second = first === 'left' ? 'right' : 'left';
    expect(line.choice).toBe(i % 2 ? first : second);
    expect(line.shown.first).toBe(first);
    if (first === 'left') leftFirst++;
  }
  expect(Math.abs(leftFirst - 200)).toBeLessThan(50);
});

it('a ticket is for one rater, cannot be made up, and survives a restart', () => {
  const session = sessionOf();
  const [{ ticket, row: asked }] = session.questions('a');
  expect(session.judge('b', ticket, 'tie')).toBe(null);
  for (const forged of ['', 'x', ticket.slice(0, -2), `${ticket.slice(0, 10)}A${ticket.slice(11)}`, `${ticket}AAAA`]) {
    if (forged !== ticket) expect(session.judge('a', forged, 'tie')).toBe(null);
  }
  expect(sessionOf().judge('a', ticket, 'tie')).toMatchObject({ pair: asked.id });
  expect(sessionOf({ key: new Uint8Array(32).fill(1) }).judge('a', ticket, 'tie')).toBe(null);
});

it('tickets of gold, of repeats and of other pairs, whichever side is first, have one length', () => {
  const gold = rows(5).map(({ id }) => row(`gold-${id}`, [1]));
  const session = sessionOf({ gold, goldShare: 0.3, repeatShare: 0.3, pairs: rows(100) });
  const seq = { n: 0 };
  const kinds = new Set<string>();
  const lengths = new Set<number>();
  for (let i = 0; i < 60; i++) {
    const [question] = session.questions('a');
    kinds.add(`${question.kind} ${question.first}`);
    lengths.add(question.ticket.length);
    vote(session, 'a', 'first', seq);
  }
  expect(kinds.size).toBeGreaterThan(4);
  expect(lengths.size).toBe(1);
});

it('gold finds a rater who guesses, leaves one who is right in nine of ten alone, and is no label', () => {
  const gold = Array.from({ length: 120 }, (_, i) => row(`g${i}`, [1, 1, 0]));
  const options = { pairs: rows(1000), gold, goldShare: 0.3, votesPerPair: 1 };
  const run = (accuracy: number, seed: string) => {
    const session = sessionOf(options);
    const random = new Random(seed);
    const seq = { n: 0 };
    for (let i = 0; i < 300 && !session.isPaused('a'); i++) {
      const [question] = session.questions('a');
      const isLeft = random.uniform() < accuracy;
      vote(session, 'a', isLeft === (question.first === 'left') ? 'first' : 'second', seq);
    }
    return session;
  };
  const guesser = run(0.5, 'guess');
  expect(guesser.isPaused('a')).toBe(true);
  expect(guesser.questions('a')).toEqual([]);
  expect(guesser.goldOf('a').right + guesser.goldOf('a').wrong).toBeLessThan(60);
  expect(guesser.ballots.labelsOf('g0')).toEqual([]);
  const paused = Array.from({ length: 20 }, (_, i) => run(0.9, `good ${i}`)).filter((session) => session.isPaused('a'));
  expect(paused.length).toBeLessThanOrEqual(1);
});

it('asks again with the sides swapped, and does not count the second answer', () => {
  const session = sessionOf({ pairs: rows(200), votesPerPair: 1, repeatShare: 0.2 });
  const seq = { n: 0 };
  const lines = Array.from({ length: 120 }, () => vote(session, 'a', 'first', seq)!);
  const repeats = lines.filter(({ repeat }) => repeat);
  expect(repeats.length).toBeGreaterThan(10);
  for (const { pair, shown } of repeats) {
    const before = lines.find((line) => line.pair === pair && !line.repeat)!;
    expect(shown.first).not.toBe(before.shown.first);
    expect(session.ballots.labelsOf(pair)).toHaveLength(1);
  }
});

it('comes to the same by its log as it was when it ended', () => {
  const options = { pairs: rows(60), votesPerPair: 3, repeatShare: 0.1, gold: [row('g', [1])], goldShare: 0.1 };
  const session = sessionOf(options);
  const seq = { n: 0 };
  const log: Vote[] = [];
  const apply = session.apply.bind(session);
  session.apply = (line) => {
    log.push(line);
    apply(line);
  };
  const random = new Random('replay');
  for (let i = 0; i < 150; i++) {
    const rater = `r${random.integer(0, 4)}`;
    vote(session, rater, ANSWERS[random.integer(0, 5)], seq);
    if (random.uniform() < 0.1) undo(session, rater, seq);
  }
  const again = sessionOf(options);
  for (const line of log) again.apply(line);
  expect([...again.ballots.all()]).toEqual([...session.ballots.all()]);
  expect(again.due).toBe(session.due);
  for (const rater of ['r0', 'r1', 'r2', 'r3']) {
    expect(again.ballots.by(rater)).toEqual(session.ballots.by(rater));
  }
});

it('flags who always takes the first within 60 votes, and nobody else', async () => {
  const session = sessionOf({ pairs: rows(60), votesPerPair: 2 });
  const seq = { n: 0 };
  const random = new Random('fair');
  for (let i = 0; i < 60; i++) {
    vote(session, 'lazy', 'first', seq);
    vote(session, 'fair', random.uniform() < 0.5 ? 'first' : 'second', seq);
  }
  const { raters, alpha } = await sessionFigures(session);
  expect(raters.map(({ rater, sideBias }) => [rater, sideBias])).toEqual([
    ['lazy', true],
    ['fair', false],
  ]);
  expect(raters[0].firstShare.value).toBe(1);
  expect(alpha.value).toBeLessThan(0.4);
  expect(alpha.ci![0]).toBeLessThan(alpha.value!);
});

it('knows the last word by its number, whatever the clock said meanwhile', () => {
  const session = sessionOf({ pairs: rows(2), votesPerPair: 1 });
  const years = ['2038-01-19T03:14:08.000Z', '2026-10-25T02:30:00.000Z', '1970-01-01T00:00:00.000Z'];
  const choices = ['left', 'right', 'tie'] as const;
  let before: string | null = null;
  years.forEach((at, i) => {
    const { vote: id, ...about } = newVote({ pair: 'p0', rater: 'a', at, choice: choices[i], replaces: before });
    session.apply({ schema: 'hpsv3/vote@1', seq: i + 1, prev: '', vote: id, ...about });
    before = id;
  });
  expect(session.ballots.labelsOf('p0').map(({ choice }) => choice)).toEqual(['tie']);
});

it('a pair that is withdrawn is asked of nobody', () => {
  const session = sessionOf({ pairs: rows(3), votesPerPair: 1 });
  const [{ row: shown }] = session.questions('a');
  session.withdraw(shown.id, 'gone');
  expect(session.questions('a').map(({ row: { id } }) => id)).not.toContain(shown.id);
  expect(session.due).toBe(2);
});
