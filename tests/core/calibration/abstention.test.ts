import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Abstention, controlRisk } from '../../../src/core/calibration/abstention.js';
import type { ClusteredVotes } from '../../../src/core/calibration/pair-task.js';
import { formatCalibrate } from '../../../src/core/cli/render-calibrate.js';
import { calibrateFiles } from '../../../src/core/lifecycle/calibrate/calibrate.js';
import { manifestOf } from '../../../src/core/onnx/manifest.js';
import { openOnnx } from '../../../src/core/onnx/read.js';
import { HPSv3Scorer } from '../../../src/core/scoring/scorer.js';
import { studentQuantile } from '../../../src/core/stats/student.js';
import { drawItems, drawPairs, jsonLines, writeJudged } from '../../helpers/judged.js';
import { drawVotes, judgeMargin, splitRisk } from '../../helpers/risk.js';
import { tinyModel } from '../../helpers/scoring.js';
import { tempFolder } from '../../helpers/temp.js';

const swapped = ({ logits, outcomes, cluster }: ClusteredVotes): ClusteredVotes => ({
  logits: logits.map((logit) => -logit),
  outcomes: { positive: outcomes.negative, negative: outcomes.positive },
  cluster,
});

describe('the margin of a risk', () => {
  it('is where error and coverage are what it says', () => {
    const rows = drawVotes({ prompts: 400, seed: 'margin' });
    const { margin, coverage, error, bound, curve } = controlRisk(rows, 0.1);
    const judged = judgeMargin(rows, margin!);
    expect(coverage).toBeCloseTo(judged.coverage, 12);
    expect(error).toBeCloseTo(judged.error!, 12);
    expect(error!).toBeLessThan(bound!);
    expect(bound!).toBeLessThanOrEqual(0.1);
    for (const point of curve) expect(point.error).toBeCloseTo(judgeMargin(rows, point.margin).error!, 12);
    expect(curve.map((point) => point.coverage)).toEqual(curve.map((point) => point.coverage).sort((a, b) => a - b));
  });

  it('does not depend on which side is called left', () => {
    const rows = drawVotes({ prompts: 100, seed: 'sides' });
    expect(controlRisk(swapped(rows), 0.15)).toEqual(controlRisk(rows, 0.15));
  });

  it('falls as more risk is taken, and is 0 where all pairs can be decided', () => {
    const rows = drawVotes({ prompts: 600, seed: 'levels' });
    const margins = [0.08, 0.12, 0.2, 0.4].map((risk) => controlRisk(rows, risk).margin!);
    expect(margins).toEqual([...margins].sort((a, b) => b - a));
    expect(margins[3]).toBe(0);
  });

  it('counts a prompt once, however many rows it has', () => {
    const once = drawVotes({ prompts: 150, pairs: 1, hardness: 0, seed: 'copies' });
    const copies = 6;
    const times = (column: Float64Array) =>
      Float64Array.from({ length: copies * column.length }, (_, i) => column[Math.floor(i / copies)]);
    const often: ClusteredVotes = {
      logits: times(once.logits),
      outcomes: { positive: times(once.outcomes.positive), negative: times(once.outcomes.negative) },
      cluster: {
        names: once.cluster.names,
        codes: Int32Array.from({ length: copies * 150 }, (_, i) => once.cluster.codes[Math.floor(i / copies)]),
      },
    };
    expect(controlRisk(often, 0.15).bound).toBeCloseTo(controlRisk(once, 0.15).bound!, 12);
    // As rows of their own they would seem to say more.
    const apart = {
      ...often,
      cluster: {
        names: Array.from({ length: copies * 150 }, (_, i) => `${i}`),
        codes: Int32Array.from({ length: copies * 150 }, (_, i) => i),
      },
    };
    expect(controlRisk(apart, 0.15).coverage!).toBeGreaterThan(controlRisk(once, 0.15).coverage!);
  });

  it('says that there is none where no margin keeps it', () => {
    const rows = drawVotes({ prompts: 200, slope: 0, hardness: 0, seed: 'noise' });
    expect(controlRisk(rows, 0.2)).toMatchObject({ margin: null, coverage: null, error: null, bound: null });
  });

  it('needs enough prompts to show such a risk at all', () => {
    const rows = drawVotes({ prompts: 40, seed: 'few' });
    expect(() => controlRisk(rows, 0.05)).toThrow(expect.objectContaining({ code: 'TOO_FEW_CLUSTERS' }));
    expect(() => controlRisk(drawVotes({ prompts: 19, seed: 'few' }), 0.3)).toThrow(/20 clusters/);
  });

  // 500 splits, real labels and more risks: abstention.slow.test.ts
  it('is exceeded in few splits of the prompts', () => {
    const { exceeded, none } = splitRisk(drawVotes({ prompts: 200, seed: 'splits' }), 0.15, 60, 'splits');
    expect(none).toBe(0);
    expect(exceeded).toBeLessThanOrEqual(6);
  });
});

// scipy.stats.t.ppf
it.each([
  [0.9, 10, 1.372183641110336],
  [0.9, 20, 1.3253407069850465],
  [0.9, 44, 1.3010900596888],
  [0.95, 30, 1.697260886593957],
  [0.9, 1e6, 1.2815525],
])('the %d quantile of Student t with %d degrees of freedom is %d', (p, df, expected) => {
  expect(Math.abs(studentQuantile(p, df) - expected)).toBeLessThan(1e-4);
});

describe('calibrate with a risk', () => {
  const write = (rows: { labels: object[]; scores: object[] }) => {
    const folder = tempFolder();
    writeJudged(folder, rows as never);
    return { folder, labels: join(folder, 'labels.jsonl'), scores: join(folder, 'scores.jsonl') };
  };

  it('writes the margin into the calibrator, and says what it keeps', async () => {
    const { folder, ...files } = write(drawPairs({ prompts: 200, truth: 2 }));
    const out = join(folder, 'c.json');
    const report = await calibrateFiles({ ...files, out, method: 'temperature', risk: 0.1, resamples: 100 });
    const { schema, abstention } = JSON.parse(readFileSync(out, 'utf8'));
    expect(schema).toBe('hpsv3/calibrator@2');
    expect(abstention).toEqual(report.abstention);
    expect(abstention).toMatchObject({ risk: 0.1, confidence: 0.9, margin: expect.any(Number), clusters: 200 });
    expect(formatCalibrate(report)).toMatch(/Decided from a pair logit of [\d.]+ in size on/);
    await calibrateFiles({ ...files, out, method: 'temperature', resamples: 100, force: true });
    expect(JSON.parse(readFileSync(out, 'utf8'))).not.toHaveProperty('abstention');
    expect(JSON.parse(readFileSync(out, 'utf8')).schema).toBe('hpsv3/calibrator@1');
  });

  it('warns where no margin keeps the risk', async () => {
    const { folder, ...files } = write(drawPairs({ prompts: 100, truth: 0 }));
    const report = await calibrateFiles({
      ...files,
      out: join(folder, 'c.json'),
      method: 'none',
      risk: 0.1,
      resamples: 100,
    });
    expect(report.abstention!.margin).toBeNull();
    expect(report.warnings.join()).toMatch(/No margin reaches a risk of 0.1 on 100 clusters/);
  });

  it.each([
    ['scored items', drawItems({ prompts: 60, truth: 1 }), { risk: 0.1 }],
    ['a risk that says nothing', drawPairs({ prompts: 60, truth: 1 }), { risk: 0.5 }],
    ['no risk', drawPairs({ prompts: 60, truth: 1 }), { risk: 0 }],
    ['sides that are not alike', drawPairs({ prompts: 60, truth: 1 }), { risk: 0.1, symmetric: false }],
  ])('refuses %s', async (_, rows, options) => {
    const { folder, ...files } = write(rows);
    await expect(calibrateFiles({ ...files, out: join(folder, 'c.json'), ...options })).rejects.toMatchObject({
      code: 'USAGE',
    });
  });
});

describe('a scorer that abstains', () => {
  const FILE = {
    ...{ schema: 'hpsv3/calibrator@2', kind: 'pair', method: 'temperature', symmetric: true, decision: 'pair-head' },
    ...{ parameters: { kind: 'sigmoid', slope: 2, intercept: 0 }, band: null, n: 10, clusters: 10 },
    ...{ dataSha256: '0'.repeat(64), scoresSha256: '0'.repeat(64), modelSha256: null, folds: 5, repeats: 1, seed: 0 },
    ...{ figures: { before: {}, after: {}, reduction: {} }, groups: null, tool: 'test' },
  };
  const abstention = (margin: number | null): Abstention => ({
    ...{ risk: 0.1, confidence: 0.9, margin, coverage: null, error: null, bound: null, clusters: 50, curve: [] },
  });
  const SAMPLE = { left: 'one thing', right: 'another' };

  it('answers undecided under the margin and the winner from it on, whoever knows the margin', async () => {
    const folder = tempFolder();
    const model = await tinyModel(folder, 'text');
    const calibrator = join(folder, 'c.json');
    const answer = async (margin: number, abstain = true) => {
      writeFileSync(calibrator, JSON.stringify({ ...FILE, abstention: abstention(margin) }));
      const scorer = await HPSv3Scorer.load(model, { calibrator, abstain });
      const [score, swap] = [
        await scorer.scorePair(SAMPLE),
        await scorer.scorePair({ left: SAMPLE.right, right: SAMPLE.left }),
      ];
      await scorer.close();
      return { ...score, swap };
    };
    const plain = await answer(1e6, false);
    expect(['left', 'right']).toContain(plain.winner);
    const size = Math.abs(plain.logit);
    expect(await answer(size)).toMatchObject({ winner: plain.winner, swap: { winner: plain.swap.winner } });
    const { winner, swap, ...rest } = await answer(size + 1e-9);
    expect([winner, swap.winner]).toEqual(['undecided', 'undecided']);
    expect(plain).toMatchObject(rest);

    // The margin of a calibrator inside the model is kept as well.
    const { labels, scores } = drawPairs({ prompts: 120, truth: 2 });
    writeJudged(folder, { labels, scores });
    const out = join(folder, 'calibrated.onnx');
    const fitted = await calibrateFiles({
      ...{ labels: join(folder, 'labels.jsonl'), scores: join(folder, 'scores.jsonl'), method: 'temperature' as const },
      ...{ risk: 0.15, resamples: 100, embed: { model, out }, gate: 'off' as const },
    });
    const opened = openOnnx(out);
    const manifest = manifestOf(opened.model, 'calibrated.onnx')!;
    opened.close();
    expect(manifest).toMatchObject({
      schema: 'hpsv3/manifest@2',
      calibrator: { abstention: { margin: fitted.abstention!.margin } },
    });
    const scorer = await HPSv3Scorer.load(out, { abstain: true });
    const due = size < fitted.abstention!.margin! ? 'undecided' : plain.winner;
    expect((await scorer.scorePair(SAMPLE)).winner).toBe(due);
    await scorer.close();
  }, 60_000);

  it.each([
    ['without a calibrator', null, /no calibrator says under which margin/],
    ['with a calibrator without a risk', FILE, /no calibrator says under which margin/],
    [
      'with one whose risk no margin keeps',
      { ...FILE, abstention: abstention(null) },
      /no margin reaches the risk of 0.1/,
    ],
  ])('is refused %s', async (_, file, message) => {
    const folder = tempFolder();
    const model = await tinyModel(folder, 'text');
    const calibrator = file === null ? undefined : join(folder, 'c.json');
    if (calibrator !== undefined) writeFileSync(calibrator, jsonLines([file as never]));
    const loading = HPSv3Scorer.load(model, { calibrator, abstain: true });
    await expect(loading).rejects.toMatchObject({ code: 'USAGE', message: expect.stringMatching(message) });
  });
});
