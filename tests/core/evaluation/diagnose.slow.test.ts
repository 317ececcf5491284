import { describe, expect, it } from 'vitest';
import {
  type BiasedPairs,
  diagnoseFiles,
  writeBiasedPairs,
  writeBiasedPictures,
  writeSizedPictures,
} from '../../helpers/biases.js';
import { sharedFolder, tempFolder } from '../../helpers/temp.js';

const pictures = sharedFolder();

const REPETITIONS = 200;

async function diagnosed(options: BiasedPairs) {
  return diagnoseFiles(writeBiasedPairs(tempFolder(), options));
}

describe('a diagnosis, repeated', () => {
  it('claims nothing of 95 % of scores that only follow people', async () => {
    let clear = 0;
    for (let i = 0; i < REPETITIONS; i++) {
      const { biases } = await diagnosed({ prompts: 100, seed: `control ${i}` });
      if (biases.every(({ claim }) => claim === null)) clear++;
    }
    expect(clear).toBeGreaterThanOrEqual(0.95 * REPETITIONS);
  });

  it.each([
    ['length', { length: 0.3 }, 0.3],
    ['position', { side: 0.4 }, 0.4],
  ] as const)('has the planted size of %s within its interval, mostly', async (id, planted, size) => {
    let [within, found] = [0, 0];
    for (let i = 0; i < REPETITIONS; i++) {
      const { biases } = await diagnosed({ prompts: 200, seed: `${id} ${i}`, ...planted });
      const { bias, claim } = biases.find((one) => one.id === id)!;
      if (bias.ci![0] <= size && size <= bias.ci![1]) within++;
      if (claim !== null) found++;
    }
    expect(within).toBeGreaterThanOrEqual(0.9 * REPETITIONS);
    expect(found).toBeGreaterThanOrEqual(0.9 * REPETITIONS);
  });

  it('has the planted size of resolution within its interval, mostly, and claims nothing of pictures without it', async () => {
    const pixels = await writeSizedPictures(pictures, 60);
    let [within, found, clear] = [0, 0, 0];
    for (let i = 0; i < REPETITIONS; i++) {
      const planted = { prompts: 200, seed: `resolution ${i}`, resolution: 0.3 };
      const { biases } = await diagnoseFiles(writeBiasedPictures(pictures, pixels, planted));
      const { bias, claim } = biases.find(({ id }) => id === 'resolution')!;
      if (bias.ci![0] <= 0.3 && 0.3 <= bias.ci![1]) within++;
      if (claim !== null) found++;
      const control = writeBiasedPictures(pictures, pixels, { prompts: 100, seed: `no resolution ${i}` });
      if ((await diagnoseFiles(control)).biases.every((one) => one.claim === null)) clear++;
    }
    expect(within).toBeGreaterThanOrEqual(0.9 * REPETITIONS);
    expect(found).toBeGreaterThanOrEqual(0.9 * REPETITIONS);
    expect(clear).toBeGreaterThanOrEqual(0.95 * REPETITIONS);
  });
});
