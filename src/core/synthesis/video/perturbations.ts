import type { Random } from '../../bytes/random.js';
import type { Pixels } from '../../media/image/pixels.js';
import { gaussianBlur } from '../image/filters.js';
import type { Perturbation } from '../perturbation.js';
import { type Footage, window } from './footage.js';

/** Values for strengths 1 … 5; index 0 is the clean clip. Lengths are in pixels of frames of 128 by 128. */
const DROPPED_SHARE = [0, 0.15, 0.3, 0.5, 0.7, 0.9];
const BLUR_SIGMA = [0, 0.6, 1, 1.6, 2.4, 3.6];
const JITTER_PIXELS = [0, 1.5, 3, 5, 8, 13];

/** As for pictures. */
const scaleOf = ({ width, height }: Pixels): number => Math.sqrt(Math.min(width, height) / 128);

export const VIDEO_PERTURBATIONS: readonly Perturbation<Footage>[] = [
  { id: 'frame-drop', weight: 1, apply: dropFrames },
  {
    id: 'blur',
    weight: 1,
    apply: (clean, strength) => clean.map((frame) => gaussianBlur(frame, BLUR_SIGMA[strength] * scaleOf(frame))),
  },
  { id: 'jitter', weight: 1, apply: shake },
];

/** Frames are lost, and the one before stands still in their place; the first is never lost. */
function dropFrames(clean: Footage, strength: number, random: Random): Footage {
  const order = random.permutation(clean.length - 1).map((i) => i + 1);
  const dropped = new Set(order.slice(0, Math.max(strength, Math.round(DROPPED_SHARE[strength] * order.length))));
  let shown = 0;
  return clean.map((_, i) => {
    if (!dropped.has(i)) shown = i;
    return clean[shown];
  });
}

/** Each frame shifted by its own random step. */
function shake(clean: Footage, strength: number, random: Random): Footage {
  return clean.map((frame) => {
    const reach = JITTER_PIXELS[strength] * scaleOf(frame);
    const [left, top] = [reach * random.uniform(-1, 1), reach * random.uniform(-1, 1)];
    return window(frame, { left, top, width: frame.width, height: frame.height });
  });
}
