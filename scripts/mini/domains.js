// Domains for which there are few labels, and none that hpsv3-mini has seen: `draw` makes the sources, `hpsv3 synth` damages them.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Random } from '../../dist/core/bytes/random.js';
import { encodePng } from '../../dist/core/media/encode-image.js';
import { drawScene } from '../../dist/core/synthesis/image/scenes.js';

const SIZE = 96;

/**
 * A picture as radar and sonar give it: grey, each pixel's brightness multiplied by an exponential variable, the mean of four looks. The
 * grain belongs to it: where it is missing, the picture was blurred or compressed. hpsv3-mini takes it for noise.
 */
function sonar(random) {
  const { width, height, data } = drawScene(random, SIZE);
  const grey = new Uint8Array(data.length);
  for (let at = 0; at < data.length; at += 3) {
    const light = 0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2];
    let looks = 0;
    for (let look = 0; look < 4; look++) looks -= Math.log(1 - random.uniform()) / 4;
    grey.fill(Math.min(255, Math.round(0.6 * light * looks)), at, at + 3);
  }
  return { width, height, data: grey };
}

export const DOMAINS = {
  sonar: {
    words: 'grey pictures with the grain of radar and sonar',
    modality: 'image',
    perturbations: ['blur', 'jpeg', 'downscale', 'style'],
    sizes: ['--image-size', String(SIZE)],
    draw: sonar,
  },
};

/** Writes so many sources as PNG. The same seed gives the same bytes. */
export async function drawSources({ draw }, folder, count, seed) {
  mkdirSync(folder, { recursive: true });
  for (let i = 0; i < count; i++) {
    const name = `${seed}-${String(i).padStart(4, '0')}`;
    writeFileSync(join(folder, `${name}.png`), await encodePng(draw(new Random(`domain:${name}`))));
  }
}
