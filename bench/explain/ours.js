// ours.js MODEL.onnx NODES: integrated gradients of one picture with so many nodes, on two threads; prints {"seconds"}, in which
// the graph of gradients is made and loaded, and the "sum" of all attributions.
import { Explainer } from '../../dist/core/explanation/explainer.js';
import { integratedGradients } from '../../dist/core/explanation/methods/integrated-gradients.js';
import { DEFAULT_SETTINGS } from '../../dist/core/explanation/methods/method.js';
import { float32Value } from '../../dist/core/runtime/value.js';

const [model, given] = process.argv.slice(2);
const nodes = Number(given);
const preprocess = {
  ...{ kind: 'image', color: 'RGB', resize: { exact: [224, 224], kernel: 'bilinear', antialias: true }, crop: null },
  ...{ scale: 1 / 255, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5], layout: 'NCHW' },
};
const input = { name: 'pixel_values', dtype: 'F32', shape: ['batch', 3, 224, 224], preprocess };
const contract = { name: 'contract', value: { modality: 'image', inputs: [input], score: { output: 'score' } } };
const size = 3 * 224 * 224;
const x = Float32Array.from({ length: size }, (_, i) => (2 * i) / (size - 1) - 1);
const explainer = await Explainer.open(model, { contract });
const inputs = new Map([['pixel_values', float32Value([1, 3, 224, 224], x)]]);
const started = performance.now();
const settings = { ...DEFAULT_SETTINGS, nodes, mostNodes: nodes, threads: 2 };
const given64 = await explainer.gradientCase([{ side: 'item', inputs, tokens: null, truncated: false }], settings, {});
const { completeness, attributions } = await integratedGradients(given64);
const seconds = (performance.now() - started) / 1000;
const largest = attributions[0].values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
process.stdout.write(`${JSON.stringify({ seconds, sum: completeness.sum, largest })}\n`);
await explainer.close();
