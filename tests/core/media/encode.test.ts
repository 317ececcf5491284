import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readWav } from '../../../src/core/media/audio/wav.js';
import { encodeJpeg, encodePng } from '../../../src/core/media/encode-image.js';
import { encodeMp4, requireVideoEncoder } from '../../../src/core/media/encode-video.js';
import { encodeWav } from '../../../src/core/media/encode-wav.js';
import { decodeImage } from '../../../src/core/media/image/decode.js';
import type { Pixels } from '../../../src/core/media/image/pixels.js';
import { readFrames } from '../../../src/core/media/video/clip.js';
import { evenFrames } from '../../../src/core/media/video/sampling.js';
import { openVideoTools } from '../../../src/core/media/video/tools.js';
import { tempFolder } from '../../helpers/temp.js';

const hasFfmpeg = spawnSync('ffprobe', ['-version']).status === 0;

/** A smooth picture, its brightness shifted by `offset`. */
const picture = (offset = 0, width = 32, height = 24): Pixels => ({
  width,
  height,
  data: Uint8Array.from(
    { length: 3 * width * height },
    (_, i) => (offset + 3 * Math.floor(i / 3 / width) + (i % 3)) % 256,
  ),
});

const meanDifference = (a: Pixels, b: Pixels): number =>
  a.data.reduce((sum, value, i) => sum + Math.abs(value - b.data[i]), 0) / a.data.length;

describe('encodePng and encodeJpeg', () => {
  it('give back the same picture from PNG, and from JPEG a nearer one the higher the quality', async () => {
    const pixels = { ...picture(), data: picture().data.map((value, i) => (value * 7 + i * i) % 256) };
    expect(await decodeImage(await encodePng(pixels), 'x.png')).toEqual({ ...pixels, data: Buffer.from(pixels.data) });
    const differences: number[] = [];
    for (const quality of [5, 40, 95]) {
      differences.push(meanDifference(await decodeImage(await encodeJpeg(pixels, quality), 'x.jpg'), pixels));
    }
    expect(differences).toEqual(differences.toSorted((a, b) => b - a));
  });
});

describe('encodeWav', () => {
  it('gives back every 16-bit sample as it was, and clips what is beyond full scale', () => {
    const samples = Float32Array.from({ length: 65_536 }, (_, i) => (i - 32_768) / 32_768);
    expect(readWav(encodeWav(samples, 16_000), 'x.wav')).toEqual({ sampleRate: 16_000, samples });
    const loud = readWav(encodeWav(Float32Array.of(2, -2), 8000), 'x.wav');
    expect([...loud.samples]).toEqual([32_767 / 32_768, -1]);
  });
});

describe.skipIf(!hasFfmpeg)('encodeMp4', () => {
  const frames = Array.from({ length: 8 }, (_, i) => picture(20 * i));

  it('gives back every frame, nearly as it was', async () => {
    const path = join(tempFolder(), 'clip.mp4');
    writeFileSync(path, await encodeMp4(frames, 12));
    const tools = await openVideoTools(path, 'clip.mp4');
    const read: Pixels[] = [];
    await readFrames(
      tools,
      { name: 'clip.mp4', format: 'mp4' },
      (count) => evenFrames(count, frames.length),
      (frame, i) => {
        read[i] = frame;
      },
    );
    await tools.close();
    expect(read).toHaveLength(frames.length);
    read.forEach((frame, i) => {
      expect(meanDifference(frame, frames[i])).toBeLessThan(4);
    });
  });

  it('gives the same bytes for the same frames', async () => {
    expect(Buffer.compare(await encodeMp4(frames, 12), await encodeMp4(frames, 12))).toBe(0);
  });
});

describe('requireVideoEncoder', () => {
  it('says what to install where there is no ffmpeg', async () => {
    // A module of its own, so that what another test has found is not remembered.
    const path = process.env['PATH'];
    process.env['PATH'] = tempFolder();
    try {
      const { vi } = await import('vitest');
      vi.resetModules();
      const fresh = await import('../../../src/core/media/encode-video.js');
      await expect(fresh.requireVideoEncoder()).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
    } finally {
      process.env['PATH'] = path;
    }
    if (hasFfmpeg) await requireVideoEncoder();
  });
});
