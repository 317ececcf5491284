import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { formatFitWindows } from '../../../../src/core/cli/render-batch.js';
import type { ItemWindows } from '../../../../src/core/data/score-windows.js';
import { runBatch } from '../../../../src/core/lifecycle/score/batch.js';
import { fitWindows } from '../../../../src/core/lifecycle/score/fit-windows.js';
import { scoreOne } from '../../../../src/core/lifecycle/score/score.js';
import { tinyModel, writeRows } from '../../../helpers/scoring.js';
import { sharedFolder } from '../../../helpers/temp.js';
import { writeWindowed } from '../../../helpers/windowed.js';

const folder = sharedFolder();
const at = (name: string): string => join(folder, name);
const read = (path: string) =>
  readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
const LONG = Array.from({ length: 30 }, (_, i) => `Sentence ${i} has some words.`).join(' ');
const windows = { window: '40t', stride: '20t' };
const rule = at('rule.json');
let model = '';

beforeAll(async () => {
  model = await tinyModel(folder, 'text', 'item');
  await fitWindows({ ...writeWindowed(folder, 'fit', 120), out: rule });
}, 60_000);

describe('fitWindows', () => {
  it('writes a rule that scores are then made by, and that stands with them', async () => {
    const { sharpness, n, heldOut, window } = JSON.parse(readFileSync(rule, 'utf8'));
    expect({ n, window }).toEqual({ n: 120, window: '40t' });
    expect(heldOut.fitted).toBeLessThan(heldOut.mean.loss / 4);
    const scored = await scoreOne({
      model,
      input: { sample: { item: LONG } },
      windows: { ...windows, aggregate: rule },
    });
    const { curve, ...said } = scored.windows as ItemWindows;
    expect(said).toMatchObject({ aggregate: 'fitted', sharpness, interval: null });
    const weights = curve.map(({ logit }) => Math.exp(-sharpness * logit));
    const expected = curve.reduce((sum, { logit }, i) => sum + logit * weights[i], 0) / weights.reduce((a, b) => a + b);
    expect(scored.logit).toBeCloseTo(expected, 6);
    const input = writeRows(folder, 'rows.jsonl', [{ id: '1', type: 'abs', item: 'text', content: LONG }]);
    await runBatch({ models: [model], input, out: at('out.jsonl'), windows: { ...windows, aggregate: rule } });
    const manifest = JSON.parse(readFileSync(at('out.jsonl.manifest.json'), 'utf8'));
    expect(manifest.schema).toBe('hpsv3/scores@4');
    expect(manifest.settings.windows).toEqual([{ ...windows, aggregate: 'fitted', sharpness }]);
  });

  it('is refused for other windows, and for what is neither a rule nor a file', async () => {
    const score = (aggregate: string, window = '40t') =>
      scoreOne({ model, input: { sample: { item: LONG } }, windows: { window, stride: '20t', aggregate } });
    await expect(score(rule, '30t')).rejects.toMatchObject({ code: 'MODELS_INCOMPARABLE' });
    await expect(score('median')).rejects.toMatchObject({ code: 'USAGE' });
    await expect(score(model)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });

  it('refuses labels of pairs for scores of items, and the other way round, and single windows', async () => {
    const { scores, labels } = writeWindowed(folder, 'kinds', 60);
    const items = read(scores);
    const write = (name: string, rows: object[]): string => writeRows(folder, `${name}.jsonl`, rows);
    const pairLabels = write(
      'pair-labels',
      items.map(({ id }) => ({ id, type: 'pair', left: 'x', right: 'y', labels: [1] })),
    );
    const side = ({ count, worst, curve }: ItemWindows) => ({ count, worst, curve });
    const rule = ({ count: _, worst: __, curve: ___, ...rest }: ItemWindows) => rest;
    const pairScores = write(
      'pair-scores',
      items.map(({ id, logit, windows: each }) => ({
        ...{ id, logit },
        windows: { ...rule(each), left: side(each), right: side(each) },
      })),
    );
    const single = write(
      'single',
      items.map(({ id, logit, windows: each }) => ({
        ...{ id, logit },
        windows: { ...each, count: 1, curve: each.curve.slice(0, 1) },
      })),
    );
    for (const [given, message] of [
      [{ scores, labels: pairLabels }, 'pair-labels.jsonl judges pairs, and kinds-score.jsonl has scores of items'],
      [{ scores: pairScores, labels }, 'kinds-label.jsonl judges items, and pair-scores.jsonl has scores of pairs'],
      [{ scores: single, labels }, 'single.jsonl: of 60 judged rows 60 have a single window'],
    ] as const) {
      await expect(fitWindows({ ...given, out: at('no.json') })).rejects.toMatchObject({
        code: 'DATA_INVALID',
        message: expect.stringContaining(message),
        hint: expect.stringContaining('`window`'),
      });
    }
  });

  it('says plainly that labels by lot teach nothing, and names a rule that is better than the fitted one', async () => {
    const { scores, labels } = writeWindowed(folder, 'lot', 80);
    const label = (score: (i: number) => number, name: string): string =>
      writeRows(
        folder,
        `${name}.jsonl`,
        read(labels).map((row, i) => ({ ...row, score: score(i) })),
      );
    const byLot = await fitWindows({ scores, labels: label((i) => Math.sin(99 * i), 'by-lot'), out: at('lot.json') });
    expect(byLot.ci).toBeNull();
    expect(byLot.warnings).toContainEqual(expect.stringContaining('nothing can be said of its sharpness'));
    expect(formatFitWindows(byLot)).toContain('(no interval:');
    const logits = read(scores).map(({ windows: { curve } }) => curve.at(-1).logit);
    const last = await fitWindows({ scores, labels: label((i) => logits[i], 'by-last'), out: at('last.json') });
    expect(last.warnings).toContainEqual(expect.stringContaining('is worse than `last`: take `aggregate` last'));
    expect(formatFitWindows(last)).toMatch(/fitted less last 0\.\d+ to \d\.\d+: the fitted rule is worse/);
  });

  it('refuses scores without windows, in several, and too few', async () => {
    const { scores, labels } = writeWindowed(folder, 'few', 49);
    await expect(fitWindows({ scores, labels, out: at('no.json') })).rejects.toMatchObject({
      code: 'TOO_FEW_CLUSTERS',
    });
    const whole = writeRows(
      folder,
      'whole.jsonl',
      Array.from({ length: 49 }, (_, i) => ({ id: `${i}`, logit: i })),
    );
    const [a, b] = [readFileSync(scores, 'utf8'), readFileSync(writeWindowed(folder, 'other', 1, '8t').scores, 'utf8')];
    const mixed = writeRows(
      folder,
      'mixed.jsonl',
      `${a}\n${b.replace('"id":"0"', '"id":"x"')}`
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line)),
    );
    for (const given of [whole, mixed])
      await expect(fitWindows({ scores: given, labels, out: at('no.json') })).rejects.toMatchObject({
        code: 'DATA_INVALID',
        message: expect.stringContaining('windows'),
      });
  });
});
