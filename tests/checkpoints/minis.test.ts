import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Random } from '../../src/core/bytes/random.js';
import { HPSv3Scorer } from '../../src/core/scoring/scorer.js';
import { imageModality } from '../../src/core/synthesis/image/modality.js';
import { imageTextModality } from '../../src/core/synthesis/image-text.js';
import type { StoredItem, SynthModality } from '../../src/core/synthesis/modality.js';
import { PROJECT } from '../helpers/cli.js';
import { exportFile } from '../helpers/pico.js';
import { tempFolder } from '../helpers/temp.js';

const FOLDER = `${PROJECT}checkpoints/hpsv3-mini-`;
const SIZE = 96;

/** On how many drawn sources, one of them more damaged than the other by `strength`, a model prefers the better one. */
async function shareRight<T>(
  model: string,
  modality: SynthModality<T>,
  damage: string,
  strength: number,
): Promise<number> {
  const scorer = await HPSv3Scorer.load(model);
  const perturbation = modality.perturbations.find(({ id }) => id === damage)!;
  const sources = 24;
  let right = 0;
  try {
    for (let i = 0; i < sources; i++) {
      const clean = modality.draw(new Random(`checkpoints:${i}`));
      const worse = await perturbation.apply(clean, strength, new Random(`checkpoints:${i}:damage`));
      const [left, other] = (await Promise.all([clean, worse].map((each) => modality.store(each)))).map(itemOf);
      const { logit } = await scorer.scorePair(i % 2 === 0 ? { left, right: other } : { left: other, right: left });
      right += Number(logit > 0 === (i % 2 === 0));
    }
  } finally {
    await scorer.close();
  }
  return right / sources;
}

const itemOf = ({ text, file }: StoredItem) => ({
  ...(text && { text }),
  image: { bytes: file!.bytes, name: 'drawn.png' },
});

it('hpsv3-mini-image-text sees that a caption is of another picture, and damage too', async () => {
  const model = join(tempFolder(), 'model.onnx');
  const checkpoint = `${FOLDER}image-text/model.safetensors`;
  await exportFile(model, { checkpoint, modality: 'image-text', mode: 'pair' });
  const modality = imageTextModality(SIZE);
  expect(await shareRight(model, modality, 'mismatch', 4)).toBeGreaterThan(0.8);
  expect(await shareRight(model, modality, 'noise', 3)).toBeGreaterThan(0.9);
}, 60_000);

it('hpsv3-mini-student is smaller than 1 MB, and sees damage as its card says', async () => {
  const model = `${FOLDER}student/model.onnx`;
  expect(statSync(model).size).toBeLessThan(1e6);
  expect(await shareRight(model, imageModality(SIZE), 'noise', 3)).toBeGreaterThan(0.9);
}, 60_000);

it('every checkpoint has a line in checkpoints/README.md and figures in held-out.md', () => {
  const [list, figures] = ['README.md', 'held-out.md'].map((name) =>
    readFileSync(`${PROJECT}checkpoints/${name}`, 'utf8'),
  );
  for (const name of ['a', 'b', 'image-text', 'sonar', 'student']) {
    expect(list).toContain(`\`hpsv3-mini-${name}\``);
    expect(figures).toContain(`| hpsv3-mini-${name} | **all** |`);
  }
});
