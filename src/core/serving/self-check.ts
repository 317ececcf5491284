import { HpsError } from '../errors.js';
import { madeUpItem } from '../samples/made-up.js';
import type { ItemInput } from '../samples/resolve.js';
import type { HPSv3Scorer } from '../scoring/scorer.js';

/** What a model says of two made-up items, alone and in company. */
export interface SelfCheck {
  /** Of the pair, bit for bit what it must be as long as the model is served. */
  readonly logit: number;
}

/** Copies that are scored side by side, so that they share batches. */
const COMPANY = 4;

/**
 * Scores a made-up pair of the model's own modality, alone and beside others.
 * @throws HpsError SELF_CHECK_FAILED where a score depends on its neighbours; SCORE_NONFINITE, and as `scorePair`
 */
export async function runSelfCheck(scorer: HPSv3Scorer): Promise<SelfCheck> {
  const sides = await Promise.all([0, 1].map((seed) => madeUpItem(scorer.modality, seed)));
  const score = async (left: ItemInput, right: ItemInput): Promise<number> =>
    (await scorer.scorePair({ left, right, context: 'two of a kind', fresh: true })).logit;
  const logit = await score(sides[0], sides[1]);
  const beside = Array.from({ length: COMPANY }, (_, i) => score(sides[i % 2], sides[1 - (i % 2)]));
  for (const [i, other] of (await Promise.all(beside)).entries()) {
    const expected = i % 2 === 0 ? logit : -logit;
    if (Object.is(other, expected) || other === expected) continue;
    throw new HpsError(
      'SELF_CHECK_FAILED',
      `a pair scores ${logit} alone and ${i % 2 === 0 ? other : -other} beside others`,
      {
        hint: 'Verify the model with `hpsv3 verify`: its scores depend on what else is in a batch.',
        details: { alone: logit, beside: other },
      },
    );
  }
  return { logit };
}

/** @throws HpsError SELF_CHECK_FAILED where the model no longer says what it said when it was loaded */
export async function repeatSelfCheck(scorer: HPSv3Scorer, { logit }: SelfCheck): Promise<void> {
  const now = await runSelfCheck(scorer);
  if (now.logit === logit) return;
  throw new HpsError('SELF_CHECK_FAILED', `the self-check pair scored ${logit} at load and scores ${now.logit} now`, {
    hint: 'Restart the server: its memory or its device may be faulty.',
    details: { atLoad: logit, now: now.logit },
  });
}
