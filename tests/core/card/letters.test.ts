import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { drawChart, drawSvg } from '../../../src/core/card/charts/draw.js';
import { driftCharts } from '../../../src/core/card/charts/drift.js';
import { gainCurveSpec } from '../../../src/core/card/charts/gain-curve.js';
import { paretoChart } from '../../../src/core/card/charts/pareto.js';
import { latencyChart, rooflineChart } from '../../../src/core/card/charts/profile.js';
import {
  calibrationCurveChart,
  distributionsChart,
  flipsChart,
  groupsChart,
  reliabilityChart,
} from '../../../src/core/card/charts/specs.js';
import { curveSpec } from '../../../src/core/card/charts/training-curve.js';
import { calibrateFiles } from '../../../src/core/lifecycle/calibrate/calibrate.js';
import { rasterizeSvg } from '../../../src/core/media/rasterize.js';
import { evaluated, readJson } from '../../helpers/cards.js';
import { PHONE, PHONE_COLUMN, smallestLetters } from '../../helpers/drawings.js';
import { sharedFolder } from '../../helpers/temp.js';

const SMALLEST = 11;
const LONG = 'a/very/long/name_of_something-that.is_told_apart_only_by_its_end';

const folder = sharedFolder();
let report: Parameters<typeof groupsChart>[0];
let calibrator: Parameters<typeof calibrationCurveChart>[0];
beforeAll(async () => {
  report = readJson(
    await evaluated(folder, { prompts: 20, groups: [`${LONG}_1`, `${LONG}_2`, 'short'] }),
  ) as unknown as typeof report;
  const out = join(folder, 'calibrator.json');
  const files = { scores: join(folder, 'scores.jsonl'), labels: join(folder, 'labels.jsonl') };
  await calibrateFiles({ ...files, out, method: 'platt', seed: 0, folds: 3, resamples: 20 });
  calibrator = readJson(out) as unknown as typeof calibrator;
});

/** SHOW_DRAWINGS=FOLDER keeps what is drawn, to be looked at. */
async function keep(name: string, svg: string): Promise<void> {
  const into = process.env.SHOW_DRAWINGS;
  if (into === undefined) return;
  mkdirSync(into, { recursive: true });
  writeFileSync(join(into, `${name}.png`), await rasterizeSvg(svg));
}

const flips = () => ({
  gate: {
    decisions: { byMargin: [1, 2, 3].map((i) => ({ low: i / 100, high: (i + 1) / 100, pairs: 400, flips: 4 - i })) },
  },
});

const check = () => ({
  features: ['logit', LONG, 'length'].map((feature, i) => ({
    feature,
    group: i === 1 ? LONG : null,
    effect: 0.3 / (i + 1),
    floor: 0.1,
    moved: i < 2,
    reference: { mean: 0.2 },
  })),
  window: { from: null },
  timeline: [0, 1, 2, 3].map((i) => ({ start: 100 * i, from: null, logit: i / 10, accuracy: 0.7 + i / 50 })),
});

describe('the letters of a chart are at least 11 pixels high on a phone', () => {
  const pages = {
    reliability: () => reliabilityChart(report, 'reliability'),
    groups: () => groupsChart(report, 'groups'),
    distributions: () => distributionsChart(report, 'distributions'),
    calibration: () => calibrationCurveChart(calibrator),
    flips: () => flipsChart(flips() as never),
    drift: () => driftCharts(check() as never),
  };
  it.each(Object.keys(pages) as (keyof typeof pages)[])('in a page: %s', async (name) => {
    const charts = pages[name]();
    expect(charts.length).toBeGreaterThan(0);
    for (const chart of charts) {
      const { wide, narrow } = await drawChart(chart);
      await keep(chart.name, wide);
      await keep(`${chart.name}-narrow`, narrow);
      expect(smallestLetters(narrow, PHONE_COLUMN)).toBeGreaterThanOrEqual(SMALLEST);
      // Letters drawn smaller would be found.
      expect(smallestLetters(narrow.replace('font-size="12px"', 'font-size="9px"'), PHONE_COLUMN)).toBeLessThan(
        SMALLEST,
      );
    }
  });

  const log = [
    {
      examples: {
        image: { validationPairs: 200 },
        text: { validationPairs: 90 },
        'image-text': { validationPairs: 50 },
      },
    },
    { step: 0, auc: { image: 0.5, text: 0.49, 'image-text': 0.52 }, mean_auc: 0.503 },
    ...[10, 20, 30, 40].map((step) => ({
      step,
      loss: 1 / step + 0.3,
      'loss.pair': 1 / step + 0.2,
      'loss.quality': 1 / step + 0.2,
      auc: { image: 0.5 + step / 120, text: 0.5 + step / 150, 'image-text': 0.5 + step / 120 },
      mean_auc: 0.5 + step / 130,
    })),
  ];
  const judged = (flipRate: number) => ({ flipRate, kendall: 1 - flipRate });
  const trials = [0, 1, 2, 3, 4].map((i) => ({
    scheme: ['weight-only', 'dynamic', 'static', 'static', 'int4'][i],
    calibrator: i === 2 || i === 3 ? 'percentile' : null,
    keptFloat: i,
    bytes: [41e6, 25e6, 24.8e6, 24.8e6, 14e6][i],
    speed: [0.9, 1.8, 1.82, 1.82, 2.4][i],
    heldOut: judged(i / 100),
    pareto: i !== 2,
    against: i === 4 ? 'flips 4.00 % of held-out decisions, more than 0.50 %' : null,
  }));
  const kernel = (i: number) => ({
    name: `${LONG}_${i}`,
    operator: 'MatMul',
    macs: 1e9 / (i + 1),
    bytes: 1e7,
    ms: 5 / (1 + (i >> 1)),
    recoverableMs: 1,
    bound: i % 2 ? 'memory' : 'compute',
  });
  const profile = {
    model: { file: `${LONG}.onnx` },
    time: { kernels: [0, 1, 2, 3, 4, 5, 6].map(kernel), wallMs: 40 },
    peaks: { macsPerSecond: 4e11, integerMacsPerSecond: 1.2e12, bytesPerSecond: 2e10 },
    latency: {
      minMs: 4,
      maxMs: 11,
      p50Ms: { value: 5 },
      p90Ms: { value: 5.4 },
      p99Ms: { value: 10 },
      runs: 200,
      setting: { batch: 1, threads: 2 },
    },
  } as never;
  const times = Array.from({ length: 200 }, (_, i) => 4 + (i % 20) / 9 + (i === 7 ? 4.8 : 0));
  const points = [0, 50, 100].map((labels) => ({ labels, value: 0.5 + labels / 300 }));
  const files = {
    'training curve': () => drawSvg(curveSpec(log), 'narrow'),
    'gain curve': () =>
      drawSvg(gainCurveSpec(points, points.slice(0, 2), { title: 'Gain', subtitle: LONG, y: 'bits' }), 'narrow'),
    pareto: async () => paretoChart(trials as never, 100e6, trials[3] as never),
    roofline: async () => rooflineChart(profile),
    latency: async () => latencyChart(profile, times),
  };
  it.each(Object.keys(files) as (keyof typeof files)[])('in a file of its own: %s', async (name) => {
    const svg = await files[name]();
    await keep(name, svg);
    expect(smallestLetters(svg, PHONE)).toBeGreaterThanOrEqual(SMALLEST);
    expect(svg).toContain('prefers-color-scheme: dark');
  });
});
