import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Random } from '../../../src/core/bytes/random.js';
import { placeIn, quantilesOf } from '../../../src/core/calibration/reference.js';
import { formatCalibrate } from '../../../src/core/cli/render-calibrate.js';
import { formatScore as renderScore } from '../../../src/core/cli/render-score.js';
import { calibrateFiles } from '../../../src/core/lifecycle/calibrate/calibrate.js';
import { runBatch } from '../../../src/core/lifecycle/score/batch.js';
import { HPSv3Scorer } from '../../../src/core/scoring/scorer.js';
import { wilsonInterval } from '../../../src/core/stats/interval.js';
import { drawItems, drawPairs, jsonLines, writeJudged } from '../../helpers/judged.js';
import { tinyModel } from '../../helpers/scoring.js';
import { tempFolder } from '../../helpers/temp.js';

const draw = (n: number, seed: string, digits = 20): Float64Array => {
  const random = new Random(seed);
  return Float64Array.from({ length: n }, () => Number(random.normal().toFixed(Math.min(digits, 20))));
};

const below = (values: Float64Array, x: number): number => values.reduce((sum, value) => sum + Number(value < x), 0);

describe('where a score stands in a reference set', () => {
  it('is the share of lower scores, of small sets to the last one', () => {
    const values = Float64Array.of(3, 1, 2, 2, 5);
    const set = quantilesOf(values, 'items');
    expect(set).toEqual({ of: 'items', n: 5, quantiles: [1, 2, 2, 3, 5], error: 0 });
    for (const x of [0, 1, 1.5, 2, 2.5, 3, 4, 5, 6]) {
      const count = below(values, x);
      const [low, high] = wilsonInterval(count, 5);
      expect(placeIn(set, x)).toEqual({ below: count / 5, low, high, n: 5 });
    }
  });

  it.each([
    ['a thousand', 1000, 20],
    ['many', 54_321, 20],
    ['many that are often equal', 54_321, 1],
  ])('is off by no more than it says, for %s', (_, n, digits) => {
    const values = draw(n, 'many', digits);
    const set = quantilesOf(values, 'items');
    expect(set.quantiles.length).toBeLessThanOrEqual(1001);
    expect(set.error).toBeLessThanOrEqual(0.001);
    expect(set.error === 0).toBe(n <= 1001);
    for (const x of [...draw(200, 'asked', digits), -9, 9, set.quantiles[0], set.quantiles.at(-1)!]) {
      const count = below(values, x);
      const placed = placeIn(set, x);
      const [low, high] = wilsonInterval(count, n);
      expect(Math.abs(placed.below - count / n)).toBeLessThanOrEqual(set.error + 1e-12);
      expect(placed.low).toBeLessThanOrEqual(low + 1e-12);
      expect(placed.high).toBeGreaterThanOrEqual(high - 1e-12);
    }
  });

  it('never falls as the score grows', () => {
    const set = quantilesOf(draw(5000, 'order', 2), 'items');
    const places = [...draw(500, 'asked')].sort((a, b) => a - b).map((x) => placeIn(set, x));
    for (const end of ['below', 'low', 'high'] as const)
      expect(places.map((place) => place[end])).toEqual(places.map((place) => place[end]).sort((a, b) => a - b));
  });

  it('holds the share of the population in 95 % of the sets', () => {
    const random = new Random('coverage');
    let held = 0;
    for (let i = 0; i < 400; i++) {
      const set = quantilesOf(
        Float64Array.from({ length: 150 }, () => random.uniform()),
        'items',
      );
      const x = random.uniform(); // of a uniform population, the share below x is x
      const { low, high } = placeIn(set, x);
      held += Number(low <= x && x <= high);
    }
    expect(held).toBeGreaterThanOrEqual(370);
  });

  it('does not depend on which side of a pair is called left', () => {
    const set = quantilesOf(Float64Array.of(-3, 1, -2), 'pairs');
    expect(set.quantiles).toEqual([1, 2, 3]);
    expect(placeIn(set, -2.5)).toEqual(placeIn(set, 2.5));
    expect(placeIn(set, -2.5).below).toBeCloseTo(2 / 3, 12);
  });
});

describe('calibrate with a reference', () => {
  const write = (rows: { labels: { type?: unknown }[]; scores: object[] }, reference: object[] | string) => {
    const folder = tempFolder();
    writeJudged(folder, rows as never);
    const [path, out] = [join(folder, 'reference.jsonl'), join(folder, 'c.json')];
    writeFileSync(path, typeof reference === 'string' ? reference : jsonLines(reference as never));
    const method: 'none' | 'linear' = rows.labels[0].type === 'pair' ? 'none' : 'linear';
    const files = { labels: join(folder, 'labels.jsonl'), scores: join(folder, 'scores.jsonl') };
    return { folder, out, fit: { ...files, reference: path, out, method, folds: 2, resamples: 100 } };
  };
  const items = (n: number, more: object = {}) =>
    [...draw(n, 'reference')].map((logit, i) => ({ id: `${i}`, logit, score: Math.tanh(logit), ...more }));
  const [MODEL, OTHER] = ['a'.repeat(64), 'b'.repeat(64)];

  it('says of a score which share of the set is lower: in results, in rows, and from inside the model', async () => {
    const { folder, out, fit } = write(drawItems({ prompts: 20, truth: 1 }), items(500));
    const model = await tinyModel(folder, 'text', 'item');
    const embedded = join(folder, 'calibrated.onnx');
    const report = await calibrateFiles({ ...fit, embed: { model, out: embedded }, gate: 'off' });
    expect(JSON.parse(readFileSync(out, 'utf8'))).toMatchObject({
      schema: 'hpsv3/calibrator@2',
      reference: { of: 'items', n: 500, error: 0, modelSha256: null },
    });
    expect(formatCalibrate(report)).toMatch(/Scores say which share of a reference set is lower: 500 items by logit/);
    const scorer = await HPSv3Scorer.load(model, { calibrator: out });
    const score = await scorer.score('a text');
    await scorer.close();
    const values = draw(500, 'reference');
    expect(score.percentile!.below).toBeCloseTo(below(values, score.logit) / 500, 12);
    expect(score.percentile!.n).toBe(500);
    const runtime = { version: '1', device: 'cpu', threads: 1, optimization: 'all' } as const;
    expect(renderScore({ ...score, runtime, warnings: [] })).toMatch(
      /^higher than \d+\.\d % of the reference set \(500 items; 95 % interval \d+\.\d % to \d+\.\d %\)$/m,
    );
    const inside = await HPSv3Scorer.load(embedded);
    expect((await inside.score('a text')).percentile).toEqual(score.percentile);
    await inside.close();

    const input = join(folder, 'in.jsonl');
    writeFileSync(input, jsonLines([{ id: '1', type: 'text', content: 'a text' }]));
    await runBatch({ models: [model], calibrator: out, input, out: join(folder, 'rows.jsonl') });
    const [row] = readFileSync(join(folder, 'rows.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(row.percentile).toEqual(score.percentile);
    await runBatch({ models: [model], calibrator: out, input, out: join(folder, 'rows.csv') });
    const [head, cells] = readFileSync(join(folder, 'rows.csv'), 'utf8')
      .trim()
      .split(/\r?\n/)
      .map((line) => line.split(','));
    expect(Number(cells[head.indexOf('percentile.below')])).toBe(score.percentile!.below);
  });

  it('places the margin of pairs among margins, and says nothing of pairs where the set is of items', async () => {
    const pairs = items(300).map((row) => ({ ...row, winner: row.logit > 0 ? 'left' : 'right' }));
    const { folder, out, fit } = write(drawPairs({ prompts: 20, truth: 1 }), pairs);
    const model = await tinyModel(folder, 'text');
    await calibrateFiles(fit);
    const sides = { left: 'one thing', right: 'another' };
    const scorer = await HPSv3Scorer.load(model, { calibrator: out });
    const score = await scorer.scorePair(sides);
    const swap = await scorer.scorePair({ left: sides.right, right: sides.left });
    expect((await scorer.score('a text')).percentile).toBeUndefined();
    await scorer.close();
    expect(score.percentile!.below).toBeCloseTo(
      below(draw(300, 'reference').map(Math.abs), Math.abs(score.logit)) / 300,
      12,
    );
    expect(swap.percentile).toEqual(score.percentile);

    writeFileSync(fit.reference, jsonLines(items(300) as never));
    await calibrateFiles({ ...fit, force: true });
    const other = await HPSv3Scorer.load(model, { calibrator: out });
    expect((await other.scorePair(sides)).percentile).toBeUndefined();
    expect((await other.score('a text')).percentile).toMatchObject({ n: 300 });
    await other.close();
  });

  it('takes bare scores for what the labels are of', async () => {
    const bare = items(10).map(({ id, logit }) => ({ id, logit }));
    const { fit } = write(drawPairs({ prompts: 20, truth: 1 }), bare);
    const report = await calibrateFiles(fit);
    expect(report.reference).toMatchObject({ of: 'pairs', n: 10 });
    expect(report.warnings.join()).toMatch(/The reference set has 10 scores/);
  });

  it.each([
    ['an empty set', '', 'DATA_INVALID', /no scores/],
    ['infinity', '{"id":"1","logit":1}\n{"id":"2","logit":1e999}\n', 'DATA_INVALID', /1 row refused/],
    ['NaN', '{"id":"1","logit":NaN}\n', 'DATA_INVALID', /1 row refused/],
    ['rows of another shape', '{"id":"1","score":1}\n', 'DATA_INVALID', /refused/],
    [
      'pairs among items',
      [...items(2), { id: 'p', logit: 1, score: 0.7, winner: 'left' }],
      'DATA_INVALID',
      /1 pairs and of 2 items/,
    ],
    [
      'scores of several models',
      [{ id: 'x', logit: 1, model: OTHER }, ...items(2, { model: MODEL })],
      'MODELS_INCOMPARABLE',
      /of 2 models/,
    ],
    ['scores of another model', items(2, { model: OTHER }), 'MODELS_INCOMPARABLE', /another model/],
  ])('refuses %s, and leaves nothing behind', async (_, reference, code, words) => {
    const rows = drawItems({ prompts: 20, truth: 1 });
    const { out, fit } = write({ ...rows, scores: rows.scores.map((row) => ({ ...row, model: MODEL })) }, reference);
    await expect(calibrateFiles(fit)).rejects.toMatchObject({ code, message: expect.stringMatching(words) });
    expect(() => readFileSync(out)).toThrow();
  });

  it('takes scores of another model where told to, and says so', async () => {
    const rows = drawItems({ prompts: 20, truth: 1 });
    const scores = rows.scores.map((row) => ({ ...row, model: MODEL }));
    const { fit } = write({ ...rows, scores }, items(500, { model: OTHER }));
    const report = await calibrateFiles({ ...fit, allowOtherModel: true });
    expect(report.reference!.modelSha256).toBe(OTHER);
    expect(report.warnings.join()).toMatch(/reference set are of another model/);
  });
});
