import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { calibrate as apply, calibratorDocument } from '../../src/core/calibration/calibrator.js';
import { hpsv3 } from '../helpers/cli.js';
import { drawItems, drawPairs, jsonLines, nullsOf, type Row, writeJudged } from '../helpers/judged.js';
import { tempFolder } from '../helpers/temp.js';

const FIGURES = ['accuracy', 'auc', 'nll', 'brier', 'ece', 'eceMass', 'eceDebiased', 'smece', 'mce'];
const NUMBER = expect.any(Number);
const ESTIMATE = { value: NUMBER, ci: [NUMBER, NUMBER] };

const drawn = drawPairs({ prompts: 40, truth: 0.4 });

let folder: string;
beforeEach(() => {
  folder = tempFolder();
  writeJudged(folder, drawn);
});

const files = ['--scores', 'scores.jsonl', '--labels', 'labels.jsonl'];
const calibrate = (...args: string[]) =>
  hpsv3(['calibrate', ...files, '--resamples', '100', '--quiet', ...args], { cwd: folder });
const fitBy = (method: string, ...args: string[]) => calibrate('--method', method, '--out', 'c.json', ...args);
const read = (name: string): string => readFileSync(join(folder, name), 'utf8');
const calibrator = (name = 'c.json') => calibratorDocument.schema.parse(JSON.parse(read(name)));
const failure = (stdout: string): { code: string; hint: string } => JSON.parse(stdout).error;

describe('hpsv3 calibrate', () => {
  it('reports what was fitted, and its figures before and after with intervals', async () => {
    const { code, stdout } = await fitBy('temperature', '--json');
    expect(code).toBe(0);
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({
      method: 'temperature',
      n: 120,
      clusters: 40,
      folds: 5,
      resamples: 100,
      warnings: [],
      out: 'c.json',
    });
    const figures = Object.fromEntries(FIGURES.map((id) => [id, ESTIMATE]));
    expect(report.before).toEqual(figures);
    expect(report.after).toEqual(figures);
    expect(report.reduction.ece).toEqual(ESTIMATE);
    expect(report.reduction.ece.value).toBeCloseTo(1 - report.after.ece.value / report.before.ece.value, 12);
    expect(nullsOf(report)).toEqual(['.model', '.gate']);
  });

  it('chooses by cross-validation, and shows the choice', async () => {
    const { code, stdout } = await fitBy('auto');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^(none|temperature|platt), both orders alike: 120 rows in 40 clusters/);
    expect(stdout).toContain('95 % intervals from 100 resamples');
    expect(stdout).toMatch(/\(chosen\)/);
  });

  it('writes the same bytes twice, names no folder, and does not replace a file unasked', async () => {
    expect((await fitBy('platt')).code).toBe(0);
    const text = read('c.json');
    const again = await fitBy('platt', '--json');
    expect([again.code, failure(again.stdout).code]).toEqual([2, 'OUTPUT_EXISTS']);
    expect((await fitBy('platt', '--force')).code).toBe(0);
    expect(read('c.json')).toBe(text);
    expect(text).not.toContain(folder);
    expect(text).not.toMatch(/NaN|Infinity/);
  });

  it.each(['temperature', 'platt', 'isotonic', 'beta'])('gives p(a, b) = 1 - p(b, a) exactly by %s', async (method) => {
    expect((await fitBy(method)).code).toBe(0);
    const fitted = calibrator();
    expect(fitted.symmetric).toBe(true);
    for (const x of [0, 1e-9, 0.1, 0.7, 3, 40]) {
      expect(apply(fitted, x).value).toBe(1 - apply(fitted, -x).value);
    }
  });

  it('lets the order of a pair count where asked to', async () => {
    expect((await fitBy('platt', '--no-symmetric')).code).toBe(0);
    expect(calibrator()).toMatchObject({ symmetric: false, parameters: { intercept: NUMBER } });
    expect(apply(calibrator(), 0).value).not.toBe(0.5);
  });

  it('refuses isotonic under 30 clusters, and warns under 100', async () => {
    const warned = await fitBy('isotonic');
    expect(warned.code).toBe(0);
    expect(warned.stderr).toContain('isotonic is unsure with 40 clusters');
    writeJudged(folder, drawPairs({ prompts: 29, truth: 0.4 }));
    const { code, stdout } = await fitBy('isotonic', '--force', '--json');
    expect([code, failure(stdout).code]).toEqual([2, 'TOO_FEW_CLUSTERS']);
    expect(failure(stdout).hint).toContain('temperature or platt, or label 1 more');
  });

  it('keeps no two scores level where asked to', async () => {
    expect((await fitBy('isotonic', '--strictly-monotone')).code).toBe(0);
    const { parameters } = calibrator();
    if (parameters.kind !== 'knots') throw new TypeError('isotonic fits knots');
    for (let i = 1; i < parameters.y.length; i++) expect(parameters.y[i]).toBeGreaterThan(parameters.y[i - 1]);
  });

  it('fits a curve a group', async () => {
    const { code, stdout } = await fitBy('temperature', '--per-group', 'groups.kind', '--json');
    expect(code).toBe(0);
    expect(JSON.parse(stdout).groups.map(({ value, n }: Row) => [value, n])).toEqual([
      ['a', 60],
      ['b', 60],
    ]);
    expect(calibrator().groups).toMatchObject({ name: 'kind', values: [{ value: 'a' }, { value: 'b' }] });
    const unknown = await fitBy('temperature', '--per-group', 'groups.colour', '--force', '--json');
    expect([unknown.code, failure(unknown.stdout).code]).toEqual([2, 'USAGE']);
    expect(failure(unknown.stdout).hint).toContain('groups.kind');
  });

  it('calibrates items to the human scale', async () => {
    writeJudged(folder, drawItems({ prompts: 40, truth: 1 }));
    const { code, stdout } = await fitBy('linear', '--json');
    expect(code).toBe(0);
    const { before, after, reduction } = JSON.parse(stdout);
    expect(after.rmse.value).toBeLessThan(before.rmse.value);
    expect(after.spearman).toEqual(ESTIMATE);
    expect(reduction.rmse).toEqual(ESTIMATE);
    expect(calibrator()).toMatchObject({ kind: 'absolute', parameters: { kind: 'line' } });
    const platt = await fitBy('platt', '--force', '--json');
    expect([platt.code, failure(platt.stdout).code]).toEqual([2, 'USAGE']);
  });

  it('counts ids in one file only, and names them', async () => {
    writeJudged(folder, {
      labels: drawn.labels.slice(1),
      scores: [...drawn.scores.slice(0, 100), { id: 'x', logit: 1 }],
    });
    const { code, stdout } = await fitBy('temperature', '--json');
    expect(code).toBe(0);
    const { rows, n, warnings } = JSON.parse(stdout);
    expect([n, rows.labelsOnly.count, rows.scoresOnly.count]).toEqual([99, 20, 2]);
    expect(rows.scoresOnly.examples).toEqual(['row0', 'x']);
    expect(warnings.join()).toContain('row100');
  });

  it.each<[string, string, string, string]>([
    ['a logit that overflows', 'scores.jsonl', '{"id":"bad","logit":1e999}', 'NUMBER_OUT_OF_RANGE'],
    ['a duplicate id', 'scores.jsonl', '{"id":"row0","logit":1}', 'DUPLICATE_ID'],
    ['an unknown type', 'labels.jsonl', '{"id":"bad","type":"triple","labels":[1]}', 'TYPE_UNKNOWN'],
  ])('refuses %s, fits the rest, and exits with 6', async (_, file, line, expected) => {
    appendFileSync(join(folder, file), `${line}\n`);
    const { code, stdout } = await fitBy('temperature', '--json');
    expect(code).toBe(6);
    const { rows, n } = JSON.parse(stdout);
    expect([n, rows.failed]).toEqual([120, 1]);
    expect(rows[file === 'labels.jsonl' ? 'labels' : 'scores'].badRowsByCode).toEqual({ [expected]: 1 });
  });

  const relabelled = (votes: number[]) => ({
    ...drawn,
    labels: drawn.labels.map((row) => ({ ...row, labels: votes })),
  });
  it.each<[string, string, { labels: Row[]; scores: Row[] }]>([
    ['one class only', 'platt', relabelled([1])],
    ['one class only', 'isotonic', relabelled([1])],
    ['only ties', 'platt', relabelled([0.5])],
    ['only ties', 'isotonic', relabelled([0.5])],
    ['equal scores', 'isotonic', { ...drawn, scores: drawn.scores.map(({ id }) => ({ id, logit: 0 })) }],
    ['equal scores', 'auto', { ...drawn, scores: drawn.scores.map(({ id }) => ({ id, logit: 7 })) }],
    [
      'scores at the ends of float32',
      'platt',
      { ...drawn, scores: drawn.scores.map(({ id }) => ({ id, logit: 3e38 })) },
    ],
  ])('stays finite on %s by %s', async (_, method, rows) => {
    writeJudged(folder, rows);
    const { code, stdout } = await fitBy(method, '--json');
    expect(stdout).not.toMatch(/NaN|Infinity/);
    expect(code).toBe(0);
    const fitted = calibrator();
    for (const x of [-1e300, -2, 0, 2, 1e300]) {
      expect(apply(fitted, x).value).toBeGreaterThanOrEqual(0);
      expect(apply(fitted, x).value).toBeLessThanOrEqual(1);
    }
  });

  it.each<[string, number, string]>([
    ['no rows', 0, 'DATA_INVALID'],
    ['one row', 1, 'TOO_FEW_CLUSTERS'],
  ])('refuses %s, and writes nothing', async (_, rows, expected) => {
    writeJudged(folder, { labels: drawn.labels.slice(0, rows), scores: drawn.scores.slice(0, rows) });
    const { code, stdout } = await fitBy('auto', '--json');
    expect([code, failure(stdout).code]).toEqual([2, expected]);
    expect(existsSync(join(folder, 'c.json'))).toBe(false);
  });

  it('asks where the calibrator goes', async () => {
    const { code, stdout } = await calibrate('--json');
    expect([code, failure(stdout).code]).toEqual([2, 'USAGE']);
  });
});

describe('hpsv3 calibrate --check', () => {
  const check = (...args: string[]) => calibrate('--check', 'c.json', ...args);

  it('exits with 0 where the calibrator holds, and with 3 where it is stale', async () => {
    expect((await fitBy('temperature')).code).toBe(0);
    const fresh = await check('--json');
    expect(fresh.code).toBe(0);
    expect(JSON.parse(fresh.stdout)).toMatchObject({
      stale: false,
      calibrator: 'c.json',
      n: 120,
      clusters: 40,
      figures: { ece: ESTIMATE },
      fitted: { ece: ESTIMATE },
    });
    writeJudged(folder, drawPairs({ prompts: 60, truth: 2, seed: 'other raters' }));
    const stale = await check();
    expect(stale.code).toBe(3);
    expect(stale.stdout).toContain('Stale: the calibrator no longer fits these labels');
  });

  it.each<[string, () => void, string]>([
    ['a file that is no calibrator', () => writeFileSync(join(folder, 'c.json'), '{"schema":"x"}'), 'CONFIG_INVALID'],
    ['labels of another kind', () => writeJudged(folder, drawItems({ prompts: 40, truth: 1 })), 'MODELS_INCOMPARABLE'],
    ['fewer than 10 clusters', () => writeJudged(folder, drawPairs({ prompts: 9, truth: 0.4 })), 'TOO_FEW_CLUSTERS'],
    [
      'scores of another model',
      () => {
        const model = 'b'.repeat(64);
        writeFileSync(join(folder, 'scores.jsonl'), jsonLines(drawn.scores.map((row) => ({ ...row, model }))));
      },
      'MODELS_INCOMPARABLE',
    ],
  ])('refuses %s', async (_, change, expected) => {
    const model = 'a'.repeat(64);
    writeFileSync(join(folder, 'scores.jsonl'), jsonLines(drawn.scores.map((row) => ({ ...row, model }))));
    expect((await fitBy('temperature')).code).toBe(0);
    change();
    const { code, stdout } = await check('--json');
    expect([code, failure(stdout).code]).toEqual([2, expected]);
  });
});
