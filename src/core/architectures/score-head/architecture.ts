import type { Architecture } from '../architecture.js';
import { linearChain } from './chain.js';

/** A stack of linear layers over an embedding, as LAION's and ImageReward's scorers publish them. */
export const scoreHead: Architecture = {
  id: 'score-head',
  label: 'linear or MLP score head over an embedding',
  configKeys: ['activation', 'encoder', 'normalize'],
  recognise: (tensors) => linearChain(tensors) !== null,
  load: async () => (await import('./exporter.js')).scoreHeadExporter,
};
