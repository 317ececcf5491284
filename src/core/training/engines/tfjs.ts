import type { Tensor } from '@tensorflow/tfjs';
import { HpsError } from '../../errors.js';
import type { TensorValue } from '../../runtime/value.js';
import { formatShape } from '../../tensor/shape.js';
import type { GradientSession, GradientStep, LossModel, TrainingEngine } from './engine.js';
import { loadTf } from './tfjs/backend.js';
import { loadGraph, type TfGraph } from './tfjs/graph.js';
import type { Tf } from './tfjs/operator.js';
import { fromTensor, toTensor } from './tfjs/values.js';

/**
 * The forward pass by operators of TensorFlow.js, differentiated by TensorFlow.js itself: nothing of ours is in its gradients,
 * which makes it a check of those that we derive. Floats are float32 whatever the model says.
 */
export const tfjsEngine: TrainingEngine = {
  id: 'tfjs',
  async open(lossModel, { device }) {
    const { tf, name } = await loadTf(device);
    const graph = await loadGraph(tf, lossModel.model);
    return openGradients(tf, graph, lossModel, name);
  },
};

function openGradients(tf: Tf, graph: TfGraph, lossModel: LossModel, device: string): GradientSession {
  const shapes = inputShapes(lossModel);
  return {
    device,
    inputs: [...shapes.keys()],
    async run(feeds) {
      checkFeeds(feeds, shapes);
      const computed = differentiate(tf, graph, lossModel, feeds);
      try {
        return await readStep(computed);
      } finally {
        tf.dispose([...computed.outputs.values(), ...computed.gradients.values()]);
      }
    },
    release: async () => graph.dispose(),
  };
}

type Computed = Record<'outputs' | 'gradients', Map<string, Tensor>>;

/** One pass forward and back; the caller disposes of what it returns, all else is gone. */
function differentiate(
  tf: Tf,
  graph: TfGraph,
  { loss, parameters }: LossModel,
  feeds: ReadonlyMap<string, TensorValue>,
): Computed {
  const outputs = new Map<string, Tensor>();
  const gradients = new Map<string, Tensor>();
  try {
    tf.tidy(() => {
      const values = new Map([...feeds].map(([name, value]) => [name, toTensor(tf, value)]));
      const forward = (): Tensor => {
        const results = graph.evaluate(values);
        // Kept one by one: the scope of the forward pass hands out the loss alone.
        for (const [name, tensor] of results) outputs.set(name, tf.keep(tf.clone(tensor)));
        return results.get(loss)!;
      };
      const wanted = parameters.map((name) => values.get(name)!);
      // tf.valueAndGrads throws where one of several parameters has no way to the loss; its gradient is 0.
      const { grads } = tf.engine().gradients(forward, wanted, undefined, true);
      for (const [i, name] of parameters.entries()) gradients.set(name, tf.keep(grads[i] ?? tf.zerosLike(wanted[i])));
    });
    return { outputs, gradients };
  } catch (error) {
    tf.dispose([...outputs.values(), ...gradients.values()]);
    disposeTape(tf);
    throw runError(error);
  }
}

/** A pass that fails leaves what its operators saved for the way back. */
function disposeTape(tf: Tf): void {
  const { state } = tf.engine();
  for (const { saved } of state.activeTape ?? []) tf.dispose(saved);
  state.activeTape = [];
}

async function readStep({ outputs, gradients }: Computed): Promise<GradientStep> {
  const step = { outputs: new Map<string, TensorValue>(), gradients: new Map<string, Float32Array>() };
  for (const [name, tensor] of outputs) step.outputs.set(name, await fromTensor(tensor));
  for (const [name, tensor] of gradients) step.gradients.set(name, (await fromTensor(tensor)).data as Float32Array);
  return step;
}

/** Sizes that the model states for its inputs. */
function inputShapes({ model: { graph } }: LossModel): Map<string, (number | undefined)[] | undefined> {
  const constants = new Set(graph.initializer.map(({ name }) => name));
  return new Map(
    graph.input
      .filter(({ name }) => !constants.has(name))
      .map(({ name, type }) => [name, type?.tensorType?.shape?.dim.map(({ dimValue }) => dimValue)]),
  );
}

function checkFeeds(
  feeds: ReadonlyMap<string, TensorValue>,
  shapes: ReadonlyMap<string, (number | undefined)[] | undefined>,
): void {
  for (const [name, shape] of shapes) {
    const actual = feeds.get(name)?.shape;
    const fits =
      actual &&
      (!shape ||
        (shape.length === actual.length && shape.every((size, i) => size === undefined || size === actual[i])));
    if (fits) continue;
    const expected = shape ? formatShape(shape.map((size) => size ?? '?')) : 'a value';
    throw new HpsError(
      'INPUTS_INVALID',
      `input ${name}: expected ${expected}, got ${actual ? formatShape(actual) : 'none'}`,
      {
        hint: 'Give every input of the model in its own shape.',
        details: { input: name, expected: shape ?? null, actual: actual ?? null },
      },
    );
  }
}

/** How the backends say that memory is out: V8, Dawn, and TensorFlow's allocator. */
const OUT_OF_MEMORY =
  /allocation failed|out of memory|OOM when allocating|invalid (?:typed )?array (?:buffer )?length/i;
const NO_GRADIENT = /gradient function not found for (\w+)/;

function runError(error: unknown): unknown {
  if (error instanceof HpsError || !(error instanceof Error)) return error;
  const kernel = NO_GRADIENT.exec(error.message)?.[1];
  if (kernel) {
    return new HpsError('ONNX_UNSUPPORTED', `TensorFlow.js has no gradient of ${kernel}`, {
      hint: 'Use `engine` onnxruntime for this model.',
      details: { kernel },
      cause: error,
    });
  }
  if (!OUT_OF_MEMORY.test(error.message)) return error;
  return new HpsError('MODEL_OUT_OF_MEMORY', 'TensorFlow.js has no memory left for a step', {
    hint: 'Use smaller batches.',
    cause: error,
  });
}
