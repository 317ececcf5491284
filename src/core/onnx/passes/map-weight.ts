import { numel } from '../../tensor/shape.js';
import { asFloat32, bytesOf } from '../../tensor/values.js';
import { DATA_TYPE, type TensorProto } from '../model.js';
import { tensorOf } from '../tensor-data.js';

/**
 * A float32 weight whose values are computed from its own as it streams.
 * @param map - fills `result` from as many values, the first of which is at `at`
 */
export function mapWeight(
  weight: TensorProto,
  map: (values: Float32Array, at: number, result: Float32Array) => void,
): TensorProto {
  const tensor = tensorOf(weight);
  async function* chunks(): AsyncGenerator<Uint8Array> {
    let at = 0;
    let buffer = new Float32Array(0);
    for await (const chunk of tensor.chunks()) {
      const values = asFloat32(chunk);
      if (buffer.length < values.length) buffer = new Float32Array(values.length);
      const result = buffer.subarray(0, values.length);
      map(values, at, result);
      at += values.length;
      yield bytesOf(result);
    }
  }
  return {
    name: weight.name,
    dims: weight.dims,
    dataType: DATA_TYPE.FLOAT,
    rawData: { byteLength: Float32Array.BYTES_PER_ELEMENT * numel(tensor.shape), chunks },
  };
}
