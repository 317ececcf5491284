/**
 * Who is asked about which pair next. Pairs are blocks and raters treatments of a balanced incomplete block design: where the raters
 * are known and a difference set fits, each pair has its raters from the start; else each pair goes to whoever met the others least.
 */

/** Differences mod the number of raters, by raters and votes a pair: every two raters meet equally often in a cycle. */
const DIFFERENCE_SETS: ReadonlyMap<string, readonly number[]> = new Map([
  ['3/2', [0, 1]],
  ['4/3', [0, 1, 2]],
  ['5/4', [0, 1, 2, 3]],
  ['6/5', [0, 1, 2, 3, 4]],
  ['7/3', [1, 2, 4]],
  ['7/4', [0, 3, 5, 6]],
  ['11/5', [1, 3, 4, 5, 9]],
  ['11/6', [0, 2, 6, 7, 8, 10]],
  ['13/4', [0, 1, 3, 9]],
  ['15/7', [0, 1, 2, 4, 5, 8, 10]],
  ['21/5', [3, 6, 7, 12, 14]],
  ['31/6', [1, 5, 11, 24, 25, 27]],
]);

/** The differences that balance `raters` over `votesPerPair`; null where none are known. */
export const differencesFor = (raters: number, votesPerPair: number): readonly number[] | null =>
  DIFFERENCE_SETS.get(`${raters}/${votesPerPair}`) ?? null;

/** Pairs that are open together: few enough that the first are done early, enough that raters are not in each other's way. */
const BLOCK_PAIRS = 32;
/** A pair that is not voted on for this long goes to somebody else; the vote is still taken. */
export const LEASE_MS = 10 * 60 * 1000;

export interface AssignmentOptions {
  readonly pairs: number;
  readonly votesPerPair: number;
  /** Raters in their places of the design; without them whoever comes is given what is open. */
  readonly raters?: readonly string[];
  readonly leaseMs?: number;
  readonly now?: () => number;
}

/** Votes, leases and meetings of a session, by the places of pairs in the order of asking. */
export class Assignment {
  private readonly votes: Uint16Array;
  private readonly isWithdrawn: Uint8Array;
  private readonly ratersOf = new Map<number, string[]>();
  private readonly doneBy = new Map<string, Set<number>>();
  private readonly leases = new Map<number, Map<string, number>>();
  private readonly meetings = new Map<string, number>();
  private readonly lastSeen = new Map<string, number>();
  private readonly openInBlock: Int32Array;
  private readonly design: readonly number[] | null;
  private readonly places: ReadonlyMap<string, number>;
  private readonly leaseMs: number;
  private readonly now: () => number;
  private readonly started: number;
  private firstBlock = 0;

  constructor(private readonly options: AssignmentOptions) {
    const { pairs, votesPerPair, raters = [], leaseMs = LEASE_MS, now = () => performance.now() } = options;
    this.votes = new Uint16Array(pairs);
    this.isWithdrawn = new Uint8Array(pairs);
    const blocks = Math.ceil(pairs / BLOCK_PAIRS);
    this.openInBlock = Int32Array.from({ length: blocks }, (_, i) => Math.min(BLOCK_PAIRS, pairs - i * BLOCK_PAIRS));
    this.design = differencesFor(raters.length, votesPerPair);
    this.places = new Map(raters.map((rater, i) => [rater, i]));
    this.leaseMs = leaseMs;
    this.now = now;
    this.started = now();
  }

  /** A vote was cast, or a skip: the rater is not asked again. @param counts - whether it is one of the votes that the pair needs */
  voted(pair: number, rater: string, counts: boolean): void {
    this.seen(rater);
    this.release(pair, rater);
    const done = this.doneOf(rater);
    if (done.has(pair)) return;
    done.add(pair);
    if (!counts) return;
    const others = this.ratersOf.get(pair) ?? [];
    for (const other of others) this.meet(rater, other, 1);
    this.ratersOf.set(pair, [...others, rater]);
    this.count(pair, 1);
  }

  /** A vote or a skip was taken back. */
  retracted(pair: number, rater: string): void {
    if (!this.doneOf(rater).delete(pair)) return;
    const raters = this.ratersOf.get(pair) ?? [];
    if (!raters.includes(rater)) return;
    const others = raters.filter((other) => other !== rater);
    for (const other of others) this.meet(rater, other, -1);
    this.ratersOf.set(pair, others);
    this.count(pair, -1);
  }

  /** The pair is not asked about any more. */
  withdraw(pair: number): void {
    if (this.isWithdrawn[pair]) return;
    if (this.needs(pair)) this.openInBlock[blockOf(pair)]--;
    this.isWithdrawn[pair] = 1;
    this.leases.delete(pair);
  }

  hasDone = (pair: number, rater: string): boolean => this.doneBy.get(rater)?.has(pair) ?? false;
  isOpen = (pair: number): boolean => !this.isWithdrawn[pair];

  /** The pairs that a rater has before it, oldest lease first. */
  leasedTo(rater: string): number[] {
    const held: [number, number][] = [];
    const now = this.now();
    for (const [pair, leases] of this.leases) {
      const until = leases.get(rater);
      if (until !== undefined && until > now) held.push([pair, until]);
    }
    return held.sort(([, a], [, b]) => a - b).map(([pair]) => pair);
  }

  /** Gives the rater a pair it has nothing of yet; null where there is none now. */
  lease(rater: string): number | null {
    this.seen(rater);
    const pair = this.choose(rater);
    if (pair === null) return null;
    this.hold(pair, rater);
    return pair;
  }

  private release(pair: number, rater: string): void {
    const leases = this.leases.get(pair);
    leases?.delete(rater);
    if (leases?.size === 0) this.leases.delete(pair);
  }

  /** Gives the rater this very pair, such as one whose vote it took back. */
  hold(pair: number, rater: string): void {
    const leases = this.leases.get(pair) ?? new Map<string, number>();
    leases.set(rater, this.now() + this.leaseMs);
    this.leases.set(pair, leases);
  }

  /** Votes that are still due, over all pairs that are not withdrawn. */
  get due(): number {
    let due = 0;
    for (let pair = 0; pair < this.votes.length; pair++) {
      if (this.needs(pair)) due += this.options.votesPerPair - this.votes[pair];
    }
    return due;
  }

  /** How often every two raters have judged the same pair. */
  meetingsOf = (a: string, b: string): number => this.meetings.get(meetingKey(a, b)) ?? 0;

  private choose(rater: string): number | null {
    const done = this.doneOf(rater);
    for (let block = this.firstBlock; block < this.openInBlock.length; block++) {
      if (this.openInBlock[block] <= 0) {
        if (block === this.firstBlock) this.firstBlock++;
        continue;
      }
      const end = Math.min((block + 1) * BLOCK_PAIRS, this.votes.length);
      let best: number | null = null;
      let bestMet = Number.POSITIVE_INFINITY;
      for (let pair = block * BLOCK_PAIRS; pair < end; pair++) {
        if (!this.needs(pair) || done.has(pair) || !this.hasRoomFor(pair, rater)) continue;
        const met = this.metOn(pair, rater);
        if (met >= bestMet) continue;
        best = pair;
        bestMet = met;
      }
      if (best !== null) return best;
    }
    return null;
  }

  /** Room beside the votes there are and the leases of others, and beside the raters whom the design has for the pair. */
  private hasRoomFor(pair: number, rater: string): boolean {
    const now = this.now();
    let taken = this.votes[pair];
    for (const [other, until] of this.leases.get(pair) ?? []) {
      if (other === rater) return until <= now; // it has it already
      if (until > now) taken++;
      else this.leases.get(pair)!.delete(other);
    }
    const { votesPerPair } = this.options;
    if (taken >= votesPerPair) return false;
    const place = this.places.get(rater);
    if (!this.design || this.isOfDesign(pair, place)) return true;
    // Others are for this pair: only those who have gone leave their places.
    let expected = 0;
    for (const [other, at] of this.places) {
      if (!this.isOfDesign(pair, at) || this.doneOf(other).has(pair) || this.isGone(other)) continue;
      if ((this.leases.get(pair)?.get(other) ?? 0) <= now) expected++;
    }
    return taken + expected < votesPerPair;
  }

  private isOfDesign(pair: number, place: number | undefined): boolean {
    if (place === undefined) return false;
    const raters = this.places.size;
    return this.design!.some((difference) => (pair + difference) % raters === place);
  }

  private isGone(rater: string): boolean {
    return (this.lastSeen.get(rater) ?? this.started) + this.leaseMs <= this.now();
  }

  private metOn(pair: number, rater: string): number {
    let met = 0;
    for (const other of this.ratersOf.get(pair) ?? []) met += this.meetingsOf(rater, other);
    for (const other of this.leases.get(pair)?.keys() ?? []) met += this.meetingsOf(rater, other);
    return met;
  }

  private needs = (pair: number): boolean => !this.isWithdrawn[pair] && this.votes[pair] < this.options.votesPerPair;

  private count(pair: number, by: 1 | -1): void {
    const before = this.needs(pair);
    this.votes[pair] += by;
    const after = this.needs(pair);
    if (before === after) return;
    const block = blockOf(pair);
    this.openInBlock[block] += after ? 1 : -1;
    if (after) this.firstBlock = Math.min(this.firstBlock, block);
  }

  private meet(a: string, b: string, by: number): void {
    const key = meetingKey(a, b);
    this.meetings.set(key, (this.meetings.get(key) ?? 0) + by);
  }

  private doneOf(rater: string): Set<number> {
    let done = this.doneBy.get(rater);
    if (!done) {
      done = new Set();
      this.doneBy.set(rater, done);
    }
    return done;
  }

  private seen(rater: string): void {
    this.lastSeen.set(rater, this.now());
  }
}

const blockOf = (pair: number): number => Math.floor(pair / BLOCK_PAIRS);
const meetingKey = (a: string, b: string): string => (a < b ? `${a} ${b}` : `${b} ${a}`);
