import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { tempFolder } from '../helpers/temp.js';

// The harness is plain JavaScript, without declarations.
const load = (name: string) => import(new URL(`../../bench/${name}.js`, import.meta.url).href);
const { alternate } = await load('measure');
const { atLeast, atMost, benchCase, faster } = await load('case');
const { writeDocument, writePages, writeResult } = await load('report');

const took = (name: string, rounds: number[], peakMiB: number | null = 100) => ({
  name,
  seconds: rounds[0],
  peakMiB,
  rounds,
});
const node = (name: string, script: string) => ({ name, command: process.execPath, args: ['-e', script] });

describe('alternate', () => {
  it('runs rivals in turn, counts no warm-up, and takes what a script measured inside itself', async () => {
    const read = (output: string) => ({ seconds: Number(output) });
    const [ours, theirs] = await alternate([{ ...node('ours', 'console.log(2)'), read }, node('theirs', '')], {
      rounds: 2,
      warmup: 1,
    });
    expect(ours).toMatchObject({ name: 'ours', seconds: 2, rounds: [2, 2] });
    expect(theirs.rounds).toHaveLength(2);
    expect(theirs.seconds).toBeGreaterThan(0);
  });

  it('reports a peer that fails, or was absent, with the reason, and stops where ours fails', async () => {
    const failing = node('theirs', 'throw new Error("no such model")');
    const absent = { name: 'gone', absent: 'not installed: gone' };
    const results = await alternate([node('ours', ''), failing, absent], { rounds: 1, warmup: 0 });
    expect(results[1]).toEqual({ name: 'theirs', absent: 'failed: Error: no such model' });
    expect(results[2]).toEqual(absent);
    await expect(alternate([failing], { rounds: 1, warmup: 0 })).rejects.toThrow('no such model');
  });
});

describe('benchCase', () => {
  it('takes the ratio round by round', () => {
    const [ours, theirs] = [took('ours', [1, 2, 1]), took('theirs', [3, 4, 5])];
    expect(benchCase('case', ours, [theirs]).peers[0].ratio).toBe(3);
    expect(faster(ours, theirs, 3)).toMatchObject({ value: 3, met: true });
    expect(faster(ours, theirs, 3.5)).toMatchObject({ met: false });
  });

  it('neither meets nor misses a target whose peer is absent', () => {
    const [ours, theirs] = [took('ours', [1]), { name: 'theirs', absent: 'not installed' }];
    expect(faster(ours, theirs, 2)).toMatchObject({ value: null, met: null });
    expect(atMost('memory', null, 1)).toMatchObject({ value: null, met: null });
    expect(atLeast('rate', Number.NaN, 1)).toMatchObject({ value: null, met: null });
  });
});

describe('reports', () => {
  it('show what was measured, what is absent, what a busy machine spoils, and nothing of other hosts', () => {
    const folder = tempFolder();
    const [ours, theirs] = [took('<ours>', [1]), took('theirs', [9.6])];
    const cases = [
      benchCase('case', ours, [theirs, { name: 'gone', absent: 'not installed: gone' }], {
        targets: [faster(ours, theirs, 8), faster(ours, { name: 'gone', absent: 'x' }, 2), atMost('memory', 100, 50)],
        notes: ['A note.'],
      }),
    ];
    writeResult(join(folder, 'export.json'), {
      bench: 'export',
      title: 'Export',
      date: '2026-01-01',
      machine: { cpu: 'CPU', cores: 2, memoryGiB: 24, os: 'linux x64', busyBefore: 0.5 },
      versions: { hpsv3: '1.0.0', node: '20.0.0' },
      options: {},
      complete: true,
      seconds: 5,
      cases,
    });
    writePages(folder);
    writeDocument(folder, join(folder, 'benchmarks.md'));
    const [html, markdown, document] = ['index.html', 'index.md', 'benchmarks.md'].map((name) =>
      readFileSync(join(folder, name), 'utf8'),
    );
    for (const text of [html, markdown, document]) {
      const why = ['Why targets are missed', 'case: memory (100)', 'Not looked into yet.'];
      for (const part of ['9.60x', 'absent: not installed: gone', 'unmeasured', 'A note.', '50 %', ...why]) {
        expect(text).toContain(part);
      }
    }
    expect(html).not.toContain('<ours>');
    expect(html).not.toMatch(/https?:/);
    expect(document).toContain('# Benchmarks');
  });
});

describe('reasons', () => {
  it('are of benches that are there, one for each target', async () => {
    const { REASONS, reasonOf } = await load('reasons');
    for (const { bench, why } of REASONS) {
      expect(existsSync(new URL(`../../bench/${bench}/run.js`, import.meta.url))).toBe(true);
      expect(why).toMatch(/^[A-Z].*\.$/);
    }
    expect(reasonOf('no such bench', 'case', { text: 'memory' })).toBeUndefined();
  });
});

describe('growth', () => {
  it('fits the power that time beyond a start-up grows with', async () => {
    const { exponentOf } = await load('growth/run');
    const runs = [10, 100, 1000, 10_000].map((size) => ({
      size,
      linear: 3 + 2e-3 * (size - 10),
      square: 3 + (size - 10) ** 2,
    }));
    expect(exponentOf(runs, ({ linear }: { linear: number }) => linear)).toBeCloseTo(1, 1);
    expect(exponentOf(runs, ({ square }: { square: number }) => square)).toBeCloseTo(2, 1);
    expect(exponentOf(runs.slice(0, 2), ({ linear }: { linear: number }) => linear)).toBeNull();
  });
});
