import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { explanationDocument } from '../../../../src/core/explanation/document.js';
import { type ExplainOptions, explainDecisions } from '../../../../src/core/lifecycle/explain/explain.js';
import { scoreOne } from '../../../../src/core/lifecycle/score/score.js';
import { encodeWav } from '../../../../src/core/media/encode-wav.js';
import { HPSv3Scorer } from '../../../../src/core/scoring/scorer.js';
import { tinyModel, writePicture, writeRows } from '../../../helpers/scoring.js';
import { sharedFolder } from '../../../helpers/temp.js';

const folder = sharedFolder();
const RATE = 16_000;
const WINDOWS = { window: '1s', stride: '500ms' } as const;
const QUICK = { method: 'input-x-gradient', mediaRoot: folder, force: true } as const;
const models = { audio: '', text: '', image: '' };
let out = 0;

const explain = (options: Pick<ExplainOptions, 'model' | 'input'> & Partial<ExplainOptions>) =>
  explainDecisions({ ...QUICK, out: join(folder, `why-${out++}`), ...options });

type Sound = (i: number) => number;
const SOUNDS: readonly Sound[] = [
  (i) => 0.4 * Math.sin(i * 0.15),
  (i) => 0.9 * Math.sin(i * i * 0.7),
  (i) => 0.4 * Math.sin(i * 1.1),
];

/** Seconds of one sound, one of them of another. */
function writeSound(name: string, seconds: number, sound: Sound, damage?: { from: number; sound: Sound }): string {
  const samples = Float32Array.from({ length: seconds * RATE }, (_, i) => sound(i));
  if (damage) for (let i = 0; i < RATE; i++) samples[damage.from * RATE + i] = damage.sound(i);
  writeFileSync(join(folder, name), encodeWav(samples, RATE));
  return name;
}

type Windows = NonNullable<Awaited<ReturnType<typeof explain>>['samples'][number]['windows']>;

/** Of an item. */
function ofItem(windows: Windows | undefined): Extract<Windows, { curve: unknown }> {
  if (windows && 'curve' in windows) return windows;
  throw new Error('not those of an item');
}

beforeAll(async () => {
  models.audio = await tinyModel(folder, 'audio', 'item');
  models.text = await tinyModel(folder, 'text', 'item');
  models.image = await tinyModel(folder, 'image', 'item');
}, 120_000);

describe('an explanation in windows', () => {
  it('has the scores of `score`, and explains the damaged window as a clip of its own', async () => {
    const model = models.audio;
    // What a seeded model takes for damage: of some sounds the one it scores lowest, in the midst of the one it scores highest.
    const scorer = await HPSv3Scorer.load(model, { mediaRoot: folder });
    const sounds = await Promise.all(
      SOUNDS.map(async (sound, i) => {
        const item = { audio: writeSound(`sound-${i}.wav`, 1, sound) };
        return { sample: { item }, sound, logit: (await scorer.score(item)).logit };
      }),
    );
    await scorer.close();
    const [worst, , best] = sounds.toSorted((a, b) => a.logit - b.logit);
    const damage = { from: 3.5, sound: worst.sound };
    const sample = { item: { audio: writeSound('long.wav', 6, best.sound, damage) } };

    const scored = await scoreOne({ model, input: { sample }, windows: WINDOWS, mediaRoot: folder });
    const report = await explain({ model, input: { sample }, windows: WINDOWS });
    const [{ logit, windows, maps, completeness }] = report.samples;
    expect(windows).toMatchObject({ ...scored.windows, logit: scored.logit });
    expect(windows).toMatchObject({ count: 11, worst: { start: 3.5, end: 4.5 }, unit: 'seconds' });
    const logits = ofItem(windows).curve.map((each) => each.logit);
    expect(ofItem(windows).best.logit).toBe(Math.max(...logits));
    expect(logit).toBeCloseTo(Math.min(...logits), 5);
    const [alone] = (await explain({ model, input: { sample: worst.sample } })).samples;
    expect({ logit, maps, completeness }).toEqual({
      logit: alone.logit,
      maps: alone.maps,
      completeness: alone.completeness,
    });
    expect(alone).not.toHaveProperty('windows');

    const page = readFileSync(join(report.out, 'index.html'), 'utf8');
    expect(page).toContain('The logits of 11 windows along the item, the lowest');
    expect(page).toContain('from 3.5 to 4.5 seconds');
    expect(page).toContain('<source media="(max-width: 44rem)"');
    expect(page).toContain('at 0:00:03.5 to 0:00:04.5');
    const written = JSON.parse(readFileSync(join(report.out, 'explanation.json'), 'utf8'));
    expect(explanationDocument.schema.parse(written).samples[0].windows).toEqual(windows);
  });

  it('of a text takes the sentences of the worst window', async () => {
    const sentences = Array.from({ length: 12 }, (_, i) => `Number ${i} is ${i % 3 === 0 ? 'red' : 'blue'}.`);
    const item = sentences.join(' ');
    const windows = { window: '40t', stride: '20t' };
    const scored = await scoreOne({ model: models.text, input: { sample: { item } }, windows });
    const report = await explain({ model: models.text, input: { sample: { item } }, windows, method: 'leave-one-out' });
    const [sample] = report.samples;
    expect(sample.windows).toMatchObject({ ...scored.windows, unit: 'characters' });
    expect(sample.truncated).toBe(false);
    const { start, end } = ofItem(sample.windows).worst;
    const json = JSON.parse(readFileSync(join(report.out, 'item.text.json'), 'utf8'));
    const words = json.units
      .filter((unit: { special?: true }) => !unit.special)
      .map(({ name }: { name: string }) => name.trim());
    expect(words.join('').replaceAll(' ', '')).toBe(item.slice(start, end).replaceAll(' ', ''));
  });

  it('of a pair compares the worst window of each side, with both curves on the page', async () => {
    const [tone, other] = SOUNDS;
    const damage = { from: 0.5, sound: other };
    const pair = {
      left: { audio: writeSound('left.wav', 2.5, tone) },
      right: { audio: writeSound('right.wav', 2, tone, damage) },
    };
    const sample = { model: models.audio, input: { sample: pair }, windows: { ...WINDOWS, aggregate: 'worst' } };
    const scored = await scoreOne({ ...sample, mediaRoot: folder });
    const report = await explain(sample);
    const [explained] = report.samples;
    expect(explained.windows).toMatchObject(scored.windows!);
    expect(explained.logit).toBeCloseTo(scored.logit, 5);
    const page = readFileSync(join(report.out, 'index.html'), 'utf8');
    expect(page).toContain('Left: the logits of 4 windows');
    expect(page).toContain('Right: the logits of 3 windows');
  });

  it('of a file has the windows of every row, and says where there is but one', async () => {
    const rows = [1.5, 0.5].map((seconds, i) => ({
      id: `row-${i}`,
      type: 'abs',
      content: { audio: writeSound(`row-${i}.wav`, seconds, SOUNDS[0]) },
    }));
    const report = await explain({
      model: models.audio,
      input: { file: writeRows(folder, 'rows.jsonl', rows) },
      windows: WINDOWS,
    });
    expect(report.samples.map(({ windows }) => windows && 'curve' in windows && windows.count)).toEqual([2, 1]);
    expect(report.samples.map(({ warnings }) => warnings.join())).toEqual([
      '',
      expect.stringContaining('explained whole'),
    ]);
    expect(readFileSync(join(report.out, 'index.html'), 'utf8')).toContain('The logits of 2 windows along the item');
  });

  it('is refused for pictures, for lengths of another unit and for what is longer than the model reads', async () => {
    const picture = { sample: { item: { image: await writePicture(folder, 'a.png', 1) } } };
    const usage = (message: string) => ({ code: 'USAGE', message: expect.stringContaining(message) });
    await expect(explain({ model: models.image, input: picture, windows: WINDOWS })).rejects.toMatchObject(
      usage('nothing of a length'),
    );
    await expect(
      explain({ model: models.text, input: { sample: { item: 'a fox' } }, windows: WINDOWS }),
    ).rejects.toMatchObject(usage('cut by tokens'));
    await expect(
      explain({ model: models.audio, input: { sample: { item: 'sound-0.wav' } }, windows: { window: '1m' } }),
    ).rejects.toMatchObject(usage('longer than'));
  });

  it('is what a recording that is too long is sent to', async () => {
    const input = { sample: { item: { audio: writeSound('minute.wav', 60, () => 0) } } };
    await expect(explain({ model: models.audio, input })).rejects.toMatchObject({ code: 'MEDIA_INVALID' });
  });
});
