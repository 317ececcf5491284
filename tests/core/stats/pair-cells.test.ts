import { describe, expect, it } from 'vitest';
import { Random } from '../../../src/core/bytes/random.js';
import { prepareAuc } from '../../../src/core/stats/auc.js';
import { replicate, rowClusters } from '../../../src/core/stats/bootstrap.js';
import {
  prepareDebiasedEce,
  prepareEce,
  prepareEceMass,
  prepareMce,
} from '../../../src/core/stats/calibration-error.js';
import { sigmoid } from '../../../src/core/stats/logistic.js';
import { PAIR_METRICS, type PairRows } from '../../../src/core/stats/metric.js';
import { bothOrders, concatenate } from '../../../src/core/stats/outcomes.js';
import { prepareSmoothEce } from '../../../src/core/stats/smooth-ece.js';
import { ofBothOrders, type Statistic } from '../../../src/core/stats/statistic.js';

/** One more than are resampled row by row. */
const MANY = 2 ** 15 + 1;

function manyRows(probabilities: 'of logits' | 'in an order of their own'): PairRows {
  const random = new Random('pair cells');
  const positive = new Float64Array(MANY);
  const logits = positive.map(() => 1.5 * random.normal());
  const outcomes = { positive, negative: new Float64Array(MANY) };
  for (let i = 0; i < MANY; i++) {
    for (let vote = 0; vote < 3; vote++) {
      (random.uniform() < sigmoid(0.7 * logits[i]) ? outcomes.positive : outcomes.negative)[i]++;
    }
  }
  const shuffled = () => logits.map((logit, i) => sigmoid((i % 2 === 0 ? 0.6 : 0.9) * logit));
  return { logits, probabilities: probabilities === 'of logits' ? null : shuffled(), outcomes };
}

/** The statistics of a report, as they are defined: over the rows themselves. */
function byRows({ logits, probabilities, outcomes }: PairRows): Record<string, Statistic> {
  const p = (probabilities ?? logits.map(sigmoid)).map((value) => 1 - (1 - value));
  const [both, votes] = [
    concatenate(
      p,
      p.map((value) => 1 - value),
    ),
    bothOrders(outcomes),
  ];
  return {
    auc: prepareAuc(logits, outcomes),
    ece: ofBothOrders(prepareEce(both, votes), MANY),
    eceMass: ofBothOrders(prepareEceMass(both, votes), MANY),
    eceDebiased: ofBothOrders(prepareDebiasedEce(both, votes), MANY),
    mce: ofBothOrders(prepareMce(both, votes), MANY),
    smece: ofBothOrders(prepareSmoothEce(both, votes), MANY),
  };
}

describe.each(['of logits', 'in an order of their own'] as const)('very many rows, probabilities %s', (order) => {
  it('have the figures of their rows, and resamples of them closer than resampling moves them by far', async () => {
    const rows = manyRows(order);
    const expected = byRows(rows);
    const ids = Object.keys(expected);
    const statistics = ids.map((id) => PAIR_METRICS.find((metric) => metric.id === id)!.prepare(rows));
    const options = { resamples: 12, seed: 'cells' };
    const clusters = rowClusters(MANY);
    const got = await replicate(statistics, clusters, options);
    const wanted = await replicate(Object.values(expected), clusters, options);
    for (const [i, id] of ids.entries()) {
      // Smooth ECE adds both orders of a pair up before it smooths.
      expect(got[i].value, id).toBeCloseTo(wanted[i].value!, id === 'smece' ? 12 : 16);
      const values = wanted[i].values as number[];
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
      const spread = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1));
      const off = values.map((value, k) => (got[i].values[k]! - value) / spread);
      expect(Math.max(...off.map(Math.abs)), id).toBeLessThan(0.2);
      expect(Math.abs(off.reduce((sum, value) => sum + value, 0)) / off.length, id).toBeLessThan(0.1);
    }
  });
});
