import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { formatExplanation } from '../../../../src/core/cli/render-explain.js';
import { explainDecisions } from '../../../../src/core/lifecycle/explain/explain.js';
import { scoreOne } from '../../../../src/core/lifecycle/score/score.js';
import { PROJECT } from '../../../helpers/cli.js';
import { exportFile } from '../../../helpers/pico.js';
import { tempFolder } from '../../../helpers/temp.js';
import { cutOut, hasFfmpeg, writeLongClip } from '../../scoring/long-video.js';

it.skipIf(!hasFfmpeg)(
  'an explanation of a long clip shows all its windows, and explains the damaged one as if it were cut out (needs ffmpeg)',
  async () => {
    const folder = tempFolder();
    const [model, clip, cut] = ['mini.onnx', 'long.mp4', 'cut.mp4'].map((name) => join(folder, name));
    const checkpoint = `${PROJECT}checkpoints/hpsv3-mini-a/model.safetensors`;
    await exportFile(model, { checkpoint, modality: 'video', mode: 'item' });
    const [start, end] = await writeLongClip(clip, 20, 8);
    const windows = { window: '8s', stride: '4s' };
    const input = { sample: { item: { video: clip } } };
    const method = 'input-x-gradient';
    const scored = await scoreOne({ model, input, windows });
    const report = await explainDecisions({ model, input, windows, method, out: join(folder, 'why') });
    const [explained] = report.samples;
    expect(explained.windows).toMatchObject({ ...scored.windows, logit: scored.logit });
    expect(explained.windows).toMatchObject({
      count: 4,
      worst: { start, end, logit: expect.closeTo(explained.logit, 5) },
    });

    cutOut(clip, cut, { start, end });
    const alone = await explainDecisions({
      model,
      input: { sample: { item: { video: cut } } },
      method,
      out: join(folder, 'why-cut'),
    });
    expect(explained.maps).toEqual(alone.samples[0].maps);
    expect(formatExplanation(report)).toContain('4 windows, the worst at 0:00:08.0 to 0:00:16.0');
    const page = readFileSync(join(report.out, 'index.html'), 'utf8');
    expect(page).toContain('The logits of 4 windows along the item, the lowest');
    expect(page).toContain('from 8 to 16 seconds');
    expect(page).toContain('a bar for each of 8 frames');
    const tooLong = explainDecisions({ model, input, method, out: join(folder, 'whole') });
    await expect(tooLong).rejects.toMatchObject({
      code: 'MEDIA_INVALID',
      hint: expect.stringContaining('`window`'),
    });
  },
  60_000,
);
