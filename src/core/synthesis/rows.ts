import { Random } from '../bytes/random.js';
import type { AbsoluteRow, AuxLabels, PairRow } from '../data/rows.js';
import type { SynthModalityId } from './modality.js';
import { MAX_STRENGTH } from './perturbation.js';
import { drawRating, drawVote, type Rater } from './raters.js';
import type { Variant } from './variants.js';

/** What all rows of one source share. */
export interface RowContext {
  readonly modality: SynthModalityId;
  /** The cluster. */
  readonly sourceId: string;
  readonly raters: readonly Rater[];
  readonly seed: number;
}

/** A comparison and what is true of it. */
export interface Comparison {
  readonly row: PairRow;
  /** utility(left) - utility(right); 0 where both sides are the same bytes. */
  readonly difference: number;
  readonly identical: boolean;
}

/** A pair of variants of one source, its sides in random order, judged by every rater. */
export function compareVariants(better: Variant, worse: Variant, context: RowContext): Comparison {
  const { modality, sourceId, raters, seed } = context;
  const { perturbation, strength } = worse;
  const id = `${sourceId}:${perturbation}-${better.strength}-${strength}:s${seed}`;
  const random = new Random(`synth:votes:${id}`);
  const [left, right] = random.uniform() < 0.5 ? [better, worse] : [worse, better];
  const identical = left.sha256 === right.sha256;
  const difference = identical ? 0 : left.utility - right.utility;
  const row: PairRow = {
    kind: 'pair',
    id,
    left: left.item,
    right: right.item,
    votes: raters.map((rater) => drawVote(rater, difference, random)),
    modality,
    promptId: sourceId,
    groups: new Map([
      ['modality', modality],
      ['perturbation', perturbation ?? 'none'],
      ['strength', String(strength)],
      ['gap', String(strength - better.strength)],
    ]),
    raters: raters.map(({ name }) => name),
  };
  return { row, difference, identical };
}

/** One variant by itself: its score in -1 … 1, ratings of it, and the targets of the auxiliary heads that are known. */
export function rateVariant(variant: Variant, { modality, sourceId, raters, seed }: RowContext): AbsoluteRow {
  const id = `${variant.id}:s${seed}`;
  const random = new Random(`synth:ratings:${id}`);
  const score = Math.round(100 * (1 + (2 * variant.utility) / MAX_STRENGTH)) / 100;
  return {
    kind: 'absolute',
    id,
    item: variant.item,
    score,
    ratings: raters.map((rater) => drawRating(rater, score, random)),
    aux: auxOf(variant, modality),
    modality,
    promptId: sourceId,
    groups: new Map([
      ['modality', modality],
      ['perturbation', variant.perturbation ?? 'none'],
      ['strength', String(variant.strength)],
    ]),
    raters: raters.map(({ name }) => name),
  };
}

const BEST_QUALITY = 4; // five classes, 0 the worst
/** A text with one slip still reads well. */
const FLUENT_ABOVE = -1.5;

/** Toxicity is not labelled: no perturbation brings it in, and nobody has screened the user's sources for it. */
function auxOf({ utility }: Variant, modality: SynthModalityId): AuxLabels {
  const quality = BEST_QUALITY + Math.round((BEST_QUALITY * utility) / MAX_STRENGTH);
  return modality === 'text' ? { quality, fluency: utility > FLUENT_ABOVE ? 1 : 0 } : { quality };
}
