import { readdirSync } from 'node:fs';
import { basename } from 'node:path';
import { describe, expect, it } from 'vitest';
import { votesOf } from '../../../src/core/calibration/pair-task.js';
import type { JoinedPairs } from '../../../src/core/data/join.js';
import { readJudgedScores } from '../../../src/core/data/judged-scores.js';
import { drawVotes, splitRisk } from '../../helpers/risk.js';
import { hasShared, SHARED } from '../../helpers/shared.js';

const SPLITS = 500;
const RISKS = [0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4];

const REAL = hasShared
  ? ['tifa-pairs', 't2v-alignment-pairs'].flatMap((set) =>
      readdirSync(`${SHARED}data/${set}/scores`).map((file) => ({ set, scorer: basename(file, '.jsonl') })),
    )
  : [];

describe('the stated risk', () => {
  it.skipIf(!hasShared).each(REAL)(
    'is exceeded in at most a tenth of the splits: $set, $scorer',
    async ({ set, scorer }) => {
      const folder = `${SHARED}data/${set}/`;
      const files = { labels: `${folder}labels.jsonl`, scores: `${folder}scores/${scorer}.jsonl` };
      const rows = votesOf((await readJudgedScores(files)).joined as JoinedPairs);
      for (const risk of RISKS) {
        const { exceeded } = splitRisk(rows, risk, SPLITS, `${set} ${scorer} ${risk}`);
        expect(exceeded, `risk ${risk}`).toBeLessThanOrEqual(SPLITS / 10);
      }
    },
  );

  it.each([
    { prompts: 100 },
    { prompts: 200 },
    { prompts: 1000 },
    { prompts: 300, pairs: 10, hardness: 2 },
    { prompts: 500, slope: 0.5, pairs: 1 },
  ])('is exceeded in at most a tenth of the splits of drawn votes: %j', (options) => {
    for (const risk of RISKS) {
      const rows = drawVotes({ ...options, seed: 'slow' });
      const { exceeded } = splitRisk(rows, risk, SPLITS, `${risk}`);
      expect(exceeded, `risk ${risk}`).toBeLessThanOrEqual(SPLITS / 10);
    }
  });
});
