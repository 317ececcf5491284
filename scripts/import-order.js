/** The floors of src/core: a folder imports only from those before it. */
export const ORDER = [
  'errors.ts',
  'limits.ts',
  'version.ts',
  'bytes',
  'documents',
  'tensor',
  'checkpoint',
  'onnx',
  'architectures',
  'runtime',
  'media',
  'data',
  'synthesis',
  'samples',
  'stats',
  'gate',
  'release',
  'calibration',
  'evaluation',
  'ensemble',
  'quantization',
  'autodiff',
  'training',
  'scoring',
  'profiling',
  'card',
  'lifecycle',
  'cli',
];

/** The verbs that a verb may import: those it is made of. */
export const VERBS_OF = {
  card: ['evaluate'],
  demo: ['calibrate', 'card', 'ensemble', 'evaluate', 'export', 'init', 'quantize', 'score', 'verify'],
  report: ['card'],
  train: ['export'],
};
