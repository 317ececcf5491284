import type { ContractInput } from '../../../src/core/onnx/manifest.js';

const SIZE = 16;

/** Four small frames, as they are. */
export const FRAMES: ContractInput = {
  name: 'frames',
  dtype: 'F32',
  shape: ['batch', 3, 4, SIZE, SIZE],
  preprocess: {
    kind: 'video',
    frames: 4,
    sampling: 'even',
    size: SIZE,
    color: 'RGB',
    resize: { exact: [SIZE, SIZE], kernel: 'bilinear', antialias: true },
    crop: null,
    scale: 1,
    mean: [0, 0, 0],
    std: [1, 1, 1],
    layout: 'NCFHW',
  },
};
