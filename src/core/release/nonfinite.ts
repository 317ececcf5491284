import { HpsError } from '../errors.js';
import { DATA_TYPE, type OnnxModel, type TensorProto } from '../onnx/model.js';
import { dtypeOf } from '../onnx/tensor-data.js';
import { chunksOf } from '../onnx/weight.js';
import { hasNonFinite } from '../tensor/transform.js';

/** The model with every float initializer watched while it streams: NaN or an infinity stops the writing. */
export function refuseNonFinite(model: OnnxModel): OnnxModel {
  return { ...model, graph: { ...model.graph, initializer: model.graph.initializer.map(guard) } };
}

function guard(tensor: TensorProto): TensorProto {
  const { rawData, name = '' } = tensor;
  const dtype = dtypeOf(tensor.dataType);
  if (!rawData || !dtype) return tensor;
  async function* chunks(): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunksOf(rawData!)) {
      if (hasNonFinite(chunk, dtype!)) throw nonFinite(name, tensor.dataType);
      yield chunk;
    }
  }
  return { ...tensor, rawData: { byteLength: rawData.byteLength, chunks } };
}

function nonFinite(tensor: string, dataType: number): HpsError {
  const half = dataType === DATA_TYPE.FLOAT16;
  return new HpsError('NONFINITE_WEIGHTS', `${tensor} holds NaN or an infinity${half ? ' as float16' : ''}`, {
    hint: `Find out where training went wrong${half ? ' (or export as fp32: float16 ends at 65504)' : ''}; --allow-nonfinite exports it all the same.`,
    details: { tensor },
  });
}
