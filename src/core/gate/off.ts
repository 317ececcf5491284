import { budgetOf, type GateOptions, seedOf } from './options.js';
import type { GateReport } from './report.js';

/** The report of level `off`. Nothing was asked, so nothing failed; `level` and `reference` say that nothing is known either. */
export const reportOff = (options: GateOptions): GateReport => ({
  passed: true,
  level: 'off',
  reference: 'none',
  budget: budgetOf(options),
  seed: seedOf(options),
  checks: [],
  notes: [],
  pairs: null,
  flips: null,
  flipRate: null,
  kendall: null,
  maxScoreDiff: null,
  parity: { golden: null, source: null },
  peakRssBytes: 0,
  loadMs: 0,
  runMs: 0,
});
