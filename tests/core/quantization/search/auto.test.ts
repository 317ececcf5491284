import { describe, expect, it } from 'vitest';
import { paretoChart } from '../../../../src/core/card/charts/pareto.js';
import { rowSets, selectProbes, splitRows } from '../../../../src/core/quantization/rows.js';
import {
  type SearchOptions,
  type SearchReport,
  searchQuantization,
} from '../../../../src/core/quantization/search/auto.js';
import { openSource } from '../../../../src/core/quantization/source.js';
import { goldenModel } from '../../../helpers/models.js';
import { rowsFor } from '../../../helpers/rows.js';

async function search(name: string, options: Partial<SearchOptions> = {}) {
  const path = goldenModel('quantization', name);
  const source = await openSource(path);
  try {
    const rows = await rowSets(source, { seed: 0, heldOutRows: 48 });
    const [searchRows, heldOutRows] = splitRows(rows.heldOut);
    return await searchQuantization(source, {
      perChannel: true,
      fullRange: false,
      exclude: [],
      contrib: false,
      calibrationRows: rows.calibration,
      child: {},
      searchRows,
      heldOutRows,
      allowBatchDependence: false,
      ...options,
    });
  } finally {
    source.close();
  }
}

describe('searchQuantization', () => {
  it('finds the layer that saturates: it flips most, and is kept float', async () => {
    // Speed is no matter of so small a model: the table comes with the refusal as well.
    const budget = { flipRate: 0.04, kendall: 0.9 };
    const report: SearchReport = await search('saturating', { budget }).then(
      (result) => result.report,
      (error) => error.details.search,
    );
    const ranked = report.sensitivity.filter(({ scheme }) => scheme === 'static');
    const worst = ranked.toSorted((a, b) => b.flips - a.flips)[0];
    expect(worst.nodes).toEqual(['saturating']);
    const mixed = report.trials.find(({ scheme, keptFloat }) => scheme === 'static' && keptFloat > 0)!;
    expect(mixed.search.withinBudget).toBe(true);
    expect(ranked.indexOf(worst)).toBeLessThan(mixed.keptFloat);
    const plain = report.trials.filter(({ scheme, keptFloat }) => scheme === 'static' && keptFloat === 0);
    expect(plain.every(({ search: { withinBudget } }) => !withinBudget)).toBe(true);
  });

  it('keeps further layers float where held-out rows refuse what the search rows accept', async () => {
    const { heldOut } = await rowsFor(goldenModel('quantization', 'saturating'), { seed: 0, heldOutRows: 48 });
    // One pair of scores does not show the flips that are left once the worst layer is float.
    const rows = { searchRows: selectProbes(heldOut, [0, 1]), heldOutRows: heldOut };
    const report: SearchReport = await search('saturating', { budget: { flipRate: 0.02, kendall: 0.9 }, ...rows }).then(
      (result) => result.report,
      (error) => error.details.search,
    );
    const mixed = report.trials.filter(({ scheme, keptFloat }) => scheme === 'static' && keptFloat > 0);
    expect(mixed).toMatchObject([{ keptFloat: 2 }]);
    expect(mixed[0].heldOutRefusals).toBeGreaterThan(0);
    expect(mixed[0].search.withinBudget && mixed[0].heldOut.withinBudget).toBe(true);
  });

  it('says what is within the budget, what was not tried, and why', async () => {
    const { report, finalists } = await search('mlp', { budget: { flipRate: 0.2, kendall: 0.5 } });
    expect(finalists.length).toBeGreaterThan(0);
    expect(report.skipped).toContainEqual({ scheme: 'dynamic', why: 'its rows depend on their neighbours' });
    expect(report.trials.some(({ pareto }) => pareto)).toBe(true);
    expect(finalists.every(({ trial }) => trial.against === null && trial.heldOut.withinBudget)).toBe(true);
    const [{ trial }] = finalists;
    expect(report.trials).toContain(trial);
    const chart = paretoChart(report.trials, 25_000, trial);
    expect(chart).toMatch(/^<svg[\s\S]*weight-only[\s\S]*<\/svg>\n$/);
    expect(chart.match(/>written</g)).toHaveLength(1);
    expect(chart.match(/fill="none"/g)).toHaveLength(1); // the ring around it
  });

  it('refuses a budget that nothing keeps, with the table', async () => {
    await expect(search('mlp', { maxSize: 10 })).rejects.toMatchObject({
      code: 'GATE_FAILED',
      details: { search: { trials: expect.arrayContaining([expect.objectContaining({ scheme: 'weight-only' })]) } },
    });
  });
});
