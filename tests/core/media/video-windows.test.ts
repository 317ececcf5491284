import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openPreparer, type PreparedWindow } from '../../../src/core/media/preparer.js';
import { systemFfmpeg } from '../../../src/core/media/video/system-ffmpeg.js';
import type { Windowing } from '../../../src/core/media/windows.js';
import { PROJECT } from '../../helpers/cli.js';
import { sharedFolder } from '../../helpers/temp.js';
import { FRAMES } from './frames.js';

const CLIPS = `${PROJECT}tests/golden/media/video/`;
const isInstalled = (await systemFfmpeg.open(`${CLIPS}plain.webm`, 'plain.webm')) !== null;

const folder = sharedFolder();
/** A grey that says the time: frame n of the level n. */
const greys = (rate: number | string, seconds: number): string[] => {
  const source = `color=black:size=32x32:rate=${rate}:duration=${seconds},geq=lum='16+mod(N,200)':cb=128:cr=128`;
  return ['-f', 'lavfi', '-i', source];
};
const LOSSLESS = ['-c:v', 'libx264', '-qp', '0', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p'];

function make(name: string, ...args: string[]): string {
  const path = join(folder, name);
  execFileSync('ffmpeg', ['-v', 'error', '-y', ...args, path]);
  return path;
}

async function windowsOf(path: string, { window, stride }: Omit<Windowing, 'unit'>): Promise<PreparedWindow[]> {
  const preparer = await openPreparer({ inputs: [FRAMES], tokenizer: null });
  const windows: PreparedWindow[] = [];
  for await (const each of preparer.windows({ video: { path } }, { window, stride, unit: 'seconds' }))
    windows.push(each);
  return windows;
}

const framesOf = (prepared: Pick<PreparedWindow, 'inputs'>): Float32Array =>
  prepared.inputs.get('frames')!.data as Float32Array;

async function whole(path: string): Promise<Float32Array> {
  const preparer = await openPreparer({ inputs: [FRAMES], tokenizer: null });
  return framesOf(await preparer.prepare({ video: { path } }));
}

describe.skipIf(!isInstalled)('windows of a clip (skipped where ffmpeg is not on the PATH)', () => {
  it.each([
    ['mp4', '12', 3, 1.5],
    ['mp4', '30000/1001', 2, 0.7],
    ['webm', '25', 2, 2],
    ['mp4', '1', 8, 4],
    ['mp4', '240', 1, 0.5],
  ])(
    'of %s at %s Hz are those of clips cut out',
    async (ending, rate, window, stride) => {
      const codec =
        ending === 'mp4' ? LOSSLESS : ['-c:v', 'libvpx-vp9', '-lossless', '1', '-pix_fmt', 'yuv420p', '-cpu-used', '8'];
      const long = make(`long.${ending}`, ...greys(rate, 14), ...codec);
      const windows = await windowsOf(long, { window, stride });
      const [, second] = windows;
      for (const { span, inputs } of [windows[0], second, windows.at(-2)!]) {
        const cut = make(`cut.${ending}`, '-i', long, '-ss', String(span.start), '-t', String(window), ...codec);
        expect(framesOf({ inputs })).toEqual(await whole(cut));
      }
      expect(windows.at(-1)?.span.end).toBeGreaterThan(13.9);
    },
    30_000,
  );

  it('of a variable frame rate hold the frames shown in them; of a window in which none begins, the one before', async () => {
    // Two seconds at 10 Hz, then one frame that stands for ten seconds, and two seconds more.
    const timed = `setpts='if(lt(N,20),N/10,if(eq(N,20),2,12+(N-21)/10))/TB'`;
    const path = make('variable.mp4', ...greys(10, 4.1), '-vf', timed, '-fps_mode', 'vfr', ...LOSSLESS);
    const windows = await windowsOf(path, { window: 2, stride: 2 });
    const levels = windows.map((each) => Math.round((framesOf(each)[100] * 219) / 255));
    expect(levels.slice(0, 7)).toEqual([2, 20, 20, 20, 20, 20, 23]);
  });

  it('turn as the clip says', async () => {
    const flat = make('flat.mp4', '-f', 'lavfi', '-i', 'testsrc=size=64x32:rate=10:duration=3', ...LOSSLESS);
    // FFmpeg 6 has an option for it, earlier versions a tag.
    const isNew = execFileSync('ffmpeg', ['-h', 'full'], { maxBuffer: 2 ** 26 }).includes('-display_rotation');
    const turned = isNew
      ? make('turned.mp4', '-display_rotation', '90', '-i', flat, '-c', 'copy')
      : make('turned.mp4', '-i', flat, '-c', 'copy', '-metadata:s:v', 'rotate=90');
    const upright = make('upright.mp4', '-i', turned, ...LOSSLESS); // ffmpeg turns what it encodes
    const [first] = await windowsOf(turned, { window: 1, stride: 1 });
    const [same] = await windowsOf(upright, { window: 1, stride: 1 });
    expect(framesOf(first)).toBeAllClose(framesOf(same), { atol: 1 / 255 });
  });

  it('of a clip that is one frame, or shorter than a window, are one: the clip itself', async () => {
    const one = make('one.mp4', ...greys(10, 0.1), ...LOSSLESS);
    const [single, ...none] = await windowsOf(one, { window: 8, stride: 4 });
    expect(none).toEqual([]);
    expect(framesOf(single)).toEqual(await whole(one));
    const [short] = await windowsOf(`${CLIPS}plain.webm`, { window: 8, stride: 4 });
    expect(framesOf(short)).toEqual(await whole(`${CLIPS}plain.webm`));
  });

  it('need no length in the file', async () => {
    const live = make('live.webm', ...greys(10, 12), '-c:v', 'libvpx-vp9', '-cpu-used', '8', '-live', '1');
    expect((await windowsOf(live, { window: 4, stride: 4 })).map(({ span }) => span.start)).toEqual([0, 4, 8]);
  }, 20_000);

  it('of a file cut in the middle end in one line that says where', async () => {
    const path = make('index-first.mp4', ...greys(10, 40), ...LOSSLESS, '-movflags', '+faststart');
    const bytes = readFileSync(path);
    writeFileSync(path, bytes.subarray(0, Math.floor(0.6 * bytes.length)));
    const reading = windowsOf(path, { window: 4, stride: 4 });
    await expect(reading).rejects.toMatchObject({ code: 'MEDIA_INVALID', details: { file: 'index-first.mp4' } });
    await expect(reading).rejects.toThrow(/breaks off after 2\d\.\d s of the 40\.0 s/);
  });

  it('of a file without its index are refused in one line that is the same in every run', async () => {
    const path = make('index-lost.mp4', ...greys(10, 2), ...LOSSLESS);
    const bytes = readFileSync(path);
    writeFileSync(path, bytes.subarray(0, bytes.length / 2)); // the index stands at the end
    await expect(whole(path)).rejects.toThrow(/^index-lost\.mp4: ffprobe cannot read it: moov atom not found$/);
  });

  it('are not made of sound alone, nor of HDR', async () => {
    await expect(windowsOf(`${CLIPS}sound-only.mp4`, { window: 4, stride: 4 })).rejects.toThrow('has no video track');
    const pq = ['-color_trc', 'smpte2084', '-color_primaries', 'bt2020', '-colorspace', 'bt2020nc'];
    const hdr = make('hdr.mp4', ...greys(10, 1), ...LOSSLESS, ...pq);
    await expect(windowsOf(hdr, { window: 4, stride: 4 })).rejects.toThrow('is HDR (smpte2084)');
    await expect(whole(hdr)).rejects.toMatchObject({ code: 'MEDIA_INVALID' });
  });

  it('may end early, and the program with them', async () => {
    const path = make('early.mp4', ...greys(10, 30), ...LOSSLESS);
    const preparer = await openPreparer({ inputs: [FRAMES], tokenizer: null });
    for await (const { count } of preparer.windows({ video: { path } }, { window: 2, stride: 2, unit: 'seconds' })) {
      expect(count).toBe(15);
      break;
    }
  });
});
