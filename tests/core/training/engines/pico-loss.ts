import { fileURLToPath } from 'node:url';
import { hpsv3Exporter } from '../../../../src/core/architectures/hpsv3/exporter.js';
import { tensorTypeProto } from '../../../../src/core/autodiff/types.js';
import { openCheckpoint } from '../../../../src/core/checkpoint/open.js';
import { readGolden } from '../../../../src/core/gate/golden.js';
import { GraphBuilder } from '../../../../src/core/onnx/builder.js';
import type { Modality } from '../../../../src/core/onnx/manifest.js';
import type { OnnxModel, TensorProto } from '../../../../src/core/onnx/model.js';
import { tensorOf } from '../../../../src/core/onnx/tensor-data.js';
import type { ValueInfo } from '../../../../src/core/runtime/session.js';
import { float32Value, type TensorValue } from '../../../../src/core/runtime/value.js';
import { readTensor } from '../../../../src/core/tensor/tensor.js';
import { asFloat32 } from '../../../../src/core/tensor/values.js';
import { type LossCase, type OutputWeights, withLoss } from './loss-case.js';

const GOLDEN = fileURLToPath(new URL('../../../golden/hpsv3/', import.meta.url));

/** Another weight for every output, so that none stands in for another. */
const weightOf = (index: number): OutputWeights => ({ shape: [], values: Float32Array.of(1 / (index + 1)) });

/** The pico model of a modality, every output of it in the loss and every parameter of the checkpoint an input. */
export async function picoLoss(
  modality: Modality | null,
  mode: 'item' | 'pair' | 'head',
  opset: number,
): Promise<LossCase> {
  const checkpoint = await openCheckpoint(`${GOLDEN}checkpoint.safetensors`);
  const golden = await openCheckpoint(`${GOLDEN}golden.safetensors`);
  try {
    const graph = new GraphBuilder(opset, checkpoint.tensors);
    const request = { mode, config: null, configOrigin: null, dtype: 'F32', options: {} } as const;
    const contract = hpsv3Exporter.buildGraph(checkpoint, graph, { ...request, modality: modality ?? undefined });
    const expected = await readGolden(golden.tensors, {
      file: 'golden.safetensors',
      manifest: { modality, mode } as Parameters<typeof readGolden>[1]['manifest'],
      inputs: contract.inputs as unknown as ValueInfo[],
      outputs: contract.outputs as unknown as ValueInfo[],
    });
    return await withParametersAsInputs(withLoss(graph.build('pico'), weightOf), graph.parametersUsed, expected.inputs);
  } finally {
    checkpoint.close();
    golden.close();
  }
}

/** Statistics of batch norms: gathered, not trained. */
const RUNNING = /\.running_(mean|var)$/;

async function withParametersAsInputs(
  model: OnnxModel,
  used: ReadonlyMap<string, unknown>,
  data: ReadonlyMap<string, TensorValue>,
): Promise<LossCase> {
  const { graph } = model;
  const feeds = new Map(data);
  const initializer: TensorProto[] = [];
  const parameters: string[] = [];
  for (const tensor of graph.initializer) {
    const name = tensor.name ?? '';
    const bytes = await readTensor(tensorOf(tensor)); // from a checkpoint that is closed when the model runs
    if (!used.has(name) || RUNNING.test(name)) {
      initializer.push({ ...tensor, rawData: bytes });
      continue;
    }
    parameters.push(name);
    feeds.set(name, float32Value(tensor.dims, asFloat32(bytes)));
  }
  return {
    model: {
      ...model,
      graph: {
        ...graph,
        initializer,
        input: [...feeds].map(([name, type]) => ({ name, type: tensorTypeProto(type) })),
      },
    },
    loss: 'loss',
    parameters,
    feeds,
  };
}
