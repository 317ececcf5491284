import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { type CliResult, collect, HPSV3, hpsv3 } from '../helpers/cli.js';
import { tempFolder } from '../helpers/temp.js';

let folder: string;
beforeEach(() => {
  folder = tempFolder();
  writeFileSync(join(folder, 'labels.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  writeFileSync(
    join(folder, 'bad.jsonl'),
    `${JSON.stringify(rows[0])}\nnot json\n${JSON.stringify(rows[0])}\n${JSON.stringify({ ...rows[1], labels: [2] })}\n`,
  );
});

const rows = Array.from({ length: 40 }, (_, i) => ({
  id: `r${i}`,
  type: 'pair',
  left: i % 7 === 0 ? '=cmd()' : 'a.png',
  right: 'b "quoted", c.png',
  labels: [1, i % 2, 1],
  prompt_id: `p${i % 9}`,
  groups: { source: i % 3 === 0 ? 'x' : 'y' },
  raters: ['ann', 'bob', 'cy'],
}));

const data = (...args: string[]): Promise<CliResult> => hpsv3(['data', ...args], { cwd: folder });
const read = (name: string): string => readFileSync(join(folder, name), 'utf8');
const jsonl = (name: string) =>
  read(name)
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

/** Runs with `input` on standard input. */
function piped(input: string, ...args: string[]): Promise<CliResult> {
  const child = spawn(process.execPath, [HPSV3, 'data', ...args], { cwd: folder, stdio: ['pipe', 'pipe', 'pipe'] });
  child.stdin.end(input);
  return collect(child);
}

describe('hpsv3 data convert', () => {
  it('brings rows through CSV and Parquet and back unchanged', async () => {
    for (const [from, to] of [
      ['labels.jsonl', 'a.csv'],
      ['a.csv', 'b.parquet'],
      ['b.parquet', 'c.jsonl'],
    ]) {
      expect((await data('convert', from, '--out', to)).code).toBe(0);
    }
    expect(jsonl('c.jsonl').map((row) => ({ ...row }))).toEqual(
      jsonl('labels.jsonl').map((row) => expect.objectContaining(row)),
    );
    expect(read('a.csv')).toContain("'=cmd()");
  });

  it('takes the format from --to and --from before the name', async () => {
    expect((await data('convert', 'labels.jsonl', '--out', 'rows.txt', '--to', 'csv')).code).toBe(0);
    expect(read('rows.txt')).toMatch(/^id,type,left,right,/);
    const { code, stdout } = await data('convert', 'rows.txt', '--from', 'csv', '--out', 'back.jsonl', '--json');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      format: 'jsonl',
      out: 'back.jsonl',
      errors: null,
      input: { rows: 40, badRows: 0 },
    });
  });

  it('writes refused rows with their lines, keeps the rest, and exits with 6', async () => {
    const { code, stderr } = await data('convert', 'bad.jsonl', '--out', 'good.jsonl');
    expect(code).toBe(6);
    expect(stderr).toContain(
      '3 rows refused (1 INVALID_JSON, 1 DUPLICATE_ID, 1 FIELD_INVALID): see good.jsonl.errors.jsonl.',
    );
    expect(stderr).toMatch(/The first: line 2: .*; line 3: id "r0" .*; line 4: labels /);
    expect(jsonl('good.jsonl').map(({ id }) => id)).toEqual(['r0']);
    expect(jsonl('good.jsonl.errors.jsonl')).toEqual([
      { line: 2, code: 'INVALID_JSON', message: expect.any(String) },
      { line: 3, code: 'DUPLICATE_ID', message: expect.any(String) },
      { line: 4, code: 'FIELD_INVALID', message: expect.stringContaining('labels') },
    ]);
  });

  it('does not replace the refused rows of another run, and then writes nothing', async () => {
    writeFileSync(join(folder, 'good.jsonl.errors.jsonl'), 'kept');
    const refused = await data('convert', 'bad.jsonl', '--out', 'good.jsonl', '--json');
    expect([refused.code, JSON.parse(refused.stdout).error.code]).toEqual([2, 'OUTPUT_EXISTS']);
    expect([existsSync(join(folder, 'good.jsonl')), read('good.jsonl.errors.jsonl')]).toEqual([false, 'kept']);
    expect((await data('convert', 'labels.jsonl', '--out', 'good.jsonl')).code).toBe(0);
    expect((await data('convert', 'bad.jsonl', '--out', 'other.jsonl', '--errors', 'other-errors.jsonl')).code).toBe(6);
    expect(readdirSync(folder).sort()).toEqual([
      'bad.jsonl',
      'good.jsonl',
      'good.jsonl.errors.jsonl',
      'labels.jsonl',
      'other-errors.jsonl',
      'other.jsonl',
    ]);
    expect((await data('convert', 'labels.jsonl', '--out', 'good.jsonl', '--force')).code).toBe(0);
    expect(existsSync(join(folder, 'good.jsonl.errors.jsonl'))).toBe(false); // it was of the file that is replaced
  });

  it('reads standard input and writes standard output', async () => {
    const { code, stdout, stderr } = await piped(read('bad.jsonl'), 'convert', '-', '--out', '-');
    expect(code).toBe(6);
    expect(
      stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).id),
    ).toEqual(['r0']);
    expect(stderr).toContain('1 rows read');
  });

  it.each([
    ['a missing file', ['convert', 'nowhere.jsonl', '--out', 'x.csv'], 'FILE_NOT_FOUND'],
    ['its own input as output', ['convert', 'labels.jsonl', '--out', 'labels.jsonl', '--force'], 'OUTPUT_INVALID'],
    ['two documents on standard output', ['convert', 'labels.jsonl', '--out', '-'], 'USAGE'],
    ['an unknown format', ['convert', 'labels.jsonl', '--out', 'x', '--to', 'xml'], 'USAGE'],
    ['a Parquet file that is none', ['convert', 'labels.jsonl', '--from', 'parquet', '--out', 'x.csv'], 'DATA_INVALID'],
  ])('refuses %s', async (_, args, expected) => {
    const { code, stdout } = await data(...args, '--json');
    expect([code, JSON.parse(stdout).error.code]).toEqual([2, expected]);
  });

  it('writes no file where there is no row for it', async () => {
    writeFileSync(join(folder, 'empty.jsonl'), '\n');
    writeFileSync(join(folder, 'none.csv'), 'id,type,left,right,label1\n1,pair,a,b,"x\n2,pair,a,b,yes\n');
    const empty = await data('convert', 'empty.jsonl', '--out', 'out.csv', '--json');
    expect([empty.code, JSON.parse(empty.stdout).error.message]).toEqual([2, 'empty.jsonl: has no rows']);
    const { code, stdout } = await data('convert', 'none.csv', '--out', 'out.csv', '--json');
    expect(code).toBe(6);
    expect(JSON.parse(stdout)).toMatchObject({
      out: null,
      input: { rows: 0, badRows: 2 },
      errors: 'out.csv.errors.jsonl',
    });
    expect(existsSync(join(folder, 'out.csv'))).toBe(false);
    expect(jsonl('out.csv.errors.jsonl').map(({ line }) => line)).toEqual([2, 3]);
    expect((await data('split', 'none.csv', '--out', 'parts')).code).toBe(6);
    expect([existsSync(join(folder, 'parts')), jsonl('parts.errors.jsonl').length]).toEqual([false, 2]);
  });

  it('brings scores through CSV and Parquet and back unchanged', async () => {
    const runtime = { version: '1.30.0', device: 'cpu', threads: 1, optimization: 'all' };
    const model = 'ab'.repeat(32);
    const scores = [
      { id: '1', logit: -1.5, score: 0.2, winner: 'right', confidence: 0.7, calibrated: true, row: 1, model, runtime },
      {
        id: '-2',
        logit: 3e-7,
        score: 0.1,
        calibrated: 0.25,
        calibratedBy: 'checkpoint',
        task: '=x',
        truncated: true,
        row: 9,
        model,
        runtime,
      },
      { id: '3', logit: 0, disagreement: 0.5 },
    ];
    writeFileSync(join(folder, 's.jsonl'), scores.map((row) => `${JSON.stringify(row)}\n`).join(''));
    for (const [from, to] of [
      ['s.jsonl', 's.csv'],
      ['s.csv', 's.parquet'],
      ['s.parquet', 'back.jsonl'],
    ]) {
      const { code, stdout } = await data('convert', from, '--out', to, '--json');
      expect([code, JSON.parse(stdout).kind]).toEqual([0, 'scores']);
    }
    expect(read('back.jsonl')).toBe(read('s.jsonl'));
  });

  it('says how votes are coded where not as usual', async () => {
    writeFileSync(join(folder, 'coded.csv'), 'id,type,left,right,label1\n1,pair,a,b,A\n2,pair,a,b,B\n');
    const { code, stderr } = await data('convert', 'coded.csv', '--out', 'out.jsonl');
    expect([code, jsonl('out.jsonl').map(({ labels }) => labels)]).toEqual([0, [[1], [0]]]);
    expect(stderr).toContain('Votes are coded A/B: A is the left, B the right.');
  });

  it('writes nothing that its name says is compressed', async () => {
    const { code, stdout } = await data('convert', 'labels.jsonl', '--out', 'out.jsonl.gz', '--json');
    expect([code, JSON.parse(stdout).error.code]).toEqual([2, 'USAGE']);
  });
});

describe('hpsv3 data consensus', () => {
  it('writes one answer a row, and drops rows of low agreement', async () => {
    const { code, stdout } = await data(
      'consensus',
      'labels.jsonl',
      '--out',
      'one.jsonl',
      '--min-agreement',
      '0.9',
      '--json',
    );
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ written: 20, disagreed: 20, unlabelled: 0 });
    expect(jsonl('one.jsonl').every(({ labels, label }) => (labels?.[0] ?? label) === 1)).toBe(true);
  });

  it.each(['majority', 'agreement-weighted', 'dawid-skene'])('knows %s', async (method) => {
    const { code, stderr } = await data('consensus', 'labels.jsonl', '--out', 'one.csv', '--method', method);
    expect([code, stderr]).toEqual([0, expect.stringContaining('40 rows with one answer')]);
    if (method === 'dawid-skene') expect(stderr).toMatch(/rater +accuracy/);
  });

  it('says what dawid-skene needs', async () => {
    writeFileSync(join(folder, 'anonymous.jsonl'), `${JSON.stringify({ ...rows[0], raters: undefined })}\n`);
    const { code, stdout } = await data(
      'consensus',
      'anonymous.jsonl',
      '--method',
      'dawid-skene',
      '--out',
      'x.jsonl',
      '--json',
    );
    expect([code, JSON.parse(stdout).error.code]).toEqual([2, 'DATA_INVALID']);
  });

  it('refuses an agreement that is no share', async () => {
    const { code } = await data('consensus', 'labels.jsonl', '--out', 'x.jsonl', '--min-agreement', '1.5');
    expect(code).toBe(2);
  });
});

describe('hpsv3 data split', () => {
  it('keeps the rows of a prompt together, each row once', async () => {
    const { code, stdout } = await data(
      'split',
      'labels.jsonl',
      '--fractions',
      'fit=0.6,judge=0.4',
      '--out',
      'parts',
      '--json',
    );
    expect(code).toBe(0);
    const parts = ['fit', 'judge'].map((name) => jsonl(`parts/${name}.jsonl`));
    const prompts = parts.map((part) => new Set(part.map(({ prompt_id }) => prompt_id)));
    expect(
      parts
        .flat()
        .map(({ id }) => id)
        .sort(),
    ).toEqual(rows.map(({ id }) => id).sort());
    expect([...prompts[0]].filter((prompt) => prompts[1].has(prompt))).toEqual([]);
    expect(JSON.parse(stdout).parts).toEqual({
      fit: { rows: parts[0].length, clusters: prompts[0].size },
      judge: { rows: parts[1].length, clusters: prompts[1].size },
    });
  });

  it('splits alike for the same seed, and otherwise for another', async () => {
    for (const [out, seed] of [
      ['a', '1'],
      ['b', '1'],
      ['c', '2'],
    ])
      await data('split', 'labels.jsonl', '--out', out, '--seed', seed);
    expect(readdirSync(join(folder, 'a')).sort()).toEqual(['test.jsonl', 'train.jsonl', 'val.jsonl']);
    expect(read('b/train.jsonl')).toBe(read('a/train.jsonl'));
    expect(read('c/train.jsonl')).not.toBe(read('a/train.jsonl'));
  });

  it('writes all parts or none', async () => {
    mkdirSync(join(folder, 'parts'));
    writeFileSync(join(folder, 'parts/test.jsonl'), 'kept');
    const { code } = await data('split', 'labels.jsonl', '--out', 'parts');
    expect([code, readdirSync(join(folder, 'parts')), read('parts/test.jsonl')]).toEqual([2, ['test.jsonl'], 'kept']);
  });

  it.each(['a=0.5,b=0.6', 'a=1,a=0', 'a', 'a=-1,b=2', '../a=0.5,b=0.5', '__proto__=1', 'a=nan'])(
    'refuses the fractions %s',
    async (fractions) => {
      const { code, stdout } = await data(
        'split',
        'labels.jsonl',
        `--fractions=${fractions}`,
        '--out',
        'parts',
        '--json',
      );
      expect([code, JSON.parse(stdout).error.code]).toEqual([2, 'USAGE']);
    },
  );
});

describe('hpsv3 data stats', () => {
  it('counts rows, clusters, votes and groups, and measures agreement', async () => {
    const { code, stdout } = await data('stats', 'labels.jsonl', '--json');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      file: 'labels.jsonl',
      byType: { pair: 40, absolute: 0 },
      clusters: { count: 9, largest: 5 },
      votes: { total: 120, ties: 0, softLabels: 0 },
      agreement: { rows: 40, mean: expect.any(Number) },
      groups: [{ name: 'source', rows: 40, values: { x: 14, y: 26 } }],
    });
  });

  it('shows a table', async () => {
    const { stdout } = await data('stats', 'labels.jsonl');
    expect(stdout).toMatch(/^40 rows read\.\n\nfact +value\npairs +40\n/);
    expect(stdout).toMatch(/source +y +26/);
  });

  it('counts refused rows, writes them where asked, and exits with 6', async () => {
    const { code, stdout } = await data('stats', 'bad.jsonl', '--errors', 'e.jsonl');
    expect(code).toBe(6);
    expect(stdout).toContain('3 rows refused');
    expect(jsonl('e.jsonl')).toHaveLength(3);
  });

  it('gives null, not NaN, for a file without rows', async () => {
    writeFileSync(join(folder, 'empty.jsonl'), '');
    const { stdout } = await data('stats', 'empty.jsonl', '--json');
    expect(JSON.parse(stdout)).toMatchObject({
      votes: { leftShare: null },
      agreement: { mean: null, krippendorffAlpha: null },
    });
  });
});
