import type { OnnxModel, TensorProto, TypeProto } from '../onnx/model.js';
import type { TensorValue, ValueDtype } from '../runtime/value.js';
import { DTYPES } from '../tensor/dtype.js';
import { bytesOf } from '../tensor/values.js';

/** Element type and concrete shape of a value. */
export interface TensorType {
  readonly dtype: ValueDtype;
  readonly shape: readonly number[];
}

/** A named value of a graph with its type: what rules take and give. */
export interface Operand extends TensorType {
  readonly name: string;
}

/** A model for one set of input sizes: every value's type is known. Nothing in it is computed from shapes any more. */
export interface BoundGraph {
  readonly model: OnnxModel;
  /** Of inputs, initializers, and what nodes compute. */
  readonly types: ReadonlyMap<string, TensorType>;
  /** Values that rules may need to know: integers and booleans that do not depend on data, and float scalars. */
  readonly constants: ReadonlyMap<string, TensorValue>;
}

export const isFloatType = ({ dtype }: TensorType): boolean => dtype === 'F32' || dtype === 'F16' || dtype === 'F64';

/** As a model states it. */
export const tensorTypeProto = ({ dtype, shape }: TensorType): TypeProto => ({
  tensorType: { elemType: DTYPES[dtype].onnx, shape: { dim: shape.map((dimValue) => ({ dimValue })) } },
});

/** A value as an initializer. */
export const valueTensor = (name: string, { dtype, shape, data }: TensorValue): TensorProto => ({
  name,
  dims: [...shape],
  dataType: DTYPES[dtype].onnx,
  rawData: bytesOf(data),
});
