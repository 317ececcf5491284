import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { calibrateFiles } from '../../src/core/lifecycle/calibrate/calibrate.js';
import { evaluateFiles } from '../../src/core/lifecycle/evaluate/evaluate.js';
import { contradictions } from '../helpers/card-statements.js';
import { makeCard } from '../helpers/cards.js';
import { hpsv3 } from '../helpers/cli.js';
import { hasShared, SHARED } from '../helpers/shared.js';
import { tempFolder } from '../helpers/temp.js';

// Statements are texts: the pictures of the cards that are made in this process are drawn, and not turned into pixels.
vi.mock('../../src/core/media/rasterize.js', async (original) => ({
  ...(await original<typeof import('../../src/core/media/rasterize.js')>()),
  rasterizeSvg: async () => Buffer.alloc(0),
}));

describe('the statements of a card do not contradict each other', () => {
  it('where the demo made it', async () => {
    const cwd = tempFolder();
    const { code, stderr } = await hpsv3(['demo', '--out', 'made', '--json'], { cwd });
    expect(code, stderr).toBe(0);
    expect(contradictions(join(cwd, 'made', 'card'))).toEqual([]);
  });

  const data = join(SHARED, 'data/tifa-pairs');
  const scorers = hasShared ? readdirSync(join(data, 'scores')).map((name) => name.replace(/\.jsonl$/, '')) : [];
  const methods = ['temperature', 'isotonic', 'none'] as const;
  it.skipIf(!hasShared).each(scorers.flatMap((scorer) => methods.map((method) => ({ scorer, method }))))(
    'where $scorer judged pictures of prompts, calibrated by $method (skipped without the shared data)',
    async ({ scorer, method }) => {
      const into = tempFolder();
      const files = { scores: join(data, 'scores', `${scorer}.jsonl`), labels: join(data, 'labels.jsonl'), seed: 0 };
      const calibrator = method === 'none' ? undefined : join(into, 'calibrator.json');
      if (method !== 'none') await calibrateFiles({ ...files, method, folds: 3, resamples: 20, out: calibrator! });
      const out = join(into, 'report.json');
      await evaluateFiles({ ...files, calibrator, by: ['source', 'models'], out, resamples: 60 });
      const folders = [data, join(data, 'scores')];
      await makeCard(join(into, 'card'), { scorer, evaluations: [out], files: folders });
      expect(contradictions(join(into, 'card'))).toEqual([]);
    },
  );
});
