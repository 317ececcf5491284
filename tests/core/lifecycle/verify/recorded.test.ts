import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { formatVerify } from '../../../../src/core/cli/render-gate.js';
import { verifyModels } from '../../../../src/core/lifecycle/verify/verify.js';
import { tinyModel } from '../../../helpers/scoring.js';
import { sharedFolder } from '../../../helpers/temp.js';

const folder = sharedFolder();
const recorded = join(folder, 'samples.json');
let model = '';
let item = '';

beforeAll(async () => {
  model = await tinyModel(folder, 'text');
  item = await tinyModel(folder, 'image', 'item');
  const report = await verifyModels({ model, record: recorded });
  expect(formatVerify(report)).toMatch(/Recorded: 16 scores.\nWritten: samples.json/);
}, 60_000);

const read = () => JSON.parse(readFileSync(recorded, 'utf8'));

describe('recorded scores', () => {
  it('are the same bytes each time, and hold where nothing changed', async () => {
    const again = join(folder, 'again.json');
    await verifyModels({ model, record: again });
    expect(readFileSync(again, 'utf8')).toBe(readFileSync(recorded, 'utf8'));
    const report = await verifyModels({ model, recorded });
    expect(report).toMatchObject({ passed: true, reference: 'recorded', flips: 0, maxScoreDiff: 0, pairs: 16 });
    expect(formatVerify(report)).toContain('the same runtime, device and threads');
    expect(formatVerify(report)).toContain('Verified against the recorded scores');
  });

  it('hold under another number of threads, which is said', async () => {
    const report = await verifyModels({ model, recorded, threads: 2 });
    expect(report.passed).toBe(true);
    expect(report.checks[0].detail).toContain('threads of the machine then, 2 now');
  });

  it('are of items where a model decides by them', async () => {
    const path = join(folder, 'items.json');
    await verifyModels({ model: item, record: path });
    expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({ kind: 'item', output: 'utility_logit' });
    expect(await verifyModels({ model: item, recorded: path })).toMatchObject({ passed: true, pairs: 120 });
  });

  it.each([
    [
      'a score that moved',
      (scores: number[]) => scores.map((score, i) => (i === 3 ? score + 0.01 : score)),
      { flips: 0 },
    ],
    [
      'a winner that changed',
      (scores: number[]) => scores.map((score, i) => (i === 3 ? -score - Math.sign(score) : score)),
      { flips: 1 },
    ],
  ])('do not hold with %s', async (_, change, expected) => {
    const moved = join(folder, 'moved.json');
    writeFileSync(moved, JSON.stringify({ ...read(), scores: change(read().scores) }));
    const report = await verifyModels({ model, recorded: moved });
    expect(report).toMatchObject({ passed: false, ...expected });
    expect(formatVerify(report)).toContain('The gate failed.');
    const wide = await verifyModels({ model, recorded: moved, budget: { score: 100, flips: 2 } });
    expect(wide.passed).toBe(true);
  });

  it.each([
    ['another model', { model: { file: 'm.onnx', sha256: '0'.repeat(64) } }, 'MODELS_INCOMPARABLE'],
    ['other inputs', { inputsSha256: '0'.repeat(64) }, 'MODELS_INCOMPARABLE'],
    ['a newer schema', { schema: 'hpsv3/recorded@99' }, 'MADE_BY_NEWER'],
    ['no scores', { scores: null }, 'CONFIG_INVALID'],
    ['more rows than there may be', { rows: 1e9 }, 'CONFIG_INVALID'],
    ['fewer scores than rows', { scores: [1] }, 'CONFIG_INVALID'],
  ])('are refused with %s', async (_, change, code) => {
    const path = join(folder, 'bad.json');
    writeFileSync(path, JSON.stringify({ ...read(), ...change }));
    await expect(verifyModels({ model, recorded: path })).rejects.toMatchObject({ code });
  });

  it.each([
    [{ other: 'b.onnx' }, /a second model/],
    [{ golden: 'g.safetensors' }, /`golden`/],
    [{ record: 'r.json' }, /`record`/],
    [{ device: 'auto' }, /need to know where they run/],
  ])('are refused together with %j', async (options, message) => {
    const given = { model, recorded, ...options, ...('other' in options ? { other: model } : {}) };
    await expect(verifyModels(given)).rejects.toMatchObject({ code: 'USAGE', message: expect.stringMatching(message) });
  });
});
