import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { CheckDocument } from '../../../src/core/drift/document.js';
import { LastCheck } from '../../../src/core/serving/drift-gauges.js';
import { SILENT } from '../../../src/core/serving/log.js';
import { Metrics } from '../../../src/core/serving/metrics.js';
import { tempFolder } from '../../helpers/temp.js';

const CHECK: CheckDocument = {
  schema: 'hpsv3/drift-check@1',
  verdict: 'drift',
  causes: ['scores'],
  reasons: ['What moved is the scores.'],
  alpha: 0.05,
  reference: { name: 'r.json', sha256: 'a'.repeat(64), rows: 100, clusters: 50, from: null, to: null },
  window: { rows: 80, clusters: 40, sampled: 80, refused: 0, from: null, to: null, torn: 0 },
  identity: [],
  permutations: 999,
  features: [
    {
      feature: 'logit',
      group: 'client=b',
      cause: 'scores',
      test: 'numbers',
      n: { reference: 100, window: 80 },
      pValue: 0.001,
      holm: 0.004,
      effect: 0.31,
      floor: 0.1,
      moved: true,
      statistics: { ks: 0.2, wasserstein: 0.3 },
      reference: { n: 100, mean: 0, sd: 1, quartiles: [-1, 0, 1] },
      window: { n: 80, mean: 0, sd: 1, quartiles: [-1, 0, 1] },
    },
  ],
  untested: [],
  smallGroups: [],
  expected: {
    accuracy: 0.72,
    auc: 0.8,
    ci: [0.7, 0.74],
    reference: 0.75,
    calibrated: true,
    bound: null,
    labelsNeeded: 500,
  },
  calibration: null,
  monitors: {
    looks: 1,
    rows: 80,
    labels: 0,
    limit: 20,
    of: [{ of: 'scores', group: null, n: 40, logE: Math.log(2.5), mostLogE: 1, alarm: null }],
  },
  timeline: [],
  warnings: [],
  tool: 'hpsv3',
};

it('shows what the last check found, nothing before there is one, and what was there while a file is damaged', async () => {
  const folder = tempFolder();
  const metrics = new Metrics(() => 0, new LastCheck(folder, SILENT));
  expect((await metrics.format()).text).not.toMatch(/^hpsv3_drift_\w+{/m);
  writeFileSync(join(folder, 'drift.json'), JSON.stringify(CHECK));
  const { text } = await metrics.format();
  for (const line of [
    'hpsv3_drift_verdict{verdict="drift"} 1',
    'hpsv3_drift_verdict{verdict="no-drift"} 0',
    'hpsv3_drift_effect{feature="logit",group="client=b"} 0.31',
    'hpsv3_drift_p_value{feature="logit",group="client=b"} 0.004',
    'hpsv3_drift_e_value{monitor="scores",group="all"} 2.5',
    'hpsv3_estimated_accuracy 0.72',
    'hpsv3_drift_rows 80',
  ])
    expect(text).toContain(line);
  writeFileSync(join(folder, 'drift.json'), '{"schema":');
  expect((await metrics.format()).text).toContain('hpsv3_drift_rows 80');
});
