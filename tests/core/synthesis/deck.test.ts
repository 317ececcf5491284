import { describe, expect, it } from 'vitest';
import { cardsPerSource, Deck } from '../../../src/core/synthesis/deck.js';

const WAYS = ['blur', 'noise', 'jpeg'];
const ROUND = 5 * WAYS.length;

const count = <T>(items: readonly T[], keyOf: (item: T) => string): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const item of items) counts[keyOf(item)] = (counts[keyOf(item)] ?? 0) + 1;
  return counts;
};

describe('Deck', () => {
  it('holds every perturbation at every strength equally often, half against the clean source where there is a weaker strength', () => {
    const deck = new Deck(WAYS, 'seed');
    const cards = Array.from({ length: 8 * ROUND }, () => deck.take(1)[0]);
    const cells = count(cards, ({ perturbation, stronger }) => `${perturbation} ${stronger}`);
    expect(Object.keys(cells)).toHaveLength(ROUND);
    expect(new Set(Object.values(cells))).toEqual(new Set([8]));
    const strongest = count(
      cards.filter(({ stronger }) => stronger === 5),
      ({ weaker }) => (weaker === 0 ? 'clean' : 'weaker'),
    );
    expect(strongest['clean']).toBe(strongest['weaker']);
    for (const { weaker, stronger } of cards) expect(weaker).toBeLessThan(stronger);
  });

  it('gives one source no comparison twice', () => {
    const deck = new Deck(WAYS, 'seed');
    for (let source = 0; source < 20; source++) {
      const cards = deck.take(cardsPerSource(WAYS.length));
      expect(new Set(cards.map((card) => JSON.stringify(card))).size).toBe(ROUND);
    }
  });

  it('deals the same for the same seed, and otherwise for another', () => {
    const deal = (seed: string) => new Deck(WAYS, seed).take(10);
    expect(deal('a')).toEqual(deal('a'));
    expect(deal('a')).not.toEqual(deal('b'));
  });

  it('refuses more than a source can give', () => {
    expect(() => new Deck(WAYS, 'seed').take(ROUND + 1)).toThrow(RangeError);
  });
});
