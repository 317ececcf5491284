import type { Architecture } from '../architecture.js';
import { CONFIG_KEYS } from './dimensions.js';

/** The project's own family: ResNet, BERT, log-mel ConvNet and 3-D conv encoders, gated fusion, preference head. */
export const hpsv3: Architecture = {
  id: 'hpsv3',
  label: 'HPSv3 multimodal preference model (visual/text/audio/video encoders, fusion, head)',
  configKeys: CONFIG_KEYS,
  recognise: (tensors) => tensors.has('head.abs1.weight') && tensors.has('head.pair1.weight'),
  load: async () => (await import('./exporter.js')).hpsv3Exporter,
};
