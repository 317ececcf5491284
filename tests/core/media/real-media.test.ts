import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { readWav } from '../../../src/core/media/audio/wav.js';
import { decodeImage } from '../../../src/core/media/image/decode.js';
import { fitFrame } from '../../../src/core/media/image/frame.js';
import { prepareClip } from '../../../src/core/media/video/prepare.js';
import type { VideoContract } from '../../../src/core/media/video/sampling.js';
import { systemFfmpeg } from '../../../src/core/media/video/system-ffmpeg.js';
import { floatsOf } from '../../../src/core/runtime/value.js';
import { PROJECT } from '../../helpers/cli.js';
import { hasShared, SHARED } from '../../helpers/shared.js';

const MEDIA = `${SHARED}media/`;
const hasFfmpeg = (await systemFfmpeg.open('clip.mp4', 'clip.mp4')) !== null;
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

const FRAME = {
  color: 'RGB' as const,
  resize: { shorterSide: 224, kernel: 'bicubic' as const, antialias: true },
  crop: [224, 224] as [number, number],
  scale: 1 / 255,
  mean: [0.5, 0.5, 0.5] as [number, number, number],
  std: [0.5, 0.5, 0.5] as [number, number, number],
};

describe.skipIf(!hasShared)('photographs (skipped without the shared folder)', () => {
  // Vectors: Pillow; tests/golden/media/make_shared.py
  const { pictures }: { pictures: Record<string, { decoded: string; fitted: string }> } = JSON.parse(
    readFileSync(`${PROJECT}tests/golden/media/vectors-shared.json`, 'utf8'),
  );

  it.each(Object.keys(pictures))('%s is decoded, resized and cropped byte for byte as by Pillow', async (file) => {
    const pixels = await decodeImage(readFileSync(`${MEDIA}images/${file}`), file);
    const fitted = fitFrame(pixels, { kind: 'image', ...FRAME, layout: 'NCHW' });
    expect({ decoded: sha256(pixels.data), fitted: sha256(fitted.data as Uint8Array) }).toEqual(pictures[file]);
  });
});

describe.skipIf(!hasShared)('recordings (skipped without the shared folder)', () => {
  it.each([
    ['clean_speech__CA01_01.wav', 48_000],
    ['pocketsphinx-testdata__sense_and_sensibility_01_austen_64kb-0880.wav', 16_000],
    ['short_duration__1_second__guitar48_stereo_1_sec.wav', 48_000],
  ])('%s is read', (file, rate) => {
    const { sampleRate, samples } = readWav(readFileSync(`${MEDIA}audio/${file}`), file);
    expect(sampleRate).toBe(rate);
    const loudest = samples.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
    expect(loudest).toBeGreaterThan(0.05);
    expect(loudest).toBeLessThanOrEqual(1);
  });
});

describe.skipIf(!hasShared || !hasFfmpeg)('clips (skipped without the shared folder, or ffmpeg)', () => {
  const contract: VideoContract = { kind: 'video', frames: 8, sampling: 'even', size: 224, ...FRAME, layout: 'NCFHW' };

  it('holds the same pictures as MP4 and as WebM', async () => {
    const [mp4, webm] = await Promise.all(
      ['mp4', 'webm'].map((format) => prepareClip({ path: `${MEDIA}video/videos__flower.${format}` }, contract)),
    );
    expect(mp4.shape).toEqual([1, 3, 8, 224, 224]);
    const [a, b] = [floatsOf(mp4), floatsOf(webm)];
    const difference = a.reduce((sum, x, i) => sum + Math.abs(x - b[i]), 0);
    expect(difference / a.length).toBeLessThan(0.1); // of a range of 2; the two were compressed apart
  });

  it('is refused where it is longer than 10 s', async () => {
    const clip = prepareClip({ path: `${MEDIA}video/videos__tears-of-steel-battle-clip-medium.webm` }, contract);
    await expect(clip).rejects.toMatchObject({
      code: 'MEDIA_INVALID',
      message: expect.stringContaining('70.46 s long'),
    });
  });
});
