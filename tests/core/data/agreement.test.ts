import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { fleissKappa, krippendorffAlpha, voteAgreement } from '../../../src/core/data/agreement.js';
import { consensus } from '../../../src/core/data/consensus.js';
import { fitDawidSkene } from '../../../src/core/data/dawid-skene.js';
import { clusterFolds, clusterHash, clusterSplit } from '../../../src/core/data/split.js';
import { pair } from './helpers.js';

interface Vectors {
  alpha: { units: number[][]; nominal: number; ordinal: number; interval: number }[];
  kappa: { units: number[][]; fleiss: number }[];
  skene: { rows: [string, number][][]; left: number[]; crowdkit: number[] }[];
  hashes: { seed: number; cluster: string; place: number }[];
}

// From krippendorff, statsmodels, crowd-kit and hashlib by tests/golden/data/make.py
const vectors: Vectors = JSON.parse(readFileSync(new URL('../../golden/data/vectors.json', import.meta.url), 'utf8'));

describe('krippendorffAlpha', () => {
  it.each(['nominal', 'ordinal', 'interval'] as const)('equals the krippendorff package, %s', (level) => {
    const ours = vectors.alpha.map(({ units }) => krippendorffAlpha(units, level) ?? Number.NaN);
    expect(ours).toBeAllClose(
      vectors.alpha.map((vector) => vector[level]),
      { atol: 1e-12 },
    );
  });

  it('is null where nothing can be compared, or all is equal', () => {
    for (const units of [
      [],
      [[1]],
      [[1], [0]],
      [
        [1, 1],
        [1, 1, 1],
      ],
    ]) {
      for (const level of ['nominal', 'ordinal', 'interval'] as const)
        expect(krippendorffAlpha(units, level)).toBeNull();
      expect(fleissKappa(units)).toBeNull();
    }
  });
});

describe('fleissKappa', () => {
  it('equals statsmodels', () => {
    const ours = vectors.kappa.map(({ units }) => fleissKappa(units) ?? Number.NaN);
    expect(ours).toBeAllClose(
      vectors.kappa.map(({ fleiss }) => fleiss),
      { atol: 1e-12 },
    );
  });
});

describe('voteAgreement', () => {
  it('is the share of the most frequent answer, a tie being one', () => {
    expect([[1], [1, 0], [1, 1, 0], [0.5, 0.5, 1, 0]].map(voteAgreement)).toEqual([1, 0.5, 2 / 3, 0.5]);
  });
});

describe('fitDawidSkene', () => {
  const fits = vectors.skene.map(({ rows }) =>
    fitDawidSkene(
      rows.map((votes, i) =>
        pair({ id: String(i), votes: votes.map(([, vote]) => vote), raters: votes.map(([rater]) => rater) }),
      ),
    ),
  );

  it('equals equations 2.3 to 2.5 of the paper iterated to the end', () => {
    fits.forEach((fit, i) => {
      expect(fit.converged).toBe(true);
      expect(fit.left).toBeAllClose(vectors.skene[i].left, { atol: 1e-6 });
    });
  });

  it('equals crowd-kit', () => {
    fits.forEach((fit, i) => void expect(fit.left).toBeAllClose(vectors.skene[i].crowdkit, { atol: 1e-6 }));
  });

  it('knows the good raters from the bad', () => {
    const accuracy = new Map(fits[0].raters.map((rater) => [rater.name, rater.accuracy]));
    expect(accuracy.get('rater0')! - accuracy.get('rater5')!).toBeGreaterThan(0.1);
  });

  it('does not depend on the order of rows', () => {
    const rows = vectors.skene[1].rows.map((votes, i) =>
      pair({ id: String(i), votes: votes.map(([, vote]) => vote), raters: votes.map(([rater]) => rater) }),
    );
    expect(fitDawidSkene(rows.toReversed()).left.toReversed()).toBeAllClose(fitDawidSkene(rows).left, { atol: 1e-9 });
  });

  it('refuses rows without raters, and soft labels', () => {
    for (const row of [pair({ id: '1', votes: [1, 0] }), pair({ id: '1', votes: [0.3], raters: ['a'] })]) {
      expect(() => fitDawidSkene([row])).toThrow(expect.objectContaining({ code: 'DATA_INVALID' }));
    }
  });
});

describe('consensus', () => {
  const rows = [
    pair({ id: 'a', votes: [1, 1, 0], raters: ['x', 'y', 'z'] }),
    pair({ id: 'b', votes: [0, 1] }),
    pair({ id: 'c', votes: [0.5, 0, 0], raters: ['x', 'y', 'z'] }),
    pair({ id: 'd', votes: [] }),
  ];

  it('takes the majority, a tie for half each', () => {
    const result = consensus(rows, { method: 'majority' });
    expect(result.rows.map(({ id, votes }) => [id, ...votes])).toEqual([
      ['a', 1],
      ['b', 0.5],
      ['c', 0],
    ]);
    expect(result).toMatchObject({ unlabelled: 1, disagreed: 0 });
    expect(result.rows[0]).not.toHaveProperty('raters');
  });

  it('drops rows under --min-agreement', () => {
    const result = consensus(rows, { method: 'majority', minAgreement: 0.6 });
    expect(result.rows.map(({ id }) => id)).toEqual(['a', 'c']);
    expect(result.disagreed).toBe(1);
  });

  it('weighs raters by their agreement with the others', () => {
    // x agrees in 1/2 and 0/2 of others: 1/4; y in 1/2 and 1/2: 1/2; z in 0 and 1/2: 1/4.
    const result = consensus(rows, { method: 'agreement-weighted' });
    expect(result.rows.map(({ votes }) => votes[0])).toBeAllClose([0.75, 0.5, 0.125], { atol: 1e-12 });
  });
});

describe('clusterSplit', () => {
  it('places clusters as sha256 does', () => {
    for (const { seed, cluster, place } of vectors.hashes) {
      expect(clusterHash(cluster, seed)).toBeCloseTo(place, 14);
    }
  });

  it('gives each part its share, and depends on the cluster alone', () => {
    const partOf = clusterSplit({ train: 0.8, val: 0.1, test: 0.1 }, 0);
    const counts = { train: 0, val: 0, test: 0 } as Record<string, number>;
    for (let i = 0; i < 5000; i++) counts[partOf(`prompt ${i}`)]++;
    // Four standard deviations of a binomial
    expect(Math.abs(counts.train - 4000)).toBeLessThan(4 * Math.sqrt(5000 * 0.8 * 0.2));
    expect(Math.abs(counts.test - 500)).toBeLessThan(4 * Math.sqrt(5000 * 0.1 * 0.9));
    expect(clusterSplit({ train: 0.8, val: 0.1, test: 0.1 }, 0)('prompt 7')).toBe(partOf('prompt 7'));
  });

  it.each([{ train: 0.5 }, { train: 1.5, test: -0.5 }, { train: Number.NaN, test: 1 }, {}])(
    'refuses %j',
    (fractions) => {
      expect(() => clusterSplit(fractions as Record<string, number>, 0)).toThrow(
        expect.objectContaining({ code: 'USAGE' }),
      );
    },
  );
});

describe('clusterFolds', () => {
  it('is balanced and does not depend on the order of clusters', () => {
    const names = Array.from({ length: 103 }, (_, i) => `c${i}`);
    const folds = clusterFolds(names, 5, 1);
    const sizes = [0, 1, 2, 3, 4].map((fold) => folds.filter((f) => f === fold).length);
    expect(sizes.toSorted()).toEqual([20, 20, 21, 21, 21]);
    expect([...clusterFolds(names.toReversed(), 5, 1)].reverse()).toEqual([...folds]);
  });
});
