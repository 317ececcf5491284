import { afterEach, describe, expect, it } from 'vitest';
import { Threads, withThreads } from '../../../src/core/bytes/threads.js';
import { asideIn } from '../../../src/core/calibration/aside.js';
import { fitCalibrator } from '../../../src/core/calibration/fit-calibrator.js';
import { madeForPairs, type Recipe } from '../../../src/core/calibration/recipe.js';
import type { JoinedPairs } from '../../../src/core/data/join.js';
import { choosePenaltyOfAll, crossFit } from '../../../src/core/ensemble/cross-fit.js';
import { judgingIn } from '../../../src/core/evaluation/aside.js';
import { sigmoid } from '../../../src/core/stats/logistic.js';
import { drawnPairs, joined } from '../ensemble/helpers.js';

const open: Threads[] = [];
const threads = (count: number): Threads => {
  const pool = new Threads(count);
  open.push(pool);
  return pool;
};

afterEach(async () => {
  for (const pool of open.splice(0)) await pool.close();
});

describe('threads', () => {
  it('fit a calibrator as one thread does, to the last bit', async () => {
    const { clusters, clusterNames, logits, outcomes } = await joined(drawnPairs('threads', 100), ['small']);
    const rows = { logits: logits[0], outcomes, cluster: { names: clusterNames, codes: clusters.of } };
    const recipe: Recipe = { kind: 'pair', methods: ['none', 'temperature'], symmetric: true, strictlyMonotone: false };
    const { task, methods } = madeForPairs(recipe);
    const options = { auto: true, folds: 3, seed: 7, resamples: 100 };
    const alone = await fitCalibrator(task, rows, methods, options);
    expect(await fitCalibrator(task, rows, methods, { ...options, aside: asideIn(threads(2), recipe) })).toEqual(alone);
  });

  it('fit an ensemble as one thread does, to the last bit', async () => {
    const data = await joined(drawnPairs('threads', 60), ['small', 'large', 'guess']);
    const options = { folds: 3, seed: 7, simplex: false };
    const fitted = (pool: Threads | null) =>
      Promise.all([choosePenaltyOfAll(data, options, pool), crossFit(data, options, pool)]);
    expect(await fitted(threads(2))).toEqual(await fitted(null));
  });

  it('judge rows as one thread does, to the last bit', async () => {
    const { logits, outcomes, clusters, clusterNames } = await joined(drawnPairs('judged', 40), ['small']);
    const rows = {
      kind: 'pair' as const,
      logit: logits[0],
      votesLeft: outcomes.positive,
      votesRight: outcomes.negative,
    };
    const table = { ...rows, cluster: clusters.of, clusterCount: clusterNames.length } as JoinedPairs;
    const predictions = { values: logits[0].map(sigmoid), confidence: logits[0], calibrated: true };
    const some = Int32Array.from({ length: 30 }, (_, i) => 2 * i);
    const judged = (pool: Threads | null) => {
      const judge = judgingIn(pool, table, predictions);
      return Promise.all([null, some].map((which) => judge(which, { seed: 'x', resamples: 50 })));
    };
    const alone = await judged(null);
    expect(await judged(threads(2))).toEqual(alone);
    expect(await judged(threads(3))).toEqual(alone);
  });

  it('are halved while they compute: the calls that wait are computed by what is left', async () => {
    const pool = threads(4);
    const data = await joined(drawnPairs('halved', 40), ['small', 'large']);
    const options = { folds: 3, seed: 7, simplex: false };
    const fitting = crossFit(data, options, pool);
    expect([pool.halve(), pool.halve(), pool.halve()]).toEqual([2, 1, null]);
    expect(await fitting).toEqual(await crossFit(data, options, null));
    expect(pool.count).toBe(1);
  });

  it('hand on what a call throws', async () => {
    const pool = threads(1);
    const module = new URL('../../../src/core/ensemble/cross-fit.ts', import.meta.url).href;
    await expect(pool.call({ module, name: 'fitFold', given: {} })).rejects.toThrow(TypeError);
  });

  it('are not started for few rows, nor where one is asked for', async () => {
    const asked = (threads: number, rows: number) => withThreads({ threads, rows }, async (pool) => pool);
    expect([await asked(1, 1e6), await asked(4, 100)]).toEqual([null, null]);
    expect((await asked(3, 1e6))?.count).toBe(3);
  });
});
