import type { SynthModalityId } from './modality.js';
import type { Comparison } from './rows.js';

/** What raters said of the comparisons of one perturbation at one strength (that of the worse side). */
export interface TallyCell {
  readonly modality: SynthModalityId;
  readonly perturbation: string;
  readonly strength: number;
  readonly pairs: number;
  readonly votes: number;
  readonly ties: number;
  /**
   * Share of the votes that name a side which name the truly better one, where one is better; null without such votes. A
   * model that knew the truth would agree with the raters about as often.
   */
  readonly agreement: number | null;
}

interface Counts {
  pairs: number;
  votes: number;
  ties: number;
  /** Votes that name a side, of pairs with a better side; and those of them that name that one. */
  decided: number;
  right: number;
}

/** Counts votes by modality, perturbation and strength. */
export class Tally {
  private readonly cells = new Map<string, Counts>();

  add({ row: { groups, votes }, difference }: Comparison): void {
    const key = `${groups.get('modality')} ${groups.get('perturbation')} ${groups.get('strength')}`;
    const counts = this.cells.get(key) ?? { pairs: 0, votes: 0, ties: 0, decided: 0, right: 0 };
    this.cells.set(key, counts);
    counts.pairs++;
    counts.votes += votes.length;
    for (const vote of votes) {
      if (vote === 0.5) counts.ties++;
      else if (difference !== 0) counts.decided++;
      if ((vote - 0.5) * difference > 0) counts.right++;
    }
  }

  report(): TallyCell[] {
    return [...this.cells]
      .map(([key, { pairs, votes, ties, decided, right }]) => {
        const [modality, perturbation, strength] = key.split(' ');
        const agreement = decided > 0 ? Math.round((1e4 * right) / decided) / 1e4 : null;
        return {
          modality: modality as SynthModalityId,
          perturbation,
          strength: Number(strength),
          pairs,
          votes,
          ties,
          agreement,
        };
      })
      .sort(byNames);
  }
}

const byNames = (a: TallyCell, b: TallyCell): number =>
  compare(a.modality, b.modality) || compare(a.perturbation, b.perturbation) || a.strength - b.strength;

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
