import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { GROUPS } from '../../../src/core/cli/help.js';
import { hpsv3 } from '../../helpers/cli.js';

const folder = mkdtempSync(join(tmpdir(), 'hpsv3-arguments-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const labels = join(folder, 'labels.jsonl');
writeFileSync(labels, '{"id":"1","type":"pair","left":"a","right":"b","labels":[1,0,1]}\n');

const stats = async (args: string[], env?: Record<string, string>) => {
  const { code, stdout, stderr } = await hpsv3(['data', 'stats', ...args, '--json'], { env });
  return { code, stderr, report: JSON.parse(stdout) };
};

describe('an argument', () => {
  it('can be given as a flag of its name, and from the environment', async () => {
    const { report } = await stats([labels]);
    expect(report.rows ?? report.input.rows).toBe(1);
    expect((await stats(['--input', labels])).report).toEqual(report);
    expect((await stats([`--input=${labels}`])).report).toEqual(report);
    expect((await stats([], { HPSV3_INPUT: labels })).report).toEqual(report);
    expect((await stats([labels], { HPSV3_INPUT: 'not-there.jsonl' })).report).toEqual(report);
  });

  it('is refused where it is given twice', async () => {
    const { code, report } = await stats([labels, '--input', labels]);
    expect([code, report.error.code]).toEqual([2, 'USAGE']);
  });

  it('is named where it is missing', async () => {
    const { code, report } = await stats([]);
    expect([code, report.error.details]).toEqual([2, { missing: 'INPUT' }]);
    const { report: score } = await json(['score', labels]);
    expect(score.error).toMatchObject({ details: { missing: '--model' }, hint: expect.stringContaining('--model') });
  });

  it('leaves its place to the next where it is given as a flag', async () => {
    const { report } = await json(['verify', 'second.onnx', '--model', join(folder, 'first.onnx')]);
    expect(report.error.message).toContain('first.onnx');
  });

  it('takes a place of several', async () => {
    const { report } = await json(['batch', 'merge', labels, labels, '--input', labels, '--out', join(folder, 'out')]);
    expect(report.error.message).toContain('labels.jsonl');
  });
});

const json = async (args: string[]) => {
  const { code, stdout } = await hpsv3([...args, '--json']);
  return { code, report: JSON.parse(stdout) };
};

describe('a value that is none of a flag', () => {
  it('is told with the one that was probably meant', async () => {
    const { report } = await json(['export', '--checkpoint', 'x', '--out', 'y', '--mode', 'paar']);
    expect(report.error).toMatchObject({ code: 'USAGE', hint: 'Did you mean pair?' });
  });
});

describe('hpsv3', () => {
  it('shows what to do next by itself, and every command in one group with --help', async () => {
    const first = await hpsv3([]);
    expect(first.stdout).toContain('hpsv3 export --checkpoint');
    const { stdout } = await hpsv3(['--help']);
    for (const { title, example } of GROUPS)
      expect(stdout).toMatch(new RegExp(`^${title} [^]*\\$ hpsv3 ${example}`, 'm'));
    const { stdout: list } = await hpsv3(['help']);
    expect(stripVTControlCharacters(list)).toContain('MAKE a model');
  });

  it('has a group for each command', async () => {
    const manifest = await import('../../../oclif.manifest.json', { with: { type: 'json' } });
    const roots = new Set(Object.keys(manifest.default.commands).map((id) => id.split(':')[0]));
    const grouped = GROUPS.flatMap(({ commands }) => commands);
    expect([...roots].filter((id) => !grouped.includes(id))).toEqual([]);
    expect(new Set(grouped).size).toBe(grouped.length);
  });
});
