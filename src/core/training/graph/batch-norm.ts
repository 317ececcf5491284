import { DATA_TYPE, intAttribute, type NodeProto, type OnnxModel, type TensorProto } from '../../onnx/model.js';
import type { TensorValue } from '../../runtime/value.js';
import { bytesOf } from '../../tensor/values.js';
import { openOnDevice } from '../engines/onnxruntime.js';
import type { ForwardModel } from './forward.js';

/**
 * Statistics of the inputs of all batch norms on one batch, each norm using its own as it would in training: one run gives
 * what running_mean and running_var of a new model should be, so that its layers start normalised.
 * @returns by checkpoint name, float32 [channels]
 */
export async function observeBatchNorms(
  { item, parameters }: ForwardModel,
  feeds: ReadonlyMap<string, TensorValue>,
  threads: number | undefined,
): Promise<Map<string, Float32Array>> {
  const { model, statistics } = withBatchStatistics(item);
  if (statistics.size === 0) return new Map();
  const { session } = await openOnDevice(model, { device: { kind: 'cpu' }, threads });
  try {
    const outputs = await session.run(feeds);
    return new Map(
      Array.from(statistics, ([output, initializer]) => [
        parameters.get(initializer)!.key,
        outputs.get(output)!.data as Float32Array,
      ]),
    );
  } finally {
    await session.release();
  }
}

/** The graph with batch norms over their own batch; `statistics` tells which initializer each output is for. */
function withBatchStatistics(item: OnnxModel): { model: OnnxModel; statistics: Map<string, string> } {
  const statistics = new Map<string, string>();
  const initializers: TensorProto[] = [];
  const rankOf = kernelRanks(item);
  const node = item.graph.node.flatMap((each): NodeProto[] => {
    if (each.opType !== 'BatchNormalization') return [each];
    const [x, scale, bias, mean, variance] = each.input;
    const spatial = rankOf.get(x) ?? 0;
    const axes = [0, ...Array.from({ length: spatial }, (_, i) => i + 2)];
    const prefix = `observe/${each.name}`;
    const kept = `${prefix}/axes`;
    initializers.push({
      name: kept,
      dims: [axes.length],
      dataType: DATA_TYPE.INT64,
      rawData: bytesOf(BigInt64Array.from(axes, BigInt)),
    });
    const reduce = (input: string, output: string, keepDims: number): NodeProto => ({
      name: output,
      opType: 'ReduceMean',
      input: [input, kept],
      output: [output],
      attribute: [intAttribute('keepdims', keepDims)],
    });
    statistics.set(`${prefix}/mean`, mean);
    statistics.set(`${prefix}/var`, variance);
    const plain = (opType: string, input: string[], output: string): NodeProto => ({
      name: output,
      opType,
      input,
      output: [output],
      attribute: [],
    });
    return [
      reduce(x, `${prefix}/mean`, 0),
      reduce(x, `${prefix}/centre`, 1),
      plain('Sub', [x, `${prefix}/centre`], `${prefix}/centred`),
      plain('Mul', [`${prefix}/centred`, `${prefix}/centred`], `${prefix}/squared`),
      reduce(`${prefix}/squared`, `${prefix}/var`, 0),
      { ...each, input: [x, scale, bias, `${prefix}/mean`, `${prefix}/var`] },
    ];
  });
  const output = [...statistics.keys()].map((name) => ({
    name,
    type: { tensorType: { elemType: DATA_TYPE.FLOAT } },
  }));
  return {
    model: {
      ...item,
      metadataProps: [],
      graph: { ...item.graph, node, initializer: [...item.graph.initializer, ...initializers], output, valueInfo: [] },
    },
    statistics,
  };
}

/** Number of spatial axes of each convolution's output, from its kernel. */
function kernelRanks({ graph }: OnnxModel): Map<string, number> {
  const dims = new Map(graph.initializer.map(({ name = '', dims }) => [name, dims]));
  return new Map(
    graph.node
      .filter(({ opType }) => opType === 'Conv')
      .map(({ input, output }) => [output[0], (dims.get(input[1])?.length ?? 2) - 2]),
  );
}
