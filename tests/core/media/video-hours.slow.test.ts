import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openPreparer } from '../../../src/core/media/preparer.js';
import { tempFolder } from '../../helpers/temp.js';
import { hasFfmpeg } from '../scoring/long-video.js';
import { FRAMES } from './frames.js';

const HOURS = 3;

it.skipIf(!hasFfmpeg)('reads a clip of three hours to its end, each window of its own time', async () => {
  const path = join(tempFolder(), 'hours.mp4');
  // A grey that says the minute.
  const source = `color=black:size=32x32:rate=1:duration=${HOURS * 3600},geq=lum='16+mod(floor(N/60),200)':cb=128:cr=128`;
  const codec = ['-c:v', 'libx264', '-qp', '0', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p'];
  execFileSync('ffmpeg', ['-v', 'error', '-f', 'lavfi', '-i', source, ...codec, path]);
  const preparer = await openPreparer({ inputs: [FRAMES], tokenizer: null });
  const windowing = { window: 10, stride: 10, unit: 'seconds' } as const;
  let windows = 0;
  for await (const { span, count, inputs } of preparer.windows({ video: { path } }, windowing)) {
    expect({ start: span.start, count }).toEqual({ start: 10 * windows, count: HOURS * 360 });
    const level = Math.round(((inputs.get('frames')!.data as Float32Array)[0] * 219) / 255);
    expect(level).toBe(Math.floor(span.start / 60) % 200);
    windows++;
  }
  expect(windows).toBe(HOURS * 360);
});
