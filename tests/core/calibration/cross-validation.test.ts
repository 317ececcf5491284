import { describe, expect, it } from 'vitest';
import { Random } from '../../../src/core/bytes/random.js';
import { predictOutOfFold } from '../../../src/core/calibration/cross-validation.js';
import { CALIBRATION_METHODS } from '../../../src/core/calibration/methods/registry.js';
import { type ClusteredVotes, PAIR_TASK } from '../../../src/core/calibration/pair-task.js';
import { sigmoid } from '../../../src/core/stats/logistic.js';

/** More than a fold's fit sees each by itself. */
const MANY = 2 ** 16 + 500;

describe('cross-validation of very many rows', () => {
  const random = new Random('very many');
  const logits = new Float64Array(MANY).map(() => 2 * random.normal());
  const positive = logits.map((logit) => (random.uniform() < sigmoid(0.8 * logit) ? 1 : 0));
  const rows: ClusteredVotes = {
    logits,
    outcomes: { positive, negative: positive.map((vote) => 1 - vote) },
    cluster: {
      names: Array.from(logits, (_, i) => `${i % 999}`).slice(0, 999),
      codes: Int32Array.from(logits.keys(), (i) => i % 999),
    },
  };

  it.each(CALIBRATION_METHODS.map((method) => [method.id, method] as const))(
    'fits %s to gathered neighbours what it fits to the rows',
    async (_, method) => {
      const curveOf = (data: ClusteredVotes) => method.fit(data, { symmetric: true, strictlyMonotone: false });
      const options = { folds: 2, seed: 1 };
      const gathered = await predictOutOfFold(PAIR_TASK, rows, (training) => curveOf(training.gathered()), options);
      const exact = await predictOutOfFold(PAIR_TASK, rows, (training) => curveOf(training.rows()), options);
      let furthest = 0;
      for (let i = 0; i < MANY; i++) furthest = Math.max(furthest, Math.abs(gathered[i] - exact[i]));
      // The steps of an isotonic fit are as wide as some hundred rows, of which an edge cell takes one along.
      expect(furthest).toBeLessThan(method.id === 'isotonic' ? 5e-3 : 1e-7);
    },
  );
});
