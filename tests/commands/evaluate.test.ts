import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { hpsv3 } from '../helpers/cli.js';
import { drawItems, drawPairs, jsonLines, nullsOf, type Row, writeJudged } from '../helpers/judged.js';
import { tempFolder } from '../helpers/temp.js';

const PAIR_FIGURES = ['accuracy', 'auc', 'nll', 'brier', 'ece', 'eceMass', 'eceDebiased', 'smece', 'mce'];
const NUMBER = expect.any(Number);
const ESTIMATE = { value: NUMBER, ci: [NUMBER, NUMBER] };

const drawn = drawPairs({ prompts: 40, truth: 0.5 });

let folder: string;
beforeEach(() => {
  folder = tempFolder();
  writeJudged(folder, drawn);
});

const files = ['--scores', 'scores.jsonl', '--labels', 'labels.jsonl'];
const evaluate = (...args: string[]) =>
  hpsv3(['evaluate', ...files, '--resamples', '100', '--quiet', ...args], { cwd: folder });
const read = (name: string): string => readFileSync(join(folder, name), 'utf8');

describe('hpsv3 evaluate', () => {
  it('reports each figure with its interval, and groups, gaps and intersections', async () => {
    const { code, stdout } = await evaluate('--by', 'groups.kind', '--min-group', '50', '--json');
    expect(code).toBe(0);
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({ n: 120, clusters: 40, calibrated: false, resamples: 100, fewerResamples: {} });
    expect(report.overall).toEqual(Object.fromEntries(PAIR_FIGURES.map((id) => [id, ESTIMATE])));
    expect(report.groups).toEqual(
      ['a', 'b'].map((value) => ({
        by: 'kind',
        value,
        n: 60,
        clusters: 20,
        metrics: expect.objectContaining({ accuracy: ESTIMATE }),
        suppressed: false,
      })),
    );
    expect(report).not.toHaveProperty('baseline');
    expect(nullsOf(report)).toEqual([
      '.reliability.after',
      '.distributions.rows.0.by',
      '.distributions.rows.0.value',
      '.modelSha256',
      '.inputs.calibrator',
      '.inputs.baseline',
      '.out',
      '.outScores',
    ]);
    expect(report).toMatchObject({
      inputs: { scores: { name: 'scores.jsonl' }, labels: { name: 'labels.jsonl' } },
      options: { by: ['kind'], resamples: 100, seed: 0 },
    });
  });

  it('shows groups under the minimum as suppressed', async () => {
    const { stdout } = await evaluate('--by', 'kind', '--min-group', '61', '--json');
    const { groups, gaps } = JSON.parse(stdout);
    expect(groups).toHaveLength(2);
    expect(groups[0]).toMatchObject({ value: 'a', n: 60, suppressed: true, metrics: null });
    expect(gaps).toEqual([]);
  });

  it('takes 2000 resamples unasked, 200 of smooth ECE, and says so', async () => {
    writeJudged(folder, { labels: drawn.labels.slice(0, 30), scores: drawn.scores.slice(0, 30) });
    const { stdout } = await hpsv3(['evaluate', ...files, '--quiet'], { cwd: folder });
    expect(stdout).toContain('95 % intervals from 2,000 resamples of clusters (Smooth ECE: 200)');
    expect(stdout).toMatch(/Accuracy +0\.\d+ +\[/);
  });

  it('compares with a baseline on the rows both scored', async () => {
    writeFileSync(
      join(folder, 'flipped.jsonl'),
      jsonLines(drawn.scores.slice(20).map(({ id, logit }) => ({ id, logit: -Number(logit) }))),
    );
    const { code, stdout } = await evaluate('--baseline', 'flipped.jsonl', '--json');
    expect(code).toBe(0);
    const { baseline } = JSON.parse(stdout);
    expect(baseline).toMatchObject({ file: 'flipped.jsonl', n: 100, clusters: 40, verdict: 'better' });
    expect(baseline.comparisons.accuracy).toMatchObject({ model: ESTIMATE, baseline: ESTIMATE, verdict: 'better' });
    expect((await evaluate('--baseline', 'flipped.jsonl')).stdout).toMatch(/Against flipped\.jsonl .*: better/);
  });

  it('writes the report and the probabilities, the same bytes twice, and does not replace them unasked', async () => {
    const write = (n: number, ...more: string[]) =>
      evaluate('--out', `report${n}.json`, '--out-scores', `p${n}.jsonl`, ...more);
    expect((await write(1)).code).toBe(0);
    expect((await write(2)).code).toBe(0);
    expect(read('p2.jsonl')).toBe(read('p1.jsonl'));
    expect(read('report2.json').replaceAll('2.json', '1.json')).toBe(read('report1.json'));
    expect(read('report1.json')).not.toContain(folder);
    const [first] = read('p1.jsonl').split('\n');
    const { id, logit } = drawn.scores[0];
    expect(JSON.parse(first)).toMatchObject({ id, logit, score: NUMBER, calibrated: false });
    const again = await write(1, '--json');
    expect([again.code, JSON.parse(again.stdout).error.code]).toEqual([2, 'OUTPUT_EXISTS']);
    expect((await write(1, '--force')).code).toBe(0);
  });

  it('judges absolute labels by error and order', async () => {
    writeJudged(folder, drawItems({ prompts: 30, truth: 1 }));
    const { code, stdout } = await evaluate('--json');
    expect(code).toBe(0);
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({ n: 60, clusters: 30, kind: 'absolute', ceiling: null });
    for (const id of ['rmse', 'mae', 'spearman', 'kendall', 'pearson']) expect(report.overall[id]).toEqual(ESTIMATE);
    expect(report.overall.spearman.value).toBeGreaterThan(0.8);
  });

  it('counts ids in one file only, and names them', async () => {
    writeJudged(folder, {
      labels: drawn.labels.slice(1),
      scores: [...drawn.scores.slice(0, 100), { id: 'x', logit: 1 }],
    });
    const { code, stdout } = await evaluate('--json');
    expect(code).toBe(0);
    const { rows, n, warnings } = JSON.parse(stdout);
    expect(n).toBe(99);
    expect(rows).toMatchObject({ matched: 99, failed: 0 });
    expect(rows.labelsOnly.count).toBe(20);
    expect(rows.scoresOnly).toMatchObject({ count: 2, examples: ['row0', 'x'] });
    expect(warnings.join()).toContain('row100');
  });

  it.each<[string, string, string, string]>([
    ['a logit that overflows', 'scores.jsonl', '{"id":"bad","logit":1e999}', 'NUMBER_OUT_OF_RANGE'],
    ['a logit that is NaN', 'scores.jsonl', '{"id":"bad","logit":NaN}', 'INVALID_JSON'],
    ['a duplicate id of the scores', 'scores.jsonl', '{"id":"row0","logit":1}', 'DUPLICATE_ID'],
    [
      'a duplicate id of the labels',
      'labels.jsonl',
      '{"id":"row0","type":"pair","left":"l","right":"r","labels":[1]}',
      'DUPLICATE_ID',
    ],
    ['an unknown type', 'labels.jsonl', '{"id":"bad","type":"triple","labels":[1]}', 'TYPE_UNKNOWN'],
  ])('refuses %s, goes on with the rest, and exits with 6', async (_, file, line, expected) => {
    appendFileSync(join(folder, file), `${line}\n`);
    const { code, stdout } = await evaluate('--json');
    expect(code).toBe(6);
    const { rows, n } = JSON.parse(stdout);
    expect([n, rows.failed]).toEqual([120, 1]);
    expect(rows[file === 'labels.jsonl' ? 'labels' : 'scores'].badRowsByCode).toEqual({ [expected]: 1 });
  });

  it.each<[string, (rows: typeof drawn) => { labels: Row[]; scores: Row[] }, Row]>([
    [
      'one class only',
      ({ labels, scores }) => ({ labels: labels.map((row) => ({ ...row, labels: [1] })), scores }),
      { auc: { value: null, ci: null }, nll: ESTIMATE },
    ],
    [
      'only ties',
      ({ labels, scores }) => ({ labels: labels.map((row) => ({ ...row, labels: [0.5] })), scores }),
      { accuracy: { value: 0.5, ci: [0.5, 0.5] }, auc: { value: 0.5, ci: [0.5, 0.5] } },
    ],
    [
      'equal scores',
      ({ labels, scores }) => ({ labels, scores: scores.map(({ id }) => ({ id, logit: 0 })) }),
      { accuracy: { value: 0.5, ci: [0.5, 0.5] }, auc: { value: 0.5, ci: [0.5, 0.5] } },
    ],
    [
      'scores at the ends of float32',
      ({ labels, scores }) => ({ labels, scores: scores.map(({ id }, i) => ({ id, logit: i % 2 ? 3e38 : -3e38 })) }),
      { accuracy: ESTIMATE, auc: ESTIMATE, brier: ESTIMATE },
    ],
    [
      'one row',
      ({ labels, scores }) => ({ labels: labels.slice(0, 1), scores: scores.slice(0, 1) }),
      { accuracy: { value: NUMBER, ci: null } },
    ],
  ])('has defined figures of %s, and never NaN', async (_, change, overall) => {
    writeJudged(folder, change(drawn));
    const { code, stdout } = await evaluate('--json');
    expect(code).toBe(0);
    expect(stdout).not.toMatch(/NaN|Infinity/);
    expect(JSON.parse(stdout).overall).toMatchObject(overall);
  });

  it.each([
    ['no rows', [], ['DATA_INVALID', 2]],
    ['a group that the labels do not have', ['--by', 'colour'], ['USAGE', 2]],
    ['a calibrator that is none', ['--calibrator', 'labels.jsonl'], ['CONFIG_INVALID', 2]],
    ['a file that is not there', ['--baseline', 'none.jsonl'], ['FILE_NOT_FOUND', 2]],
  ])('refuses %s', async (what, args, expected) => {
    if (what === 'no rows') writeJudged(folder, { labels: [], scores: [] });
    const { code, stdout } = await evaluate(...args, '--json');
    expect([JSON.parse(stdout).error.code, code]).toEqual(expected);
    expect(stdout).not.toContain(folder);
  });
});
