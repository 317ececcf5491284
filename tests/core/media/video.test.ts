import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { openPreparer } from '../../../src/core/media/preparer.js';
import { readFrames } from '../../../src/core/media/video/clip.js';
import { sniffVideo, type VideoFormat } from '../../../src/core/media/video/format.js';
import { PpmReader } from '../../../src/core/media/video/ppm.js';
import { evenFrames, framesToEnds, sampledFrames, type VideoContract } from '../../../src/core/media/video/sampling.js';
import { openVideoTools, VIDEO_BACKENDS } from '../../../src/core/media/video/tools.js';
import type { ContractInput } from '../../../src/core/onnx/manifest.js';
import { PROJECT } from '../../helpers/cli.js';
import { tempFolder } from '../../helpers/temp.js';

// Clips: FFmpeg 5.1; tests/golden/media/make_video.py
const CLIPS = `${PROJECT}tests/golden/media/video/`;
const golden = (file: string): Buffer => readFileSync(`${CLIPS}${file}`);
const installed = await Promise.all(
  VIDEO_BACKENDS.map(async (backend) => {
    const tools = await backend.open(`${CLIPS}plain.webm`, 'plain.webm');
    await tools?.close();
    return tools !== null;
  }),
);

const input = (frames: number): ContractInput => ({
  name: 'frames',
  dtype: 'F32',
  shape: ['batch', 3, frames, 24, 32],
  preprocess: {
    kind: 'video',
    frames,
    sampling: 'even',
    size: 24,
    color: 'RGB',
    resize: { shorterSide: 24, kernel: 'bilinear', antialias: true },
    crop: null,
    scale: 1,
    mean: [0, 0, 0],
    std: [1, 1, 1],
    layout: 'NCFHW',
  },
});

async function prepare(file: string | Buffer, frames = 4): Promise<Float32Array> {
  const preparer = await openPreparer({ inputs: [input(frames)], tokenizer: null });
  const video = typeof file === 'string' ? { path: `${CLIPS}${file}` } : { bytes: file, name: 'a.mp4' };
  const { inputs } = await preparer.prepare({ video });
  expect(inputs.get('frames')?.shape).toEqual([1, 3, frames, 24, 32]);
  return inputs.get('frames')?.data as Float32Array;
}

/** The grey level of each frame of each channel, [3, frames]. */
const levels = (values: Float32Array): number[] =>
  Array.from({ length: values.length / (24 * 32) }, (_, i) => values[i * 24 * 32 + 400]);

afterEach(() => vi.unstubAllEnvs());

describe('evenFrames', () => {
  it.each([
    [20, 4, [2, 7, 12, 17]],
    [5, 5, [0, 1, 2, 3, 4]],
    [1, 3, [0, 0, 0]],
    [2, 4, [0, 0, 1, 1]],
    [300, 1, [150]],
  ])('of %i frames picks for %i the middles of equal parts', (count, wanted, expected) => {
    expect(evenFrames(count, wanted)).toEqual(expected);
  });
});

describe('framesToEnds', () => {
  // torch.linspace(0, count - 1, wanted).round().long() of torch 2.15.
  it.each([
    [30, 4, [0, 10, 19, 29]],
    [6, 3, [0, 2, 5]], // 2.5 to the even one
    [17, 4, [0, 5, 11, 16]],
    [10, 1, [0]],
    [36, 8, [0, 5, 10, 15, 20, 25, 30, 35]],
  ])('of %i frames picks for %i the first, the last and those between', (count, wanted, expected) => {
    expect(framesToEnds(count, wanted)).toEqual(expected);
  });
});

describe('sampledFrames', () => {
  const contract = { frames: 768, sampling: 'ends', rate: { perSecond: 2, least: 4, multiple: 2 } } as VideoContract;

  // smart_nframes of qwen-vl-utils.
  it.each([
    [30, 12, 4], // 5 frames, halves to even
    [9, 8, 4], // fewer than the least
    [3, 24, 2], // as many as there are, in twos
    [100, 10, 20],
  ])('of %i frames at %i a second are %i', (count, rate, expected) => {
    expect(sampledFrames(count, count / rate, contract)).toHaveLength(expected);
  });

  it('are none of a single frame', () => {
    expect(sampledFrames(1, 1, contract)).toBeNull();
  });
});

describe('PpmReader', () => {
  const stream = Buffer.concat([Buffer.from('P6\n2 1\n255\nabcdef'), Buffer.from('P6\n1 1\n255\nghi')]);

  it.each([1, 2, 7, 100])('cuts pictures out of pieces of %i bytes', (size) => {
    const reader = new PpmReader(10, 'a.mp4');
    const frames = Array.from({ length: Math.ceil(stream.length / size) }, (_, i) => [
      ...reader.push(stream.subarray(i * size, (i + 1) * size)),
    ]).flat();
    expect(frames.map(({ width, height, data }) => [width, height, Buffer.from(data).toString()])).toEqual([
      [2, 1, 'abcdef'],
      [1, 1, 'ghi'],
    ]);
  });

  it.each(['P6\n9 9\n255\n', 'P6\n0 1\n255\n', `P5${' '.repeat(60)}`])('refuses %j', (header) => {
    expect(() => [...new PpmReader(10, 'a.mp4').push(Buffer.from(header))]).toThrow(
      expect.objectContaining({ code: 'MEDIA_INVALID' }),
    );
  });
});

describe.skipIf(!installed[0])('prepareClip with ffmpeg (skipped where it is not on the PATH)', () => {
  it.each(['index-last.mp4', 'index-first.mp4', 'plain.webm', 'live.webm'])(
    'samples the frames of %s evenly',
    async (file) => {
      const grey = [2, 7, 12, 17].map((frame) => 12 * frame);
      expect(levels(await prepare(file))).toBeAllClose([...grey, ...grey, ...grey], { atol: 2 });
    },
  );

  it('repeats frames of a clip that has fewer', async () => {
    const grey = levels(await prepare('plain.webm', 40)).slice(0, 40);
    expect(grey).toBeAllClose(
      Array.from({ length: 40 }, (_, i) => 12 * Math.floor(i / 2)),
      { atol: 2 },
    );
  });

  it('reads a clip from bytes, its index last', async () => {
    expect(await prepare(golden('index-last.mp4'))).toEqual(await prepare('index-last.mp4'));
  });

  it('takes a name for a name, not for an option or an address', async () => {
    const folder = tempFolder();
    const preparer = await openPreparer({ inputs: [input(1)], tokenizer: null });
    for (const name of ['-y.webm', 'concat:a|b.webm', 'http:%d.webm']) {
      symlinkSync(`${CLIPS}plain.webm`, join(folder, name));
      await expect(preparer.prepare({ video: { path: join(folder, name) } })).resolves.toBeDefined();
    }
  });

  it.each<[string, () => Buffer]>([
    ['11 s of MP4', () => golden('eleven-seconds.mp4')],
    ['11 s of WebM that does not state its length', () => golden('eleven-seconds.webm')],
    ['sound alone', () => golden('sound-only.mp4')],
    ['an MP4 cut before its index', () => golden('index-last.mp4').subarray(0, 500)],
    ['an MP4 cut in its frames', () => cutFrames('index-first.mp4')],
    ['a WebM cut in its header', () => golden('plain.webm').subarray(0, 200)],
    ['a box of 2^64 - 1 bytes', () => withBoxSize('index-last.mp4')],
    ['boxes nested 50,000 deep', () => nested(50_000)],
    ['an MP4 that is only its signature', () => golden('index-last.mp4').subarray(0, 32)],
  ])('refuses %s', async (_, make) => {
    await expect(prepare(make())).rejects.toMatchObject({ code: 'MEDIA_INVALID', details: { file: 'a.mp4' } });
  });

  it('is not misled by a time scale of zero: only the frame that can be shown counts', async () => {
    expect(new Set(await prepare(withoutTimeScale('index-last.mp4')))).toEqual(new Set([0]));
  });

  it('names no folder of the machine in its errors', async () => {
    const error = await prepare(golden('index-last.mp4').subarray(0, 500)).catch((caught) => caught);
    expect(error.message).not.toMatch(/[\\/]/);
  });

  it('ends the program when it is told to stop', async () => {
    const preparer = await openPreparer({ inputs: [input(4)], tokenizer: null });
    const controller = new AbortController();
    const running = preparer.prepare({ video: { path: `${CLIPS}plain.webm` } }, controller.signal);
    setTimeout(() => controller.abort(new Error('enough')), 5);
    await expect(running).rejects.toThrow('enough');
  });
});

describe.each(VIDEO_BACKENDS.map((backend, i) => ({ backend, id: backend.id, i })))(
  'readFrames by $id (skipped where it is not installed)',
  ({ backend, i }) => {
    const levelsOf = async (file: string, name: string): Promise<number[]> => {
      const tools = await openVideoTools(file, name, undefined, [backend]);
      const grey: number[] = [];
      try {
        const format = sniffVideo(readFileSync(file)) as VideoFormat;
        await readFrames(
          tools,
          { name, format },
          (count) => evenFrames(count, 4),
          ({ data }, index) => {
            grey[index] = data[600];
          },
        );
      } finally {
        await tools.close();
      }
      return grey;
    };

    it.skipIf(!installed[i]).each(['index-last.mp4', 'plain.webm', 'live.webm'])('samples %s evenly', async (file) => {
      expect(await levelsOf(`${CLIPS}${file}`, file)).toBeAllClose([24, 84, 144, 204], { atol: 2 });
    });

    it.skipIf(!installed[i])('refuses a damaged clip', async () => {
      const path = join(tempFolder(), 'cut.mp4');
      writeFileSync(path, golden('index-last.mp4').subarray(0, 500));
      await expect(levelsOf(path, 'cut.mp4')).rejects.toMatchObject({ code: 'MEDIA_INVALID' });
    });
  },
);

describe('prepareClip', () => {
  it.skipIf(installed[1])('says what to install where no decoder is', async () => {
    vi.stubEnv('PATH', tempFolder());
    await expect(prepare('plain.webm')).rejects.toMatchObject({
      code: 'BACKEND_UNAVAILABLE',
      hint: expect.stringContaining('Install ffmpeg'),
    });
  });

  it.skipIf(installed[1])('does not run a program of the working folder', async () => {
    const folder = tempFolder();
    mkdirSync(join(folder, 'ffmpeg'));
    vi.stubEnv('PATH', '');
    await expect(prepare('plain.webm')).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
  });

  it.each([
    ['a playlist', Buffer.from('#EXTM3U\nfile:///etc/passwd\n')],
    ['HTML', Buffer.from('<!doctype html>')],
    ['an AVI', Buffer.from('RIFF\0\0\0\0AVI LIST')],
    ['nothing', Buffer.alloc(0)],
  ])('refuses %s before any program sees it', async (_, bytes) => {
    vi.stubEnv('PATH', '');
    await expect(prepare(bytes)).rejects.toMatchObject({ code: 'MEDIA_INVALID' });
  });
});

function cutFrames(file: string): Buffer {
  const bytes = golden(file);
  return bytes.subarray(0, bytes.indexOf('mdat') + 60);
}

/** The box of the frames says that it is as long as can be written. */
function withBoxSize(file: string): Buffer {
  const bytes = golden(file);
  const at = bytes.indexOf('mdat') - 4;
  const large = Buffer.from([0, 0, 0, 1, ...Buffer.from('mdat'), ...new Array(8).fill(0xff)]);
  return Buffer.concat([bytes.subarray(0, at), large, bytes.subarray(at + 8)]);
}

function withoutTimeScale(file: string): Buffer {
  const bytes = golden(file);
  bytes.writeUInt32BE(0, bytes.indexOf('mdhd') + 16);
  return bytes;
}

/** An MP4 of boxes inside boxes. */
function nested(depth: number): Buffer {
  const boxes = Buffer.alloc(8 * depth);
  for (let i = 0; i < depth; i++) {
    boxes.writeUInt32BE(8 * (depth - i), 8 * i);
    boxes.write('moov', 8 * i + 4, 'latin1');
  }
  return Buffer.concat([golden('index-last.mp4').subarray(0, 32), boxes]);
}
