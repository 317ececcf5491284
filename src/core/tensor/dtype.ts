export interface DtypeInfo {
  /** Bytes of one element; a boolean takes one. */
  readonly bytes: number;
  /** `TensorProto.DataType` (onnx.proto). */
  readonly onnx: number;
  readonly kind: 'float' | 'int' | 'bool' | 'complex';
}

/** Element types by their safetensors names. */
export const DTYPES = {
  F64: { bytes: 8, onnx: 11, kind: 'float' },
  F32: { bytes: 4, onnx: 1, kind: 'float' },
  F16: { bytes: 2, onnx: 10, kind: 'float' },
  BF16: { bytes: 2, onnx: 16, kind: 'float' },
  F8_E4M3: { bytes: 1, onnx: 17, kind: 'float' },
  F8_E5M2: { bytes: 1, onnx: 19, kind: 'float' },
  I64: { bytes: 8, onnx: 7, kind: 'int' },
  I32: { bytes: 4, onnx: 6, kind: 'int' },
  I16: { bytes: 2, onnx: 5, kind: 'int' },
  I8: { bytes: 1, onnx: 3, kind: 'int' },
  U64: { bytes: 8, onnx: 13, kind: 'int' },
  U32: { bytes: 4, onnx: 12, kind: 'int' },
  U16: { bytes: 2, onnx: 4, kind: 'int' },
  U8: { bytes: 1, onnx: 2, kind: 'int' },
  BOOL: { bytes: 1, onnx: 9, kind: 'bool' },
  C64: { bytes: 8, onnx: 14, kind: 'complex' },
  C128: { bytes: 16, onnx: 15, kind: 'complex' },
} as const satisfies Record<string, DtypeInfo>;

export type Dtype = keyof typeof DTYPES;

export const isDtype = (name: string): name is Dtype => Object.hasOwn(DTYPES, name);
