import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { HpsError } from '../../src/core/errors.js';
import { reportRun } from '../../src/core/lifecycle/report/run-report.js';
import { evaluated } from '../helpers/cards.js';
import { hpsv3 } from '../helpers/cli.js';
import { withoutPixels } from '../helpers/drawings.js';
import { exportFile } from '../helpers/pico.js';
import { tempFolder } from '../helpers/temp.js';

describe('hpsv3 report', () => {
  it('puts all reports of a folder on one page, and says what it did not read', async () => {
    const folder = tempFolder();
    mkdirSync(join(folder, 'models'));
    await exportFile(join(folder, 'models', 'm.onnx'));
    await evaluated(folder, { prompts: 8 });
    writeFileSync(join(folder, 'broken.json'), '{');
    writeFileSync(join(folder, 'other.json'), '{"a":1}');
    const { code, stdout } = await hpsv3(['report', folder, '--json', '--quiet']);
    expect(code).toBe(0);
    const { documents, skipped } = JSON.parse(stdout);
    expect(documents).toEqual([
      { path: 'models/m.onnx.report.json', kind: 'export' },
      { path: 'report.json', kind: 'evaluation' },
    ]);
    expect(skipped.map(({ path }: { path: string }) => path)).toEqual(['broken.json', 'other.json']);
    const summary = join(folder, 'summary');
    expect(readdirSync(summary).sort()).toEqual(['README.md', 'index.html', 'pictures', 'summary.json']);
    expect(withoutPixels(summary)).toEqual([]);
    const markdown = readFileSync(join(summary, 'README.md'), 'utf8');
    for (const text of ['models/m.onnx.report.json', 'By group', 'pictures/groups-2.svg', '## Not read'])
      expect(markdown).toContain(text);
    expect(readFileSync(join(summary, 'index.html'), 'utf8')).toContain('data:image/svg+xml;base64,');
  });

  it('reads ensembles: their weights, and what was joined by them', async () => {
    const folder = tempFolder();
    await evaluated(folder, { prompts: 30 });
    const at = (name: string) => join(folder, name);
    const rows = readFileSync(at('scores.jsonl'), 'utf8').trim().split('\n');
    const others = rows.map((row, i) => {
      const score = JSON.parse(row);
      return JSON.stringify({ ...score, logit: score.logit / 10 + (i % 3) / 5 });
    });
    writeFileSync(at('other.scores.jsonl'), `${others.join('\n')}\n`);
    const scores = ['--scores', `a=${at('scores.jsonl')}`, '--scores', `b=${at('other.scores.jsonl')}`];
    const fit = ['--fit', '--labels', at('labels.jsonl'), '--resamples', '100', '--out', at('weights.json'), '--quiet'];
    expect((await hpsv3(['ensemble', ...scores, ...fit])).code).toBe(0);
    await exportFile(at('a.onnx'), { mode: 'pair', modality: 'image' });
    const members = ['--member', `${at('a.onnx')}:0.6`, '--member', `${at('a.onnx')}:0.4`];
    expect((await hpsv3(['ensemble', ...members, '--out', at('both.onnx'), '--gate', 'quick', '--quiet'])).code).toBe(
      0,
    );
    const report = await reportRun({ folder, out: at('summary'), force: false });
    expect(report.documents).toContainEqual({ path: 'weights.json', kind: 'ensemble' });
    expect(report.documents).toContainEqual({ path: 'both.onnx.report.json', kind: 'merge' });
    expect(report.skipped).toEqual([]);
    const markdown = readFileSync(at('summary/README.md'), 'utf8');
    for (const text of ['Members, by stacking', 'that no fit had seen', 'What was joined', 'both.onnx']) {
      expect(markdown).toContain(text);
    }
  });

  it.each([
    ['run.html', 'data:image/svg+xml;base64,'],
    ['run.md', '### By group'],
  ])('writes %s alone, as a file', async (name, text) => {
    const folder = tempFolder();
    await evaluated(folder, { prompts: 8 });
    const out = join(tempFolder(), name);
    const { files } = await reportRun({ folder, out, force: false });
    expect(files).toEqual([name]);
    expect(readFileSync(out, 'utf8')).toContain(text);
    expect(readFileSync(out, 'utf8')).not.toContain('](pictures/');
    await expect(reportRun({ folder, out, force: false })).rejects.toMatchObject({ code: 'OUTPUT_EXISTS' });
    await expect(reportRun({ folder, out: join(folder, 'report.json'), force: true })).rejects.toBeInstanceOf(HpsError);
  });

  it('reads no report twice: a summary or a card in the folder is left alone', async () => {
    const folder = tempFolder();
    await evaluated(folder, { prompts: 3 });
    expect((await hpsv3(['report', folder, '--quiet'])).code).toBe(0);
    const again = await hpsv3(['report', folder, '--quiet', '--json']);
    expect(JSON.parse(again.stdout).error.code).toBe('OUTPUT_EXISTS');
    const forced = await hpsv3(['report', folder, '--force', '--quiet', '--json']);
    expect(JSON.parse(forced.stdout).documents).toHaveLength(1);
  });

  it('refuses a folder without reports, and none at all', async () => {
    const folder = tempFolder();
    for (const [path, code] of [
      [folder, 'DATA_INVALID'],
      [join(folder, 'none'), 'FILE_NOT_FOUND'],
    ] as const) {
      const { stdout, code: exit } = await hpsv3(['report', path, '--json', '--quiet']);
      expect(exit).toBe(2);
      expect(JSON.parse(stdout).error.code).toBe(code);
    }
  });
});
