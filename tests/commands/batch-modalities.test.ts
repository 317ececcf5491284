import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { VIDEO_BACKENDS } from '../../src/core/media/video/tools.js';
import { hpsv3, PROJECT } from '../helpers/cli.js';
import { tinyModel, writePicture, writeRows, writeTone } from '../helpers/scoring.js';
import { sharedFolder } from '../helpers/temp.js';

// Media: tests/golden/media/make_images.py and make_video.py
const GOLDEN = `${PROJECT}tests/golden/media/`;
const folder = sharedFolder();
const at = (name: string): string => join(folder, name);
const clip = `${GOLDEN}video/plain.webm`;
const decoders = await Promise.all(VIDEO_BACKENDS.map(async (backend) => backend.open(clip, 'plain.webm')));
const decodesVideo = decoders.some((tools) => tools !== null);
await Promise.all(decoders.map((tools) => tools?.close()));

const MODALITIES = ['image', 'text', 'image-text', 'audio', 'video'] as const;
const models: string[] = [];
const golden = (path: string): string => {
  const name = path.slice(path.lastIndexOf('/') + 1);
  copyFileSync(`${GOLDEN}${path}`, at(name));
  return name;
};

beforeAll(async () => {
  for (const modality of MODALITIES) models.push('--model', await tinyModel(folder, modality));
}, 120_000);

const batch = (input: string, out: string, ...more: string[]) =>
  hpsv3(['batch', ...models, '--input', input, '--output', at(out), '-q', ...more]);

const lines = (name: string): Record<string, unknown>[] =>
  readFileSync(at(name), 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));

const pair = (id: string, left: unknown, right: unknown, more: object = {}) => ({
  id,
  type: 'pair',
  left,
  right,
  ...more,
});

/** The first bytes of a file under another name. */
function cut(path: string, bytes: number): string {
  const name = `cut-${path.slice(path.lastIndexOf('/') + 1)}`;
  writeFileSync(at(name), readFileSync(`${GOLDEN}${path}`).subarray(0, bytes));
  return name;
}

/** A WAV whose header states no channel. */
function muteWav(): string {
  const wav = readFileSync(at(writeTone(folder, 'whole.wav', { hertz: 300, samples: 4000 })));
  wav.writeUInt16LE(0, 22);
  writeFileSync(at('mute.wav'), wav);
  return 'mute.wav';
}

describe.skipIf(!decodesVideo)('hpsv3 batch on all kinds of media (skipped where nothing decodes video)', () => {
  it('scores every row of a mixed file, and reports one bad row of each kind with its line', async () => {
    const tones = [300, 700].map((hertz, i) => writeTone(folder, `${i}.wav`, { hertz, samples: 8000 + 500 * i }));
    const good = [
      pair('png and jpg', golden('images/rgb.png'), golden('images/progressive.jpg')),
      pair('webp and grey', golden('images/lossy.webp'), golden('images/grey.png')),
      pair('bmp', golden('images/bmp-24-top-down.bmp'), golden('images/bmp-32-alpha.bmp')),
      pair('text', 'A vibrant sunrise.', 'Sun, up.', { type: 'pairwise_text' }),
      pair('image-text', { image: 'rgb.png', text: 'one' }, { image: 'grey.png', text: 'two' }, {}),
      pair('image and context', 'rgb.png', 'bmp-24-top-down.bmp', { type: 'pairwise_image_text', context: 'Which?' }),
      pair('wav', tones[0], tones[1]),
      pair('mp4', golden('video/index-last.mp4'), golden('video/index-first.mp4')),
      pair('webm', golden('video/plain.webm'), golden('video/live.webm')),
      { id: 'one picture', type: 'abs', item: 'image', content: 'rgb.png' },
      { id: 'one clip', type: 'abs', item: 'video', content: 'plain.webm' },
    ];
    const bad: readonly (readonly [row: object | string, code: string])[] = [
      ['{"id": "cut', 'INVALID_JSON'],
      [pair('bad png', cut('images/rgb.png', 60), 'rgb.png'), 'MEDIA_INVALID'],
      [pair('bad jpg', cut('images/progressive.jpg', 200), 'rgb.png'), 'MEDIA_INVALID'],
      [pair('bad bmp', cut('images/bmp-24.bmp', 300), 'rgb.png'), 'MEDIA_INVALID'],
      [pair('text without a side', 'a', undefined, { type: 'pairwise_text' }), 'FIELD_MISSING'],
      [pair('no context', 'rgb.png', 'grey.png', { type: 'pairwise_image_text' }), 'DATA_INVALID'],
      [pair('bad wav', muteWav(), tones[0]), 'MEDIA_INVALID'],
      [pair('bad mp4', golden('video/eleven-seconds.mp4'), 'index-last.mp4'), 'MEDIA_INVALID'],
      [pair('bad webm', cut('video/plain.webm', 300), 'plain.webm'), 'MEDIA_INVALID'],
      [pair('no clip', golden('video/sound-only.mp4'), 'index-last.mp4'), 'MEDIA_INVALID'],
    ];
    // Good and bad ones in turn.
    const rows = good.flatMap((row, i) => (i < bad.length ? [row, bad[i][0]] : [row]));
    const input = writeRows(folder, 'mixed.jsonl', rows);
    const { code } = await batch(input, 'mixed.out.jsonl', '--batch-size', '4');
    expect(lines('mixed.out.jsonl.errors.jsonl').map(({ line, code: error }) => [line, error])).toEqual(
      bad.map(([, error], i) => [2 * i + 2, error]),
    );
    expect(lines('mixed.out.jsonl').map(({ id }) => id)).toEqual(good.map(({ id }) => id));
    for (const { logit } of lines('mixed.out.jsonl')) expect(logit).toEqual(expect.any(Number));
    expect(code).toBe(6);
  });

  it('gives every row the same score in any order, batch and company, and shards the bytes of one run', {
    timeout: 240_000,
  }, async () => {
    const pictures: string[] = [];
    for (let i = 0; i < 6; i++) pictures.push(await writePicture(folder, `picture${i}.png`, i));
    const clips = ['index-last.mp4', 'plain.webm', 'live.webm'].map((name) => golden(`video/${name}`));
    const rows = Array.from({ length: 6 }, (_, i) => {
      const [left, right] = [pictures[i], pictures[(i + 2) % 6]];
      const tone = (side: string, hertz: number) =>
        writeTone(folder, `${side}${i}.wav`, { hertz, samples: 6000 + 700 * (i % 3) });
      return [
        pair(`image ${i}`, left, right),
        pair(`text ${i}`, 'word '.repeat(1 + 3 * i), `an answer ${'x'.repeat(4 * i)}`, { type: 'pairwise_text' }),
        pair(`both ${i}`, left, right, { type: 'pairwise_image_text', context: 'a picture '.repeat(1 + i) }),
        pair(`sound ${i}`, tone('l', 200 + 90 * i), tone('r', 900 - 70 * i)),
        ...(i < 3 ? [pair(`clip ${i}`, clips[i], clips[(i + 1) % 3])] : []),
      ];
    }).flat();
    const input = writeRows(folder, 'rows.jsonl', rows);
    const shuffled = writeRows(folder, 'shuffled.jsonl', [
      ...rows.filter((_, i) => i % 2),
      ...rows.filter((_, i) => !(i % 2)),
    ]);
    const few = writeRows(folder, 'few.jsonl', rows.slice(5, 10));

    expect((await batch(input, 'whole.jsonl', '--batch-size', '4')).code).toBe(0);
    const whole = new Map(lines('whole.jsonl').map((row) => [row.id, row]));
    expect(whole.size).toBe(rows.length);
    expect((await batch(shuffled, 'shuffled.out.jsonl', '--batch-size', '3')).code).toBe(0);
    expect((await batch(few, 'few.out.jsonl', '--batch-size', '4')).code).toBe(0);
    for (const { id, logit, winner } of [...lines('shuffled.out.jsonl'), ...lines('few.out.jsonl')]) {
      const row = whole.get(id)!;
      expect([id, Math.abs((logit as number) - (row.logit as number)) <= 1e-5]).toEqual([id, true]);
      expect([id, winner]).toEqual([id, row.winner]);
    }

    for (const i of [0, 1]) {
      const args = ['--batch-size', '4', '--shard', `${i}/2`];
      expect(await batch(input, `part${i}.jsonl`, ...args)).toMatchObject({ code: 0 });
    }
    const merge = ['batch', 'merge', at('part1.jsonl'), at('part0.jsonl'), '--input', input];
    expect(await hpsv3([...merge, '--output', at('merged.jsonl')])).toMatchObject({ code: 0 });
    expect(readFileSync(at('merged.jsonl'))).toEqual(readFileSync(at('whole.jsonl')));
  });
});
