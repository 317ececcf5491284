import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { ItemWindows } from '../../../../src/core/data/score-windows.js';
import { runBatch } from '../../../../src/core/lifecycle/score/batch.js';
import { fitWindows } from '../../../../src/core/lifecycle/score/fit-windows.js';
import { scoreOne } from '../../../../src/core/lifecycle/score/score.js';
import { tinyModel, writeRows } from '../../../helpers/scoring.js';
import { sharedFolder } from '../../../helpers/temp.js';
import { writeWindowed } from '../../../helpers/windowed.js';

const folder = sharedFolder();
const at = (name: string): string => join(folder, name);
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
