import { describe, expect, it } from 'vitest';
import { drawSvg } from '../../../src/core/card/charts/draw.js';
import { curveSpec } from '../../../src/core/card/charts/training-curve.js';

const header = { examples: { image: { validationPairs: 200 }, text: { validationPairs: 0 } } };
const line = (step: number, auc: object, mean: number | null) => ({
  step,
  loss: 0.6,
  'loss.pair': 0.5,
  auc,
  mean_auc: mean,
});

interface Panel {
  readonly data: {
    readonly values: readonly { readonly series: string; readonly low?: number; readonly high?: number }[];
  };
}
const panelsOf = (log: readonly object[]): readonly Panel[] =>
  (curveSpec(log as never) as unknown as { readonly vconcat: readonly Panel[] }).vconcat;

describe('the curve of a training run', () => {
  it('draws each series apart, with the interval of an AUC where its pairs are known', async () => {
    const log = [
      header,
      line(10, { image: 0.8, text: 0.7 }, 0.75),
      { step: 15, event: 'not-finite' },
      line(20, { image: 0.9, text: null }, 0.9),
    ];
    const [losses, aucs] = panelsOf(log);
    expect([...new Set(losses.data.values.map(({ series }) => series))]).toEqual(['loss', 'pair']);
    expect(aucs.data.values.map(({ series }) => series)).toEqual(['image', 'text', 'mean', 'image', 'mean']);
    // Hanley and McNeil (1982), equation 1, by hand: 100 pairs on each side, AUC 0.8, standard error 0.0314.
    expect(aucs.data.values[0].low).toBeCloseTo(0.8 - 1.96 * 0.0314, 3);
    expect(aucs.data.values[1]).not.toHaveProperty('low');
    const svg = await drawSvg(curveSpec(log as never));
    for (const text of ['>Training<', '>pair<', '>image<', '>mean<', '>AUC, held out<']) expect(svg).toContain(text);
  });

  it('draws no panel for what was never measured, and no mean of one', () => {
    expect(panelsOf([header, line(10, { image: null }, null)])).toHaveLength(1);
    const [, aucs] = panelsOf([header, line(10, { image: 0.8 }, 0.8)]);
    expect(aucs.data.values.map(({ series }) => series)).toEqual(['image']);
    expect(panelsOf([header])).toEqual([]);
  });
});
