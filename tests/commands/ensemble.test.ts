import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { ensembleDocument } from '../../src/core/ensemble/ensemble-file.js';
import { drawnPairs, type JudgedPair, labelLines, scoreLines } from '../core/ensemble/helpers.js';
import { hpsv3 } from '../helpers/cli.js';
import { hasShared, SHARED } from '../helpers/shared.js';
import { tempFolder } from '../helpers/temp.js';

const MEMBERS = ['small', 'large', 'guess'];
const pairs = drawnPairs('command', 60);

let folder: string;
beforeEach(() => {
  folder = tempFolder();
  write(pairs);
});

function write(rows: readonly JudgedPair[], members = MEMBERS): void {
  writeFileSync(join(folder, 'labels.jsonl'), labelLines(rows));
  for (const member of members) writeFileSync(join(folder, `${member}.jsonl`), scoreLines(rows, member));
}

const scores = (...members: string[]): string[] => members.flatMap((name) => ['--scores', `${name}=${name}.jsonl`]);
const ensemble = (...args: string[]) => hpsv3(['ensemble', ...args], { cwd: folder });
const fitted = (...args: string[]) =>
  ensemble('--fit', ...scores(...MEMBERS), '--labels', 'labels.jsonl', '--resamples', '200', ...args);

function failure(stdout: string): { code: string; message: string; hint: string } {
  return JSON.parse(stdout).error;
}

/** Whether every number of a document survived JSON: what is not finite would be null. */
function nulls(value: unknown, path = ''): string[] {
  if (value === null) return [path];
  if (typeof value !== 'object') return [];
  return Object.entries(value as object).flatMap(([key, inner]) => nulls(inner, `${path}.${key}`));
}

describe('hpsv3 ensemble --fit', () => {
  it('reports weights, members, ensemble and contributions, each figure with its interval', async () => {
    const { code, stdout } = await fitted('--json');
    expect(code).toBe(0);
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({
      method: 'stacking',
      n: 240,
      clusters: 60,
      verdict: expect.stringMatching(/better|undecided/),
    });
    expect(Object.keys(report.weights)).toEqual(MEMBERS);
    expect(Object.keys(report.single)).toEqual(MEMBERS);
    expect(Object.keys(report.leaveOneOut)).toEqual(MEMBERS);
    expect(MEMBERS).toContain(report.best);
    for (const figures of [report.ensemble, ...Object.values(report.single)] as Record<string, unknown>[]) {
      for (const key of ['accuracy', 'auc', 'nll']) {
        const number = expect.any(Number);
        expect(figures[key]).toEqual({ value: number, ci: [number, number] });
      }
    }
    expect(nulls(report)).toEqual(['.out', '.outScores']);
  });

  it('writes a file by its schema, the same bytes twice, and does not replace it unasked', async () => {
    expect((await fitted('--out', 'a.json')).code).toBe(0);
    expect((await fitted('--out', 'b.json')).code).toBe(0);
    const text = readFileSync(join(folder, 'a.json'), 'utf8');
    expect(readFileSync(join(folder, 'b.json'), 'utf8')).toBe(text);
    expect(() => ensembleDocument.schema.parse(JSON.parse(text))).not.toThrow();
    expect(text).not.toContain(folder);
    const again = await fitted('--out', 'a.json', '--json');
    expect([again.code, failure(again.stdout).code]).toEqual([2, 'OUTPUT_EXISTS']);
  });

  it('shows a table and a verdict', async () => {
    const { stdout } = await fitted();
    expect(stdout).toMatch(/^member +weight +share +accuracy/);
    expect(stdout).toMatch(/ensemble is better than|Undecided whether/);
  });

  it('writes out-of-fold log-odds and the disagreement, row by row', async () => {
    expect((await fitted('--out-scores', 'oof.jsonl')).code).toBe(0);
    const rows = readFileSync(join(folder, 'oof.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(rows.map(({ id }) => id)).toEqual(pairs.map(({ id }) => id));
    expect(
      rows.every(({ logit, disagreement }) => Number.isFinite(logit) && disagreement >= 0 && disagreement <= 0.5),
    ).toBe(true);
  });

  it('counts ids in one file only and members without scores, and says so', async () => {
    const some = pairs.map((pair, i) => (i < 10 ? { ...pair, logits: { small: pair.logits.small, guess: 1 } } : pair));
    write(some);
    const orphan = { id: 'orphan', logit: 1 };
    writeFileSync(join(folder, 'guess.jsonl'), `${scoreLines(pairs, 'guess')}${JSON.stringify(orphan)}\n`);
    const { code, stdout, stderr } = await fitted('--json');
    expect(code).toBe(0);
    expect(JSON.parse(stdout).coverage.members).toMatchObject({
      large: { scored: 230, missing: 10, unjudged: 0 },
      guess: { missing: 0, unjudged: 1 },
    });
    expect(JSON.parse(stdout).warnings).toContain('large has no score for 10 pairs: there it counts as a logit of 0.');
    expect(stderr).toBe('');
  });

  it('names rows it refuses, and exits with 6', async () => {
    writeFileSync(
      join(folder, 'small.jsonl'),
      `${scoreLines(pairs, 'small')}{"id":"row0","logit":1}\n{"id":"x","logit":1e999}\n`,
    );
    const { code, stdout } = await fitted('--json');
    expect(code).toBe(6);
    const { rows } = JSON.parse(stdout);
    expect(rows.failed).toBe(2);
    expect(rows.scores.small.badRowsByCode).toEqual({ DUPLICATE_ID: 1, NUMBER_OUT_OF_RANGE: 1 });
    expect((await fitted()).stderr).toContain('small: 2 rows refused');
  });

  it.each<[string, number, string, () => readonly JudgedPair[]]>([
    ['all votes are ties', 2, 'DATA_INVALID', () => pairs.map((pair) => ({ ...pair, votes: [0.5] }))],
    ['clusters are too few', 2, 'TOO_FEW_CLUSTERS', () => pairs.map((pair) => ({ ...pair, prompt: 'one' }))],
    [
      'no member scores anything but 0',
      2,
      'DATA_INVALID',
      () => pairs.map((pair) => ({ ...pair, logits: { small: 0, large: 0, guess: 0 } })),
    ],
  ])('refuses to fit where %s', async (_, exit, expected, rows) => {
    write(rows());
    const { code, stdout } = await fitted('--json');
    expect([code, failure(stdout).code]).toEqual([exit, expected]);
  });

  it('fits where all votes are for one side, with an AUC of null', async () => {
    write(pairs.map((pair) => ({ ...pair, votes: [1] })));
    const { code, stdout } = await fitted('--json');
    expect(code).toBe(0);
    expect(JSON.parse(stdout).ensemble.auc).toEqual({ value: null, ci: null });
    expect(JSON.parse(stdout).ensemble.nll.value).toEqual(expect.any(Number));
  });

  it('refuses absolute labels', async () => {
    writeFileSync(join(folder, 'labels.jsonl'), '{"id":"row0","type":"abs","item":"text","content":"a","score":1}\n');
    const { code, stdout } = await fitted('--json');
    expect([code, failure(stdout).code]).toEqual([2, 'DATA_INVALID']);
  });

  it.each([
    [['--fit', '--scores', 'a=a.jsonl', '--scores', 'b=b.jsonl'], /labels/],
    [['--fit', '--scores', 'small=small.jsonl', '--labels', 'labels.jsonl'], /at least two members/],
    [['--fit', ...scores('small', 'small'), '--labels', 'labels.jsonl'], /two members are named small/],
    [['--scores', 'small.jsonl', '--fit', '--labels', 'labels.jsonl'], /--scores/],
    [[...scores('small', 'large')], /nothing says how/],
    [['--fit', ...scores('small', 'large'), '--weights', 'small=1,large=1'], /weights/],
  ])('refuses %j as usage', async (args, message) => {
    for (const name of ['a', 'b']) writeFileSync(join(folder, `${name}.jsonl`), scoreLines(pairs, 'small'));
    const { code, stdout } = await ensemble(...args, '--json');
    expect([code, failure(stdout).code]).toEqual([2, 'USAGE']);
    expect(failure(stdout).message).toMatch(message);
  });
});

describe('hpsv3 ensemble --weights', () => {
  it('gives the weighted average, divided by the sum of the weights', async () => {
    const weigh = await ensemble(
      ...scores('small', 'large'),
      '--weights',
      'small=3,large=1',
      '--out',
      'e.json',
      '--json',
    );
    expect(weigh.code).toBe(0);
    expect(JSON.parse(weigh.stdout)).toMatchObject({
      weights: { small: 0.75, large: 0.25 },
      slope: 1,
      n: null,
      verdict: null,
    });
    const apply = await ensemble('--apply', 'e.json', ...scores('large', 'small'), '--out', 'out.jsonl');
    expect(apply.code).toBe(0);
    const rows = readFileSync(join(folder, 'out.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const expected = pairs.map(({ logits }) => 0.75 * logits.small + 0.25 * logits.large);
    expect(rows.map(({ logit }) => logit)).toBeAllClose(expected, { atol: 1e-12 });
  });

  it('judges them where there are labels', async () => {
    const { stdout } = await ensemble(
      ...scores('small', 'large'),
      '--weights',
      'small=300,large=1',
      '--labels',
      'labels.jsonl',
      '--json',
    );
    expect(JSON.parse(stdout)).toMatchObject({ method: 'weights', n: 240, fit: null, verdict: expect.any(String) });
  });

  it.each([
    'small=0,large=0',
    'small=-1,large=2',
    'small=nan,large=1',
    'small=inf,large=1',
    'small=1',
    'small=1,large=1,x=1',
    'small=1,small=1',
    'small,large',
  ])('refuses the weights %s', async (weights) => {
    const { code, stdout } = await ensemble(...scores('small', 'large'), `--weights=${weights}`, '--json');
    expect([code, failure(stdout).code]).toEqual([2, 'USAGE']);
  });
});

describe('hpsv3 ensemble --apply', () => {
  it('gives the log-odds of the fit, for rows without labels too', async () => {
    expect((await fitted('--out', 'e.json')).code).toBe(0);
    writeFileSync(join(folder, 'small.jsonl'), `${scoreLines(pairs, 'small')}{"id":"new","logit":0.02}\n`);
    const { code, stdout } = await ensemble('--apply', 'e.json', ...scores(...MEMBERS), '--out', 'out.jsonl', '--json');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ n: 241, missing: { small: 0, large: 1, guess: 1 } });
    const { members, slope } = JSON.parse(readFileSync(join(folder, 'e.json'), 'utf8'));
    const last = JSON.parse(readFileSync(join(folder, 'out.jsonl'), 'utf8').trim().split('\n').at(-1)!);
    expect(last).toMatchObject({ id: 'new', disagreement: 0 });
    expect(last.logit).toBeCloseTo(slope * members[0].weight * 0.02, 12);
  });

  it.each<[string, string, (text: string) => string]>([
    ['is no JSON', 'CONFIG_INVALID', () => '{'],
    ['is of another schema', 'CONFIG_INVALID', (text) => text.replace('ensemble@1', 'calibrator@1')],
    ['was made by a newer hpsv3', 'MADE_BY_NEWER', (text) => text.replace('ensemble@1', 'ensemble@2')],
    [
      'has weights that do not sum to 1',
      'CONFIG_INVALID',
      (text) => text.replace(/"weight": [^,]+/, '"weight": 0.00001'),
    ],
    ['has a negative weight', 'CONFIG_INVALID', (text) => text.replace(/"weight": /, '"weight": -')],
    ['names a member twice', 'CONFIG_INVALID', (text) => text.replace('"name": "large"', '"name": "small"')],
    ['has a member whose scores are not given', 'USAGE', (text) => text.replace('"name": "large"', '"name": "other"')],
    ['has a key that is unknown', 'CONFIG_INVALID', (text) => text.replace('{', '{"x": 1,')],
  ])('refuses an ensemble file that %s', async (_, expected, change) => {
    await fitted('--out', 'e.json');
    const text = readFileSync(join(folder, 'e.json'), 'utf8');
    writeFileSync(join(folder, 'changed.json'), change(text));
    const { code, stdout } = await ensemble(
      '--apply',
      'changed.json',
      ...scores(...MEMBERS),
      '--out',
      'out.jsonl',
      '--json',
    );
    expect([code, failure(stdout).code]).toEqual([2, expected]);
    expect(existsSync(join(folder, 'out.jsonl'))).toBe(false);
  });
});

describe('a member that is replaced', () => {
  it('is noticed where scores name their model', async () => {
    const named = (member: string, model: string): void => {
      const lines = scoreLines(pairs, member).trim().split('\n');
      const rows = lines.map((line) => `${JSON.stringify({ ...JSON.parse(line), model: model.repeat(64) })}\n`);
      writeFileSync(join(folder, `${member}.jsonl`), rows.join(''));
    };
    named('large', 'a');
    await ensemble(...scores('small', 'large'), '--weights', 'small=1,large=1', '--out', 'e.json');
    expect((await ensemble('--apply', 'e.json', ...scores('small', 'large'), '--out', 'same.jsonl')).code).toBe(0);
    named('large', 'b');
    const { code, stdout } = await ensemble(
      '--apply',
      'e.json',
      ...scores('small', 'large'),
      '--out',
      'other.jsonl',
      '--json',
    );
    expect([code, failure(stdout).code]).toEqual([2, 'MODELS_INCOMPARABLE']);
  });
});

describe.skipIf(!hasShared)('hpsv3 ensemble --fit on real judgements', () => {
  const real = async (set: string, ...more: string[]) => {
    const files = readdirSync(`${SHARED}data/${set}/scores`).sort();
    const args = files.flatMap((file) => [
      '--scores',
      `${file.replace('.jsonl', '')}=${SHARED}data/${set}/scores/${file}`,
    ]);
    const { code, stdout } = await ensemble(
      '--fit',
      ...args,
      '--labels',
      `${SHARED}data/${set}/labels.jsonl`,
      '--json',
      ...more,
    );
    expect(code).toBe(0);
    return JSON.parse(stdout);
  };

  it('beats the best of ten scorers of images by three points at least', async () => {
    const { comparison, verdict } = await real('tifa-pairs');
    expect(verdict).toBe('better');
    expect(comparison.difference).toBeGreaterThan(0.03);
    expect(comparison.ci[0]).toBeGreaterThan(0);
  });

  it('is no worse than the best of four scorers of video, and says when that is all it knows', async () => {
    const { comparison, verdict } = await real('t2v-alignment-pairs');
    expect(comparison.difference).toBeGreaterThanOrEqual(0);
    expect(verdict).toBe(comparison.ci[0] > 0 ? 'better' : 'undecided');
  });
});
