import { numel } from '../../tensor/shape.js';
import { readFloat32 } from '../../tensor/transform.js';
import { bytesOf } from '../../tensor/values.js';
import { DATA_TYPE, floatOf, type GraphProto, type NodeProto, type OnnxModel, type TensorProto } from '../model.js';
import { tensorOf } from '../tensor-data.js';
import { mapWeight } from './map-weight.js';
import { countUses, isOp, producers } from './uses.js';

const BATCH_NORM_EPSILON = 1e-5; // ONNX's default

/**
 * Folds BatchNormalization (inference form) into the convolution before it: W' = W g / s, b' = (b - mean) g / s + beta with
 * s = sqrt(variance + epsilon), computed in float64 and rounded once. The weights still stream: they are scaled as they are read.
 * Only float32 convolutions whose result nothing else reads are folded.
 */
export async function foldBatchNorm(model: OnnxModel): Promise<OnnxModel> {
  const { graph } = model;
  const initializers = new Map(graph.initializer.map((tensor) => [tensor.name ?? '', tensor]));
  const made = producers(graph);
  const uses = countUses(graph);
  const replaced = new Map<NodeProto, NodeProto | null>();
  const folded = new Map<string, TensorProto>();
  const sharers = countSharers(graph, made, uses);

  for (const norm of graph.node) {
    if (!isOp(norm, 'BatchNormalization') || norm.output.length > 1) continue;
    const conv = made.get(norm.input[0]);
    if (!isOp(conv, 'Conv') || uses.get(conv.output[0]) !== 1) continue;
    const [weight, bias] = [
      initializers.get(conv.input[1]),
      conv.input[2] ? initializers.get(conv.input[2]) : undefined,
    ];
    const statistics = norm.input.slice(1).map((name) => initializers.get(name));
    const parts = [weight, ...statistics, ...(conv.input[2] ? [bias] : [])];
    if (!parts.every((part) => part?.dataType === DATA_TYPE.FLOAT) || !weight) continue;
    // A weight that several convolutions share can take their norm where it is the same: the two sides of a pair.
    if (sharers.get(normKey(conv, norm)) !== uses.get(conv.input[1])) continue;

    const [scale, beta, mean, variance] = await Promise.all(
      statistics.map((each) => readFloat32(tensorOf(each as TensorProto))),
    );
    const shift = bias ? await readFloat32(tensorOf(bias)) : new Float32Array(scale.length);
    const epsilon = floatOf(norm, 'epsilon', BATCH_NORM_EPSILON);
    const factor = Float64Array.from(scale, (g, c) => g / Math.sqrt(variance[c] + epsilon));
    const newBias = Float32Array.from(factor, (f, c) => (shift[c] - mean[c]) * f + beta[c]);

    const biasName = `${conv.input[1]}.folded_bias`;
    folded.set(conv.input[1], scaleRows(weight, factor));
    folded.set(biasName, {
      name: biasName,
      dims: [newBias.length],
      dataType: DATA_TYPE.FLOAT,
      rawData: bytesOf(newBias),
    });
    replaced.set(conv, { ...conv, input: [conv.input[0], conv.input[1], biasName], output: norm.output });
    replaced.set(norm, null);
  }

  if (replaced.size === 0) return model;
  const node = graph.node.flatMap((each) => {
    const other = replaced.get(each);
    return other === undefined ? [each] : other === null ? [] : [other];
  });
  const initializer = graph.initializer.map((tensor) => folded.get(tensor.name ?? '') ?? tensor);
  const added = [...folded].filter(([name]) => !initializers.has(name)).map(([, tensor]) => tensor);
  return { ...model, graph: { ...graph, node, initializer: [...initializer, ...added] } };
}

/** What decides the folded weight: the convolution's parameters and the norm's. */
const normKey = (conv: NodeProto, norm: NodeProto): string =>
  JSON.stringify([conv.input.slice(1), norm.input.slice(1), floatOf(norm, 'epsilon', BATCH_NORM_EPSILON)]);

/** How many convolutions that only a norm reads have the same parameters and the same norm. */
function countSharers(
  { node }: GraphProto,
  made: ReadonlyMap<string, NodeProto>,
  uses: ReadonlyMap<string, number>,
): Map<string, number> {
  const sharers = new Map<string, number>();
  for (const norm of node) {
    const conv = isOp(norm, 'BatchNormalization') ? made.get(norm.input[0]) : undefined;
    if (!isOp(conv, 'Conv') || uses.get(conv.output[0]) !== 1) continue;
    const key = normKey(conv, norm);
    sharers.set(key, (sharers.get(key) ?? 0) + 1);
  }
  return sharers;
}

/** A weight [channels, …] with channel c multiplied by factor[c]. */
function scaleRows(weight: TensorProto, factor: Float64Array): TensorProto {
  const perRow = numel(weight.dims.slice(1));
  return mapWeight(weight, (values, at, result) => {
    for (let i = 0; i < values.length; ) {
      const row = Math.floor((at + i) / perRow);
      const end = Math.min(values.length, (row + 1) * perRow - at);
      for (const by = factor[row]; i < end; i++) result[i] = values[i] * by;
    }
  });
}
