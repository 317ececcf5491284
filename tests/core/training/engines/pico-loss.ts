import { fileURLToPath } from 'node:url';
import { hpsv3Exporter } from '../../../../src/core/architectures/hpsv3/exporter.js';
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
    const request = { mode, config: null, configOrigin: null, dtype: 'F32', activation: undefined } as const;
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

async function withParametersAsInputs(
  model: OnnxModel,
  used: ReadonlyMap<string, unknown>,
  data: ReadonlyMap<string, TensorValue>,
): Promise<LossCase> {
  const { graph } = model;
  const isParameter = ({ name = '' }: TensorProto): boolean => used.has(name);
  const trained = graph.initializer.filter(isParameter);
  const feeds = new Map(data);
  for (const tensor of trained) {
    feeds.set(tensor.name!, float32Value(tensor.dims, asFloat32(await readTensor(tensorOf(tensor)))));
  }
  const inputs = trained.map(({ name = '', dims }) => ({
    name,
    type: { tensorType: { elemType: 1, shape: { dim: dims.map((dimValue) => ({ dimValue })) } } },
  }));
  return {
    model: {
      ...model,
      graph: {
        ...graph,
        initializer: graph.initializer.filter((tensor) => !isParameter(tensor)),
        input: [...graph.input, ...inputs],
      },
    },
    loss: 'loss',
    parameters: trained.map(({ name = '' }) => name),
    feeds,
  };
}
