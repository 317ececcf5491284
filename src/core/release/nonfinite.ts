import { HpsError } from '../errors.js';
import { DATA_TYPE, type GraphProto, type NodeProto, type OnnxModel, type TensorProto } from '../onnx/model.js';
import { dtypeOf, rawBytesOf } from '../onnx/tensor-data.js';
import { chunksOf } from '../onnx/weight.js';
import { hasNonFinite } from '../tensor/transform.js';

/**
 * The model with every float initializer watched while it streams, those of subgraphs too: NaN or an infinity stops the writing.
 * @param allowMasks - let minus infinity pass: in a graph of another tool it is how an attention mask is kept
 */
export function refuseNonFinite(model: OnnxModel, { allowMasks = false } = {}): OnnxModel {
  return { ...model, graph: watchGraph(model.graph, allowMasks) };
}

const watchGraph = (graph: GraphProto, allowMasks: boolean): GraphProto => ({
  ...graph,
  initializer: graph.initializer.map((tensor) => watch(tensor, allowMasks)),
  node: graph.node.map((node) => watchNode(node, allowMasks)),
});

function watchNode(node: NodeProto, allowMasks: boolean): NodeProto {
  if (!node.attribute.some(({ g, graphs }) => g || graphs)) return node;
  const attribute = node.attribute.map((each) => ({
    ...each,
    ...(each.g ? { g: watchGraph(each.g, allowMasks) } : {}),
    ...(each.graphs ? { graphs: each.graphs.map((graph) => watchGraph(graph, allowMasks)) } : {}),
  }));
  return { ...node, attribute };
}

function watch(tensor: TensorProto, allowMasks: boolean): TensorProto {
  const { rawData, name = '' } = tensor;
  const dtype = dtypeOf(tensor.dataType);
  if (!dtype) return tensor;
  const check = (chunk: Uint8Array) => {
    if (hasNonFinite(chunk, dtype, { allowMinusInfinity: allowMasks })) throw nonFinite(name, tensor.dataType);
  };
  if (!rawData) {
    const typed = rawBytesOf(tensor); // a few values, in memory
    if (typed instanceof Uint8Array) check(typed);
    return tensor;
  }
  async function* chunks(): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunksOf(rawData!)) {
      check(chunk);
      yield chunk;
    }
  }
  return { ...tensor, rawData: { byteLength: rawData.byteLength, chunks } };
}

function nonFinite(tensor: string, dataType: number): HpsError {
  const half = dataType === DATA_TYPE.FLOAT16;
  return new HpsError('NONFINITE_WEIGHTS', `${tensor} holds NaN or an infinity${half ? ' as float16' : ''}`, {
    hint: `Find out where training went wrong${half ? ' (or export as fp32: float16 ends at 65504)' : ''}; \`allowNonfinite\` accepts it.`,
    details: { tensor },
  });
}
