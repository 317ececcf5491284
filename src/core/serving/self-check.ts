import { HpsError } from '../errors.js';
import { encodePng } from '../media/encode-image.js';
import { encodeMp4 } from '../media/encode-video.js';
import { encodeWav } from '../media/encode-wav.js';
import { partsOf } from '../modality.js';
import type { ItemInput } from '../samples/resolve.js';
import type { HPSv3Scorer } from '../scoring/scorer.js';

/** What a model says of two made-up items, alone and in company. */
export interface SelfCheck {
  /** Of the pair, bit for bit what it must be as long as the model is served. */
  readonly logit: number;
}

const SIDE = 64;
const RATE = 16_000;
const FRAMES = 8;
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

async function madeUpItem(modality: HPSv3Scorer['modality'], seed: number): Promise<ItemInput> {
  const parts = partsOf(modality);
  const contents = await Promise.all(parts.map(async (part) => [part, await MAKERS[part](seed)] as const));
  return Object.fromEntries(contents);
}

const MAKERS = {
  text: async (seed: number) => (seed === 0 ? 'A red fox crosses the snow at dawn.' : 'asdf 123, of the of the.'),
  image: async (seed: number) => ({ name: 'self-check.png', bytes: await encodePng(picture(seed, 0)) }),
  audio: async (seed: number) => ({
    name: 'self-check.wav',
    bytes: encodeWav(
      Float32Array.from({ length: RATE }, (_, i) => 0.5 * Math.sin((i * (seed + 1)) / 20)),
      RATE,
    ),
  }),
  video: async (seed: number) => ({
    name: 'self-check.mp4',
    bytes: await encodeMp4(
      Array.from({ length: FRAMES }, (_, frame) => picture(seed, frame)),
      FRAMES,
    ),
  }),
};

/** Blocks of colour that move with the frames. */
function picture(seed: number, frame: number) {
  const data = new Uint8Array(3 * SIDE * SIDE);
  for (let i = 0; i < data.length; i++) {
    const [x, y] = [((i / 3) | 0) % SIDE, (i / 3 / SIDE) | 0];
    data[i] = (((x + frame) >> (3 + seed)) * 67 + (y >> 4) * 31 + (i % 3) * 83 * (seed + 1)) & 255;
  }
  return { width: SIDE, height: SIDE, data };
}
