import { describe, expect, it } from 'vitest';
import { Random } from '../../../src/core/bytes/random.js';
import { infidelityOf } from '../../../src/core/explanation/checks/infidelity.js';
import { impute } from '../../../src/core/explanation/checks/road.js';
import { colourOf, inkOn, scaleOf } from '../../../src/core/explanation/colours.js';
import { gaussLegendre } from '../../../src/core/explanation/quadrature.js';
import { attributeCells, energyCells, gridOf, MEL_BANDS, pieceOf } from '../../../src/core/explanation/spectrum.js';
import { describeTokens } from '../../../src/core/explanation/tokens.js';
import { hashed } from '../../helpers/hashed.js';

const sum = (values: Iterable<number>): number => {
  let total = 0;
  for (const value of values) total += value;
  return total;
};

describe('gaussLegendre', () => {
  it.each([1, 2, 5, 32, 101, 512])('integrates polynomials up to degree 2n - 1 exactly: n = %i', (n) => {
    const { nodes, weights } = gaussLegendre(n);
    for (const degree of [0, 1, 2 * n - 1]) {
      const integral = sum(nodes.map((x, i) => weights[i] * x ** degree));
      expect(integral).toBeCloseTo(1 / (degree + 1), 12);
    }
  });

  // numpy.polynomial.legendre.leggauss(3), on [0, 1]
  it('gives the nodes of numpy', () => {
    const { nodes, weights } = gaussLegendre(3);
    expect(Array.from(nodes)).toEqual([0.1127016653792583, 0.5, 0.8872983346207417].map((x) => expect.closeTo(x, 14)));
    expect(Array.from(weights)).toEqual([5 / 18, 8 / 18, 5 / 18].map((x) => expect.closeTo(x, 14)));
  });
});

describe('the spectrum of a sound', () => {
  const x = hashed(5000, 1);
  const slope = hashed(5000, 2);
  const grid = gridOf(x.length, 16_000, MEL_BANDS);

  it('attributes to cells exactly what it attributes to samples', () => {
    const product = sum(x.map((value, i) => value * slope[i]));
    expect(sum(attributeCells(x, slope, grid))).toBeCloseTo(product, 3);
    expect(sum(energyCells(x, grid))).toBeCloseTo(sum(x.map((value) => value * value)), 2);
  });

  it('is a sum of pieces', () => {
    const low = pieceOf(x, grid, [0, 10], [0, grid.windows]);
    const high = pieceOf(x, grid, [10, MEL_BANDS], [0, grid.windows]);
    for (let i = 0; i < x.length; i += 97) expect(low[i] + high[i]).toBeCloseTo(x[i], 5);
  });

  it('shares out every bin, also where bands are narrower than one', () => {
    const { edges, size } = gridOf(1000, 8000, MEL_BANDS);
    expect(edges[0]).toBe(0);
    expect(edges[MEL_BANDS]).toBe(size / 2 + 1);
    for (let i = 1; i < edges.length; i++) expect(edges[i]).toBeGreaterThan(edges[i - 1]);
  });
});

describe('infidelityOf', () => {
  it('is 0 for a map that says what is lost, and unexplained 0 for one that says it on another scale', () => {
    expect(infidelityOf([1, 2, 3], [1, 2, 3])).toEqual({ infidelity: 0, unexplained: 0 });
    const scaled = infidelityOf([2, 4, 6], [1, 2, 3]);
    expect(scaled.infidelity).toBeCloseTo(14 / 3, 12);
    expect(scaled.unexplained).toBeCloseTo(0, 12);
    expect(infidelityOf([0, 0], [1, 2]).unexplained).toBe(1);
  });
});

describe('impute', () => {
  it('continues a plane through removed pixels, but for the noise', () => {
    const side = 12;
    const plane = Float32Array.from({ length: side * side }, (_, at) => (at % side) + 2 * Math.floor(at / side));
    const removed = [3, 4, 5].flatMap((y) => [4, 5, 6].map((x) => y * side + x));
    const imputed = impute(plane, [1, 1, side, side], removed, new Random('test'));
    for (const at of removed) expect(Math.abs(imputed[at] - plane[at])).toBeLessThan(0.1);
    expect(imputed[0]).toBe(plane[0]);
  });
});

describe('colours', () => {
  it('run from end to end, with a letter colour that can be read on each', () => {
    expect(colourOf(-1, true)).toEqual([0, 18, 97]);
    expect(colourOf(1, true)).toEqual([89, 0, 8]);
    expect(colourOf(2, false)).toEqual([254, 232, 56]);
    expect(inkOn([255, 255, 255])).toBe('#000000');
    expect(inkOn([0, 0, 64])).toBe('#ffffff');
  });

  it('share one scale, which nothing but zeros leaves at 1', () => {
    expect(scaleOf([Float32Array.of(0, 0)])).toBe(1);
    expect(scaleOf([Float32Array.of(-3), Float32Array.of(1)])).toBe(3);
  });
});

describe('describeTokens', () => {
  const tokenizer = (names: Record<number, string>, specials: readonly number[] = []) =>
    ({ tokenOf: (id: number) => names[id] && { token: names[id], special: specials.includes(id) } }) as never;

  it('joins the pieces of a word, whatever marks the vocabulary has', () => {
    const pieces = describeTokens([0, 1, 2, 3], tokenizer({ 0: '[CLS]', 1: 'ex', 2: '##plain', 3: 'it' }, [0]));
    expect(pieces.map(({ text, word }) => `${text}${word}`)).toEqual(['[CLS]null', 'ex0', 'plain0', 'it1']);
    const clip = describeTokens([1, 2, 3], tokenizer({ 1: 'ex', 2: 'plain</w>', 3: 'it</w>' }));
    expect(clip.map(({ text, word }) => `${text}${word}`)).toEqual(['ex0', 'plain0', 'it1']);
    const bytes = describeTokens([1, 2, 3], tokenizer({ 1: 'caf', 2: 'Ã©', 3: 'Ġau' }));
    expect(bytes.map(({ text, word }) => `${text}${word}`)).toEqual(['caf0', 'é0', 'au1']);
  });
});
