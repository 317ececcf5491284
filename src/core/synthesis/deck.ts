import { Random } from '../bytes/random.js';
import { MAX_STRENGTH, STRENGTHS } from './perturbation.js';

/** Which comparison to make of a source: a perturbation at two strengths, `weaker` 0 being the clean source. */
export interface Card {
  readonly perturbation: string;
  readonly weaker: number;
  readonly stronger: number;
}

const keyOf = ({ perturbation, weaker, stronger }: Card): string => `${perturbation}:${weaker}:${stronger}`;

/** Comparisons one source can give before the deck would have to repeat itself too often. */
export const cardsPerSource = (perturbations: number): number => perturbations * MAX_STRENGTH;

/**
 * Cards without end, in rounds that hold every perturbation at every strength once, shuffled by the seed. Rounds alternate:
 * in one the clean source is the other side, in the next a weaker strength.
 */
export class Deck {
  private round = 0;
  private cards: Card[] = [];

  constructor(
    private readonly perturbations: readonly string[],
    private readonly seed: string,
  ) {}

  /** The comparisons of one source: `count` different ones. */
  take(count: number): Card[] {
    if (count > cardsPerSource(this.perturbations.length)) throw new RangeError(`${count} cards for one source`);
    const taken = new Map<string, Card>();
    while (taken.size < count) {
      const card = this.next();
      taken.set(keyOf(card), card);
    }
    return [...taken.values()];
  }

  private next(): Card {
    if (this.cards.length === 0) this.cards = this.deal(this.round++);
    return this.cards.pop()!;
  }

  private deal(round: number): Card[] {
    const cards = this.perturbations.flatMap((perturbation) =>
      STRENGTHS.map((stronger) => ({ perturbation, weaker: weakerOf(stronger, round), stronger })),
    );
    const order = new Random(`${this.seed}:round:${round}`).permutation(cards.length);
    return order.map((i) => cards[i]);
  }
}

/** Clean in even rounds, in odd ones 1 … stronger - 1 in turn. */
const weakerOf = (stronger: number, round: number): number =>
  round % 2 === 0 || stronger === 1 ? 0 : 1 + (((round - 1) / 2) % (stronger - 1));
