import { join } from 'node:path';
import { expect, it } from 'vitest';
import { HPSv3Scorer } from '../../../src/core/scoring/scorer.js';
import { PROJECT } from '../../helpers/cli.js';
import { exportFile } from '../../helpers/pico.js';
import { tempFolder } from '../../helpers/temp.js';
import { hasFfmpeg, scoresOfCuts, writeLongClip } from './long-video.js';

it.skipIf(!hasFfmpeg)(
  'a long clip is scored as its parts would be, and its damage is its worst window',
  async () => {
    const folder = tempFolder();
    const [model, clip] = ['mini.onnx', 'long.mp4'].map((name) => join(folder, name));
    const checkpoint = `${PROJECT}checkpoints/hpsv3-mini-a/model.safetensors`;
    await exportFile(model, { checkpoint, modality: 'video', mode: 'pair' });
    const [start, end] = await writeLongClip(clip, 36, 20);
    const scorer = await HPSv3Scorer.load(model, { windows: { window: '8s', stride: '4s' } });
    const plain = await HPSv3Scorer.load(model);
    try {
      const { windows } = await scorer.score({ video: clip });
      expect(windows).toMatchObject({ count: 8, worst: { start, end } });
      const some = [0, 5].map((i) => windows!.curve[i]);
      expect(await scoresOfCuts(plain, clip, folder, some)).toEqual(some.map(({ logit }) => logit));
      await expect(plain.score({ video: clip })).rejects.toMatchObject({ hint: expect.stringContaining('`window`') });
    } finally {
      await Promise.all([scorer.close(), plain.close()]);
    }
  },
  60_000,
);
