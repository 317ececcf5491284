// Training steps of our engine: node ours.js CHECKPOINT MODALITY PAIRS STEPS THREADS [DEVICE]. Prints {seconds, losses}: the median of a step, the loss of each.
import { chooseArchitecture } from '../../dist/core/architectures/registry.js';
import { Random } from '../../dist/core/bytes/random.js';
import { openCheckpoint } from '../../dist/core/checkpoint/open.js';
import { parseDevice } from '../../dist/core/runtime/device.js';
import { onnxruntimeEngine } from '../../dist/core/training/engines/onnxruntime.js';
import { buildForward } from '../../dist/core/training/graph/forward.js';
import { trainingConfigSchema } from '../../dist/core/training/run/config.js';
import { Trainer } from '../../dist/core/training/run/trainer.js';
import { Parameters } from '../../dist/core/training/update/parameters.js';
import { median } from '../measure.js';

const [path, modality] = process.argv.slice(2);
const [pairs, steps, threads] = process.argv.slice(4).map(Number);
const device = parseDevice(process.argv[7] ?? 'cpu');
const WARMUP = 2;
const TOKENS = 64;

const checkpoint = await openCheckpoint(path, {});
const exporter = await chooseArchitecture(checkpoint, 'hpsv3').load();
const forward = await buildForward(checkpoint, exporter, { modality, config: null, configOrigin: null });
const config = trainingConfigSchema.parse({
  batch_size: pairs,
  micro_batch_size: pairs,
  warmup_steps: 0,
  steps: 10_000,
  losses: { absolute: 0, quality: 0, fluency: 0, toxicity: 0 },
});
const parameters = await Parameters.read(checkpoint, [forward], {
  isTrained: () => true,
  decayVectors: false,
  average: false,
});

/** As many random items as a batch takes: what is in them does not change the time. */
function drawItem(random) {
  const packed = new Map();
  for (const { name, shape, preprocess } of forward.inputs) {
    if (preprocess.kind === 'text')
      packed.set(
        name,
        Uint32Array.from({ length: TOKENS }, () => random.integer(5, 500)),
      );
    if (preprocess.kind === 'image') {
      const size = shape.slice(1).reduce((a, b) => a * b, 1);
      packed.set(
        name,
        Uint8Array.from({ length: size }, () => random.integer(0, 256)),
      );
    }
  }
  return { packed, tokens: modality === 'text' ? TOKENS : 0, samples: 0 };
}
const random = new Random('bench/train');
const items = Array.from({ length: 2 * pairs }, () => drawItem(random));
const examples = Array.from({ length: pairs }, (_, i) => ({
  left: 2 * i,
  right: 2 * i + 1,
  votes: [1, 0, 0],
  cluster: `${i}`,
  stratum: '',
}));
const trainer = new Trainer({
  engine: onnxruntimeEngine,
  device,
  threads,
  config,
  seed: 0,
  forwards: new Map([[modality, forward]]),
  parameters,
  train: [{ modality, inputs: forward.inputs, items, pairs: examples, absolutes: [] }],
  validation: [],
  maskToken: null,
});
const times = [];
const losses = [];
for (let step = -WARMUP; step < steps; step++) {
  const started = performance.now();
  const [report] = await trainer.runSteps(1);
  losses.push(report.losses.get('loss'));
  if (step >= 0) times.push((performance.now() - started) / 1000);
}
console.log(JSON.stringify({ seconds: median(times), losses }));
process.exit(0);
