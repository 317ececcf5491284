import { join } from 'node:path';
import { bindShapes } from '../../autodiff/bind.js';
import { withOutputs } from '../../autodiff/emitter.js';
import { gradients } from '../../autodiff/gradients.js';
import type { BoundGraph } from '../../autodiff/types.js';
import { HpsError } from '../../errors.js';
import { borrowWeights, weightFileOf } from '../../onnx/borrow.js';
import type { OnnxModel } from '../../onnx/model.js';
import { removeDeadCode } from '../../onnx/passes/dead-code.js';
import { withTemporaryModel } from '../../onnx/temporary-model.js';
import { candidates, type Device, formatDevice } from '../../runtime/device.js';
import { type LocalSession, openSession } from '../../runtime/ort.js';
import type { SessionOptions } from '../../runtime/session.js';
import { float32Value, type TensorValue } from '../../runtime/value.js';
import { numel } from '../../tensor/shape.js';
import type { EngineOptions, GradientSession, LossModel, TrainingEngine } from './engine.js';
import { webgpuForms } from './webgpu-forms.js';

/** A loss model whose types are known already, which saves a run of it. */
export type BoundLossModel = LossModel & { readonly bound?: BoundGraph };

/** The default engine: the gradient is a graph too, and onnxruntime runs both as one. */
export const onnxruntimeEngine: TrainingEngine = {
  id: 'onnxruntime',
  open: (model: BoundLossModel, options) => openGradientSession(model, options),
};

/** A loss model with its gradients, of which nothing but what is asked for is an output. */
export interface Differentiated {
  readonly graph: BoundGraph;
  /** Outputs of the loss model. */
  readonly outputs: readonly string[];
  /** Names of the gradients, by parameter. */
  readonly gradients: ReadonlyMap<string, string>;
}

export async function differentiate(model: BoundLossModel): Promise<Differentiated> {
  const bound = model.bound ?? (await bindShapes(model.model, zeroFeeds(model.model)));
  const outputs = model.model.graph.output.map(({ name }) => name);
  const graph = gradients(bound, { loss: model.loss, wrt: model.parameters });
  return { graph, outputs, gradients: graph.gradients };
}

async function openGradientSession(model: BoundLossModel, options: EngineOptions): Promise<GradientSession> {
  const { graph: differentiated, outputs, gradients: names } = await differentiate(model);
  const { model: graph, types } = withOutputs(differentiated, [...outputs, ...names.values()]);
  const { session, device } = await openOnDevice(graph, options);
  const targets = new Map<string, TensorValue>();
  for (const name of [...outputs, ...names.values()]) {
    const { shape } = types.get(name)!;
    targets.set(name, float32Value(shape, new Float32Array(numel(shape))));
  }
  const step = {
    outputs: new Map(outputs.map((name) => [name, targets.get(name)!])),
    gradients: new Map(Array.from(names, ([wrt, name]) => [wrt, targets.get(name)!.data as Float32Array])),
  };
  return {
    device: formatDevice(device),
    inputs: session.inputs.map(({ name }) => name),
    async run(feeds) {
      await session.runInto(feeds, targets);
      return step;
    },
    release: () => session.release(),
  };
}

/**
 * A session on the device asked for, or under `auto` on the first that works. The model is held in memory alone.
 * @param resident - outputs that stay on the device
 */
export async function openOnDevice(
  model: OnnxModel,
  { device: choice, threads, mapWeights = false, packWeights = true }: EngineOptions,
  resident?: readonly string[],
): Promise<{ session: LocalSession; device: Device }> {
  const needed = removeDeadCode(model);
  const devices = candidates(choice);
  for (const [i, device] of devices.entries()) {
    try {
      const fitting = device.kind === 'webgpu' ? await webgpuForms(needed) : needed;
      const session = await openModel(
        fitting,
        { device, threads, resident, ...(packWeights ? {} : UNPACKED) },
        mapWeights,
      );
      return { session, device };
    } catch (error) {
      if (!(error instanceof HpsError) || error.code !== 'BACKEND_UNAVAILABLE' || i === devices.length - 1) throw error;
    }
  }
  throw new RangeError('no device to try');
}

const UNPACKED = { config: { 'session.disable_prepacking': '1' } } as const;

/** Largest graph that is handed over with its weights outside. */
const STRUCTURE_BYTES = 64 * 2 ** 20;

async function openModel(model: OnnxModel, options: SessionOptions, mapWeights: boolean): Promise<LocalSession> {
  const file = mapWeights ? weightFileOf(model) : null;
  const borrowed = file && (await borrowWeights(model, file, STRUCTURE_BYTES));
  if (!borrowed) return withTemporaryModel(model, (path) => openSession(path, options));
  return openSession(join(borrowed.folder, 'model.onnx'), { ...options, bytes: borrowed.bytes });
}

/** Zeros for every input; shapes must be concrete. */
function zeroFeeds({ graph }: OnnxModel): Map<string, TensorValue> {
  return new Map(
    graph.input.map(({ name, type }) => {
      const shape = (type?.tensorType?.shape?.dim ?? []).map(({ dimValue = 0 }) => dimValue);
      const int64 = type?.tensorType?.elemType === 7;
      const value: TensorValue = int64
        ? { dtype: 'I64', shape, data: new BigInt64Array(numel(shape)) }
        : float32Value(shape, new Float32Array(numel(shape)));
      return [name, value];
    }),
  );
}
