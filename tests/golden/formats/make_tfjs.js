// The state dict of make.py as TensorFlow.js saves it: see there.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs';

const at = (name) => new URL(name, import.meta.url);
const expected = JSON.parse(readFileSync(at('expected.json'), 'utf8'));
const values = ({ dtype, hex }) => {
  const { buffer, byteOffset, byteLength } = Uint8Array.from(Buffer.from(hex, 'hex'));
  return new (dtype === 'F32' ? Float32Array : Int32Array)(buffer, byteOffset, byteLength / 4);
};
const named = Object.entries(expected).map(([name, each]) => ({
  name,
  tensor: tf.tensor(values(each), each.shape, each.dtype === 'F32' ? 'float32' : 'int32'),
}));
const { data, specs } = await tf.io.encodeWeights(named);
// As io.browserHTTPRequest and the file handler of tfjs-node lay it out.
const json = {
  format: 'layers-model',
  generatedBy: `TensorFlow.js tfjs-layers v${tf.version.tfjs}`,
  convertedBy: null,
  modelTopology: {},
  weightsManifest: [{ paths: ['weights.bin'], weights: specs }],
};
mkdirSync(at('tfjs'), { recursive: true });
writeFileSync(at('tfjs/model.json'), JSON.stringify(json));
writeFileSync(at('tfjs/weights.bin'), Buffer.from(data));
