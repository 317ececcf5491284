import type { Preprocess } from './manifest.js';

/** Whether an input holds patches of pictures or clips: its rows are those of all items, one after the other. */
export const holdsPatches = (preprocess: Preprocess): preprocess is Extract<Preprocess, { kind: 'image' | 'video' }> =>
  (preprocess.kind === 'image' || preprocess.kind === 'video') && preprocess.layout === 'patches';
