import { type Choice, LABELS, type Vote } from './vote.js';

/** A vote that stands: neither taken back nor replaced. */
export type Standing = Vote & { readonly choice: Choice };

/** Votes on one pair come under three heads, of which only the first makes labels. */
export type Kind = 'pair' | 'gold' | 'repeat';
export const kindOf = ({ gold, repeat }: Pick<Vote, 'gold' | 'repeat'>): Kind =>
  gold ? 'gold' : repeat ? 'repeat' : 'pair';

/** What the log comes to: for every rater and pair the last word, in the order of the log and not of any clock. */
export class Ballots {
  private readonly byId = new Map<string, Vote>();
  private readonly standing = new Map<string, Standing>();
  private readonly byPair = new Map<string, Set<Standing>>();
  /** Of each rater, what an undo takes back next is last. */
  private readonly stacks = new Map<string, Standing[]>();

  /** Takes the next line of the log in. @returns the vote that it replaces, where that still stood */
  apply(vote: Vote): Standing | null {
    this.byId.set(vote.vote, vote);
    const replaced = vote.replaces === null ? null : this.remove(vote.replaces);
    if (vote.choice !== 'undo') this.put(vote as Standing);
    return replaced;
  }

  /** The vote of this id, whether it stands or not. */
  find = (id: string): Vote | undefined => this.byId.get(id);

  /** What the rater has said of the pair. */
  of = (rater: string, pair: string, kind: Kind): Standing | undefined => this.standing.get(keyOf(rater, pair, kind));

  /** The rater's votes that stand, oldest first; the last is what an undo takes back. */
  by = (rater: string): readonly Standing[] => this.stacks.get(rater) ?? [];

  get raters(): readonly string[] {
    return [...this.stacks.keys()];
  }

  /** What makes labels of the pair: skips are not among it. */
  labelsOf(pair: string): Standing[] {
    const votes = [...(this.byPair.get(pair) ?? [])];
    return votes
      .filter((vote) => LABELS[vote.choice] !== null && kindOf(vote) === 'pair')
      .sort((a, b) => a.seq - b.seq);
  }

  /** All that stand. */
  all(): Iterable<Standing> {
    return this.standing.values();
  }

  private put(vote: Standing): void {
    this.standing.set(keyOfVote(vote), vote);
    const votes = this.byPair.get(vote.pair) ?? new Set();
    this.byPair.set(vote.pair, votes.add(vote));
    if (vote.rater === null) return;
    const stack = this.stacks.get(vote.rater) ?? [];
    stack.push(vote);
    this.stacks.set(vote.rater, stack);
  }

  private remove(id: string): Standing | null {
    const vote = this.byId.get(id);
    if (!vote || vote.choice === 'undo' || this.standing.get(keyOfVote(vote))?.vote !== id) return null;
    const found = vote as Standing;
    this.standing.delete(keyOfVote(found));
    this.byPair.get(found.pair)?.delete(found);
    const stack = found.rater === null ? undefined : this.stacks.get(found.rater);
    const at = stack?.lastIndexOf(found) ?? -1;
    if (at >= 0) stack!.splice(at, 1);
    return found;
  }
}

/** Votes of forgotten raters stand each for itself. */
const keyOfVote = (vote: Vote): string =>
  vote.rater === null ? vote.vote : keyOf(vote.rater, vote.pair, kindOf(vote));
const keyOf = (rater: string, pair: string, kind: Kind): string => `${kind} ${rater} ${pair}`;

/** What stands for the rater of a vote in labels and in designs: forgotten ones are apart from each other in every vote. */
export const raterName = ({ rater, seq }: Vote): string => rater ?? `anonymous-${seq}`;
