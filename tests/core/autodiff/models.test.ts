import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { bindShapes } from '../../../src/core/autodiff/bind.js';
import { Emitter, withOutputs } from '../../../src/core/autodiff/emitter.js';
import { gradients } from '../../../src/core/autodiff/gradients.js';
import { type Manifest, type Modality, manifestOf } from '../../../src/core/onnx/manifest.js';
import { openOnnx } from '../../../src/core/onnx/read.js';
import {
  castValue,
  isFloatValue,
  type TensorValue,
  type ValueDtype,
  valueFromBytes,
} from '../../../src/core/runtime/value.js';
import { readTensor, tensorFromBytes } from '../../../src/core/tensor/tensor.js';
import { transposeMatrix } from '../../../src/core/tensor/transform.js';
import { asFloat32, bytesOf } from '../../../src/core/tensor/values.js';
import { floats, runModel } from '../../helpers/graphs.js';
import { readTensors } from '../../helpers/models.js';
import { exportFile, PICO } from '../../helpers/pico.js';
import { hasShared, SHARED } from '../../helpers/shared.js';
import { tempFolder } from '../../helpers/temp.js';
import { outputWeights, sequence } from './cases.js';

/** Norm of a gradient and its products with two sequences. */
type Summary = readonly number[];

interface ModelGolden {
  readonly loss: number;
  readonly parameters: Readonly<Record<string, Summary>>;
  readonly inputs: Readonly<Record<string, Summary>>;
}

/** A checkpoint, the inputs of its golden runs, and the gradients there (tests/golden/autodiff/make_models.py). */
interface Source {
  readonly checkpoint: string;
  readonly inputs: string;
  readonly gradients: Readonly<Record<string, ModelGolden>>;
  /** Before the names of the inputs in their file; by modality and mode where omitted. */
  readonly prefix?: string;
  /** The outputs in the loss; all where omitted. */
  readonly outputs?: readonly string[];
}

const goldenOf = (name: string): Source['gradients'] =>
  JSON.parse(readFileSync(new URL(`../../golden/autodiff/${name}.json`, import.meta.url), 'utf8'));

const NANO_FOLDER = join(SHARED, 'fixtures/hpsv3-nano');
const PICO_SOURCE: Source = { checkpoint: PICO.checkpoint, inputs: PICO.golden, gradients: goldenOf('models') };
const NANO_SOURCE: Source = {
  checkpoint: join(NANO_FOLDER, 'checkpoint.safetensors'),
  inputs: join(NANO_FOLDER, 'golden.safetensors'),
  gradients: goldenOf('nano'),
};

const DECODERS = goldenOf('decoders');
const ENCODERS = goldenOf('encoders');

function summary(gradient: Float32Array): number[] {
  const along = (seed: number): number => {
    const direction = sequence(gradient.length, seed);
    return gradient.reduce((sum, value, i) => sum + value * direction[i], 0);
  };
  return [Math.hypot(...gradient), along(1), along(2)];
}

/** Inputs of a golden run, floats widened to float32. */
async function goldenInputs(path: string, prefix: string): Promise<Map<string, TensorValue>> {
  const inputs = new Map<string, TensorValue>();
  for (const [name, tensor] of await readTensors(path)) {
    if (!name.startsWith(prefix)) continue;
    const value = valueFromBytes(tensor.dtype as ValueDtype, tensor.shape, await readTensor(tensor));
    inputs.set(name.slice(prefix.length), isFloatValue(value) ? castValue(value, 'F32') : value);
  }
  return inputs;
}

/** A gradient of an initializer in the layout of the checkpoint. */
async function asInCheckpoint(
  values: Float32Array,
  shape: readonly number[],
  transform: string,
): Promise<Float32Array> {
  if (transform !== 'transpose') return values;
  return asFloat32(
    await readTensor(transposeMatrix(tensorFromBytes({ name: '', dtype: 'F32', shape }, bytesOf(values)))),
  );
}

/** Runs a model of a modality with its gradients: the loss, and the summary of each gradient by checkpoint key or input. */
async function differentiate(
  source: Source,
  name: string,
  { modality, mode, opset }: { modality: Modality; mode: 'item' | 'pair'; opset: number },
) {
  const folder = tempFolder();
  const path = join(folder, 'exported.onnx');
  await exportFile(path, { checkpoint: source.checkpoint, modality, mode, opset });
  const file = openOnnx(path);
  try {
    const manifest = manifestOf(file.model, path) as Manifest;
    const feeds = await goldenInputs(
      source.inputs,
      source.prefix ?? (mode === 'item' ? `${modality}/in/` : `${modality}/pair/in/`),
    );
    const bound = await bindShapes(file.model, feeds);
    const graph = new Emitter(bound, 'loss/');
    const outputs = source.outputs ?? file.model.graph.output.map(({ name }) => name).toSorted();
    const parts = outputs.map((name, index) => {
      const { shape } = graph.operand(name);
      const weighted = graph.mul(graph.operand(name), graph.floats('F32', shape, outputWeights(shape, index)));
      return graph.reduce('ReduceSum', weighted, [...shape.keys()], false);
    });
    const loss = graph.sum(parts).name;
    const trained = source.gradients[name].parameters; // without running statistics and spectra
    const parameters = Object.entries(manifest.parameters ?? {}).filter(([, { key }]) => key in trained);
    const inputs = [...feeds].filter(([, value]) => isFloatValue(value)).map(([name]) => name);
    const result = gradients(graph.finish(), { loss, wrt: [...parameters.map(([name]) => name), ...inputs] });
    const { model } = withOutputs(result, [loss, ...new Set(result.gradients.values())]);
    const values = await runModel(model, folder, feeds);
    const found = {
      loss: floats(values, loss)[0],
      parameters: new Map<string, number[]>(),
      inputs: new Map<string, number[]>(),
    };
    for (const [name, { key, transform }] of parameters) {
      const gradient = result.gradients.get(name);
      if (gradient === undefined) continue;
      const inPlace = await asInCheckpoint(floats(values, gradient), result.types.get(gradient)!.shape, transform);
      found.parameters.set(key, summary(inPlace));
    }
    for (const name of inputs) found.inputs.set(name, summary(floats(values, result.gradients.get(name)!)));
    return found;
  } finally {
    file.close();
  }
}

/** Norms under this count as this: the gradient of a key's bias vanishes, since a softmax does not see it. */
const LEAST_NORM = 1e-2;

/** Largest difference of a summary from PyTorch's, relative to the norm of the gradient. */
const relativeError = (actual: Summary | undefined, [norm, ...along]: Summary): number =>
  Math.max(...[norm, ...along].map((expected, i) => Math.abs((actual?.[i] ?? Number.NaN) - expected))) /
  Math.max(norm, LEAST_NORM);

/** @param name - of the golden gradients: MODALITY/MODE, or a fixture of texts */
async function checkGradients(source: Source, name: string): Promise<void> {
  const [modality, mode] = (name.includes('/') ? name.split('/') : ['text', 'item']) as [Modality, 'item' | 'pair'];
  const golden = source.gradients[name];
  // The forms of both ends: norms and GELU as operators, and taken apart.
  const found = await differentiate(source, name, { modality, mode, opset: mode === 'item' ? 20 : 14 });
  expect(found.loss).toBeCloseTo(golden.loss, 4);
  for (const [key, expected] of Object.entries(golden.parameters)) {
    expect(relativeError(found.parameters.get(key), expected), key).toBeLessThan(1e-4);
  }
  for (const [key, expected] of Object.entries(golden.inputs)) {
    expect(relativeError(found.inputs.get(key), expected), key).toBeLessThan(1e-4);
  }
}

describe('the gradients of a whole model', () => {
  it.each(Object.keys(PICO_SOURCE.gradients))('are those of PyTorch to 1e-4: pico, %s', (name) =>
    checkGradients(PICO_SOURCE, name),
  );

  it.skipIf(!hasShared).each(Object.keys(NANO_SOURCE.gradients))(
    'are those of PyTorch to 1e-4: nano, %s (skipped where the nano fixture is absent)',
    (name) => checkGradients(NANO_SOURCE, name),
  );

  it.each(Object.keys(DECODERS))('are those of PyTorch to 1e-4: %s with a score head', (name) => {
    const folder = fileURLToPath(new URL(`../../golden/decoders/${name}/`, import.meta.url));
    const source = { checkpoint: folder, inputs: join(folder, 'golden.safetensors'), prefix: 'item/in/' };
    return checkGradients({ ...source, gradients: DECODERS }, name);
  });

  it.each(Object.keys(ENCODERS))('are those of PyTorch to 1e-4: %s with a classifier', (name) => {
    const folder = fileURLToPath(new URL(`../../golden/encoders/${name}/`, import.meta.url));
    const source = { checkpoint: folder, inputs: join(folder, 'golden.safetensors'), prefix: 'item/in/' };
    return checkGradients({ ...source, outputs: ['utility_logit'], gradients: ENCODERS }, name);
  });
});
