import { describe, expect, it } from 'vitest';
import { Random } from '../../../src/core/bytes/random.js';
import { prepareAuc } from '../../../src/core/stats/auc.js';
import { bootstrap, type Replicates, replicate, rowClusters } from '../../../src/core/stats/bootstrap.js';
import { delongAuc } from '../../../src/core/stats/delong.js';
import {
  ABSOLUTE_METRICS,
  type AbsoluteRows,
  type Metric,
  PAIR_METRICS,
  type PairRows,
} from '../../../src/core/stats/metric.js';
import { normalQuantile } from '../../../src/core/stats/normal.js';
import { outcomesOfLabels } from '../../../src/core/stats/outcomes.js';
import { bootstrapP, comparePaired, verdictOf } from '../../../src/core/stats/paired.js';
import { prepareVoteAccuracy } from '../../../src/core/stats/pairwise-accuracy.js';
import { quantileOfSorted } from '../../../src/core/stats/quantile.js';
import {
  differenceOf,
  inBlocks,
  ofSubset,
  overClusters,
  ratioOfSums,
  type Statistic,
} from '../../../src/core/stats/statistic.js';

/** Rows in clusters of `size` whose values share most of their noise; labels follow the values. */
function clusteredRows(clusters: number, size: number) {
  const random = new Random(`rows ${clusters} x ${size}`);
  const of = new Int32Array(clusters * size);
  const scores = new Float64Array(clusters * size);
  const labels = new Float64Array(clusters * size);
  for (let cluster = 0, row = 0; cluster < clusters; cluster++) {
    const shared = random.normal();
    for (let k = 0; k < size; k++, row++) {
      of[row] = cluster;
      scores[row] = shared + 0.2 * random.normal();
      labels[row] = shared + random.normal() > 0 ? 1 : 0;
    }
  }
  return { clusters: { of, count: clusters }, scores, outcomes: outcomesOfLabels(labels) };
}

const { clusters, scores, outcomes } = clusteredRows(80, 5);
const options = { resamples: 1000, seed: 'test' };
const width = ([low, high]: readonly [number, number]) => high - low;

describe('bootstrap', () => {
  it('gives the same interval for the same seed, and another for another', async () => {
    const interval = async (seed: string) =>
      (await bootstrap([prepareAuc(scores, outcomes)], clusters, { resamples: 200, seed }))[0].ci;
    expect(await interval('a')).toEqual(await interval('a'));
    expect(await interval('a')).not.toEqual(await interval('b'));
  });

  it('draws whole clusters: each resample counts every row of a cluster equally, and as many clusters as there are', async () => {
    const seen = new Set<string>();
    const check: Statistic = (weights) => {
      if (weights === undefined) return 0;
      for (let i = 0; i < weights.length; i++) if (weights[i] !== weights[i - (i % 5)]) seen.add('split');
      if (weights.reduce((sum, weight) => sum + weight, 0) !== 400) seen.add('size');
      seen.add(weights.join());
      return 0;
    };
    await replicate([check], clusters, { resamples: 20, seed: 's' });
    expect(seen.has('split') || seen.has('size')).toBe(false);
    expect(seen.size).toBe(20);
  });

  it.each(['percentile', 'bca'] as const)('is as wide as the analytic interval for clusters (%s)', async (method) => {
    const [{ value, ci }] = await bootstrap([prepareAuc(scores, outcomes)], clusters, { ...options, method });
    const analytic = delongAuc(scores, outcomes, { clusterOf: clusters.of });
    expect(value).toBeCloseTo(analytic?.auc as number, 12);
    expect(ci?.[0]).toBeLessThan(value as number);
    expect(ci?.[1]).toBeGreaterThan(value as number);
    expect(width(ci as [number, number]) / width(analytic?.ci as [number, number])).toBeGreaterThan(0.85);
    expect(width(ci as [number, number]) / width(analytic?.ci as [number, number])).toBeLessThan(1.15);
  });

  it('is wider over clusters than over rows taken as independent', async () => {
    const statistic = prepareAuc(scores, outcomes);
    const [byCluster] = await bootstrap([statistic], clusters, options);
    const [byRow] = await bootstrap([statistic], rowClusters(scores.length), options);
    expect(width(byCluster.ci as [number, number])).toBeGreaterThan(1.3 * width(byRow.ci as [number, number]));
  });

  it('covers the truth about as often as it says', async () => {
    let covered = 0;
    for (let trial = 0; trial < 200; trial++) {
      const random = new Random(`trial ${trial}`);
      const values = Float64Array.from({ length: 60 }, () => random.normal());
      const mean = ratioOfSums(values, new Float64Array(60).fill(1));
      const [{ ci }] = await bootstrap([mean], rowClusters(60), { resamples: 300, level: 0.9, seed: `${trial}` });
      if (ci && ci[0] <= 0 && ci[1] >= 0) covered++;
    }
    expect(covered).toBeGreaterThan(165);
    expect(covered).toBeLessThan(195);
  });

  it('has no interval where there is one cluster, where the figure is undefined, or where it often would be', async () => {
    const oneClass = outcomesOfLabels([1, 1, 1]);
    const rareClass = outcomesOfLabels([1, 1, 0]);
    const three = Float64Array.of(1, 2, 3);
    const single = { of: new Int32Array(3), count: 1 };
    const ofRows = async (statistic: Statistic, by = rowClusters(3)) => (await bootstrap([statistic], by, options))[0];
    expect(await ofRows(prepareAuc(three, oneClass))).toEqual({ value: null, ci: null });
    expect(await ofRows(prepareAuc(three, rareClass))).toEqual({ value: 0, ci: null });
    expect(await ofRows(prepareVoteAccuracy(three, rareClass), single)).toEqual({ value: 2 / 3, ci: null });
  });

  it('has a BCa interval of null where every resample gives the same value below or above', async () => {
    const constant: Statistic = (weights) => (weights === undefined ? 1 : 0);
    expect(await bootstrap([constant], clusters, { ...options, method: 'bca' })).toEqual([{ value: 1, ci: null }]);
  });

  it('is stopped by a signal, between two draws', async () => {
    const controller = new AbortController();
    setTimeout(() => controller.abort(new Error('stopped')), 5);
    const endless = { resamples: 1e7, seed: 's', signal: controller.signal };
    await expect(bootstrap([prepareAuc(scores, outcomes)], clusters, endless)).rejects.toThrow('stopped');
  });

  it('refuses to resample no clusters', async () => {
    await expect(bootstrap([], { of: new Int32Array(0), count: 0 }, options)).rejects.toThrow(RangeError);
  });
});

describe('ofSubset', () => {
  it('is the statistic of the rows alone, under the weights of all', () => {
    const rows = Int32Array.of(0, 3, 7, 11, 12, 40);
    const pick = (values: Float64Array) => Float64Array.from(rows, (row) => values[row]);
    const own = prepareVoteAccuracy(pick(scores), {
      positive: pick(outcomes.positive),
      negative: pick(outcomes.negative),
    });
    const weights = Float64Array.from(scores, (_, i) => i % 3);
    expect(ofSubset(own, rows)(weights)).toBe(own(pick(weights)));
    expect(ofSubset(own, rows)()).toBe(own());
  });
});

describe('overClusters', () => {
  /** Sums over rows, and over those of a bin, are added up in another order; whatever is not a sum takes the same steps. */
  const SUMS = new Set(['nll', 'brier', 'rmse', 'mae', 'ece', 'mce']);
  const draws = Float64Array.from({ length: clusters.count }, (_, cluster) => [0, 1, 2, 0, 1, 3][cluster % 6]);
  const weights = Float64Array.from(clusters.of, (cluster) => draws[cluster]);
  const actual = scores.map((score, i) => Math.round(score + Math.sin(i)));
  const prepared = [
    ...PAIR_METRICS.map((metric) => ({
      id: metric.id,
      statistic: metric.prepare({ logits: scores, probabilities: null, outcomes }),
    })),
    ...ABSOLUTE_METRICS.map((metric) => ({ id: metric.id, statistic: metric.prepare({ predicted: scores, actual }) })),
  ];

  function expectSame(id: string, statistic: Statistic): void {
    const [byCluster, byRow] = [overClusters(statistic, clusters)(draws), statistic(weights)];
    expect(byRow).toEqual(expect.any(Number));
    if (SUMS.has(id)) expect([byCluster]).toBeAllClose([byRow as number], { atol: 1e-13 });
    else expect(byCluster).toBe(byRow);
  }

  it.each(prepared)('gives $id of rows that count as often as their cluster', ({ id, statistic }) => {
    expectSame(id, statistic);
  });

  it.each(prepared)('gives $id of some rows, and its difference from others', ({ id, statistic }) => {
    const rows = Int32Array.from(clusters.of.keys()).filter((row) => row % 3 > 0);
    const metric = [...PAIR_METRICS, ...ABSOLUTE_METRICS].find((one) => one.id === id)!;
    const take = (values: Float64Array) => Float64Array.from(rows, (row) => values[row]);
    const some = (metric as Metric<PairRows & AbsoluteRows>).prepare({
      logits: take(scores),
      probabilities: null,
      outcomes: { positive: take(outcomes.positive), negative: take(outcomes.negative) },
      predicted: take(scores),
      actual: take(actual),
    });
    expectSame(id, ofSubset(some, rows));
    expectSame(id, differenceOf(statistic, ofSubset(some, rows)));
  });

  it('is null where a sum overflows', () => {
    const losses = ratioOfSums(Float64Array.of(1e308, 1e308), Float64Array.of(1, 1));
    const twice = overClusters(losses, { of: Int32Array.of(0, 1), count: 2 });
    expect([losses(), twice(Float64Array.of(1, 0)), twice(Float64Array.of(2, 0))]).toEqual([null, 1e308, null]);
  });

  it('is null where only clusters without a judgement are drawn', () => {
    const ratio = ratioOfSums(Float64Array.of(1, 2, 0), Float64Array.of(1, 2, 0));
    const resampled = overClusters(ratio, { of: Int32Array.of(0, 0, 1), count: 2 });
    expect([resampled(Float64Array.of(0, 2)), resampled(Float64Array.of(1, 1))]).toEqual([null, 1]);
  });
});

describe('inBlocks', () => {
  const count = 3 * 2 ** 14 + 5;
  const many = { of: Int32Array.from({ length: 2 * count }, (_, row) => row >> 1), count };

  it('leaves few clusters as they are', () => expect(inBlocks(clusters, 'few')).toBe(clusters));

  it('puts very many together by lot, equally many a block and none apart', () => {
    const blocks = inBlocks(many, 'many');
    const sizes = new Int32Array(blocks.count);
    let apart = 0;
    for (let cluster = 0; cluster < count; cluster++) {
      sizes[blocks.of[2 * cluster]]++;
      if (blocks.of[2 * cluster + 1] !== blocks.of[2 * cluster]) apart++;
    }
    expect(apart).toBe(0);
    expect(new Set(sizes)).toEqual(new Set([3, 4]));
    expect(inBlocks(many, 'many')).toEqual(blocks);
    expect(inBlocks(many, 'other').of).not.toEqual(blocks.of);
  });

  it('keeps the standard error, also where neighbours are alike', async () => {
    const values = Float64Array.from(many.of, (cluster) => (cluster < count / 2 ? 0 : 1));
    const mean = ratioOfSums(values, new Float64Array(values.length).fill(1));
    const [{ values: drawn }] = await replicate([mean], inBlocks(many, 'halves'), { resamples: 200, seed: 'halves' });
    const spread = Math.sqrt(drawn.reduce<number>((sum, value) => sum + (value! - 0.5) ** 2, 0) / drawn.length);
    // 200 resamples know a spread to a twentieth.
    expect(spread / Math.sqrt(0.25 / count)).toBeGreaterThan(0.8);
    expect(spread / Math.sqrt(0.25 / count)).toBeLessThan(1.2);
  });
});

describe('calibration errors of the same rows', () => {
  const rows = { logits: scores, probabilities: null, outcomes };
  const errors = PAIR_METRICS.filter(({ id }) => /ece|mce/i.test(id));

  it('are the same over one bootstrap, where they share their bins, as each alone', async () => {
    const some = { resamples: 20, seed: 'bins' };
    const alone: Replicates[] = [];
    for (const { prepare } of errors) alone.push(...(await replicate([prepare({ ...rows })], clusters, some)));
    expect(errors.length).toBeGreaterThan(3);
    expect(
      await replicate(
        errors.map(({ prepare }) => prepare(rows)),
        clusters,
        some,
      ),
    ).toEqual(alone);
  });

  it('share the bins of a numbered draw only', () => {
    const [ece] = errors.map(({ prepare }) => overClusters(prepare(rows), clusters));
    const draws = new Float64Array(clusters.count).fill(1);
    const all = [ece(draws), ece(draws, 1)];
    draws.fill(0, 1);
    const one = ece(draws);
    expect(all[0]).toBe(all[1]);
    expect(one).not.toBe(all[0]);
    expect(ece(draws, 2)).toBe(one);
    expect(ece(draws.slice(), 2)).toBe(one);
  });
});

describe('comparePaired', () => {
  const accuracy = (noise: number) => {
    const random = new Random(`noise ${noise}`);
    return prepareVoteAccuracy(
      scores.map((score) => score + noise * random.normal()),
      outcomes,
    );
  };

  it('finds the better and the worse of two models, and no difference of a model with itself', async () => {
    const [good, bad] = [accuracy(0), accuracy(3)];
    const compare = (a: Statistic, b: Statistic) => comparePaired(a, b, 'higher', clusters, options);
    expect(await compare(good, bad)).toMatchObject({ verdict: 'better', pValue: expect.closeTo(0, 5) });
    expect(await compare(bad, good)).toMatchObject({ verdict: 'worse' });
    expect(await compare(good, good)).toEqual({ difference: 0, ci: [0, 0], pValue: 1, verdict: 'undecided' });
  });

  it('is tighter than two intervals side by side', async () => {
    const [a, b] = [accuracy(0), accuracy(0.1)];
    const { ci } = await comparePaired(a, b, 'higher', clusters, options);
    const [first, second] = await bootstrap([a, b], clusters, options);
    const apart = Math.hypot(width(first.ci as [number, number]), width(second.ci as [number, number]));
    expect(width(ci as [number, number])).toBeLessThan(0.7 * apart);
  });

  it('reads a lower figure as better where the metric says so', () => {
    expect(verdictOf([-0.2, -0.1], 'lower')).toBe('better');
    expect(verdictOf([0.1, 0.2], 'lower')).toBe('worse');
    expect(verdictOf([0, 0.2], 'lower')).toBe('undecided');
  });

  it('is undecided where the figure is undefined', async () => {
    const undefinedFigure: Statistic = () => null;
    expect(await comparePaired(accuracy(0), undefinedFigure, 'higher', clusters, options)).toEqual({
      difference: null,
      ci: null,
      pValue: null,
      verdict: 'undecided',
    });
  });

  it('has p-values below what resamples can count, by the normal tail, and none below what clusters can show', () => {
    const far = Float64Array.from({ length: 200 }, (_, i) => 1 + 0.2 * normalQuantile((i + 0.5) / 200));
    const { pValue } = { pValue: bootstrapP(far, 100) };
    expect(pValue).toBeLessThan(2e-6); // scipy.stats.norm.sf(5) * 2 is 5.7e-7
    expect(pValue).toBeGreaterThan(5e-7);
    expect(bootstrapP(far, 9)).toBe(2 ** -8);
    expect(bootstrapP(far, 3)).toBe(2 / 201);
  });

  it('has p-values that are never 0', () => {
    expect(bootstrapP(Float64Array.of(1, 2, 3), 2)).toBe(0.5);
    expect(bootstrapP(Float64Array.of(-1, 1, 2, 3), 9)).toBe(0.8);
  });
});

describe('quantileOfSorted', () => {
  it('is linear between neighbours', () => {
    expect([0, 0.25, 0.5, 1].map((p) => quantileOfSorted(Float64Array.of(1, 2, 10), p))).toEqual([1, 1.5, 2, 10]);
  });

  it('refuses no values, and a share outside [0, 1]', () => {
    expect(() => quantileOfSorted(new Float64Array(0), 0.5)).toThrow(RangeError);
    expect(() => quantileOfSorted(Float64Array.of(1), Number.NaN)).toThrow(RangeError);
  });
});
