import type { JsonValue } from '../bytes/json.js';
import { type TensorValue, type ValueData, type ValueDtype, valueFromBytes } from '../runtime/value.js';
import { RequestError } from './failure.js';

/** Names of dtypes in the protocol. FP16 has no form in JSON. */
const NAMES: Readonly<Record<string, ValueDtype>> = {
  BOOL: 'BOOL',
  UINT8: 'U8',
  UINT16: 'U16',
  UINT32: 'U32',
  UINT64: 'U64',
  INT8: 'I8',
  INT16: 'I16',
  INT32: 'I32',
  INT64: 'I64',
  FP16: 'F16',
  BF16: 'BF16',
  FP32: 'F32',
  FP64: 'F64',
};

const nameOf = (dtype: ValueDtype): string => Object.keys(NAMES).find((name) => NAMES[name] === dtype)!;

export const DATATYPES = { nameOf };

/** Bytes of one element; 0 for BYTES, whose elements have a length each. */
const WIDTH: Readonly<Record<ValueDtype, number>> = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  U16: 2,
  I16: 2,
  F16: 2,
  BF16: 2,
  U32: 4,
  I32: 4,
  F32: 4,
  U64: 8,
  I64: 8,
  F64: 8,
};

/** An input as it was sent: elements of BYTES, or a value of numbers. */
export interface InputTensor {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  /** Bytes of a binary request, text of one in JSON. */
  readonly elements?: readonly (Uint8Array | string)[];
  readonly value?: TensorValue;
}

export interface OutputTensor {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly data: readonly number[] | readonly string[] | ValueData;
}

interface Given {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly data?: readonly JsonValue[];
}

/**
 * @param raw - its bytes; null where its data stand in the JSON
 * @throws RequestError REQUEST_INVALID before anything of a wrong length is decoded
 */
export function readTensor(input: Given, raw: Uint8Array | null): InputTensor {
  const { name, datatype, shape, data } = input;
  const isNumeric = Object.hasOwn(NAMES, datatype);
  if (!isNumeric && datatype !== 'BYTES')
    throw invalid(name, `datatype ${JSON.stringify(datatype)} is not one of the protocol`);
  const count = shape.reduce((product, dim) => product * dim, 1);
  if (!Number.isSafeInteger(count)) throw invalid(name, `shape [${shape.join(', ')}] is too large`);
  if (raw === null) {
    if (data === undefined) throw invalid(name, 'has neither data nor binary_data_size');
    const flat = data.flat(16) as JsonValue[];
    if (flat.length !== count)
      throw invalid(name, `has ${flat.length} elements, and shape [${shape.join(', ')}] has ${count}`);
    if (isNumeric) return { name, datatype, shape, value: fromJson(name, NAMES[datatype], shape, flat) };
    const wrong = flat.find((element) => typeof element !== 'string');
    if (wrong !== undefined) throw invalid(name, 'elements of BYTES are strings in JSON');
    return { name, datatype, shape, elements: flat as string[] };
  }
  if (data !== undefined) throw invalid(name, 'has both data and binary_data_size');
  if (!isNumeric) return { name, datatype, shape, elements: readElements(name, raw, count) };
  const dtype = NAMES[datatype];
  if (raw.byteLength !== count * WIDTH[dtype]) {
    throw invalid(
      name,
      `has ${raw.byteLength} bytes, and ${datatype} [${shape.join(', ')}] has ${count * WIDTH[dtype]}`,
    );
  }
  return { name, datatype, shape, value: valueFromBytes(dtype, shape, raw) };
}

/** Each element is a little-endian uint32 length and its bytes. */
function readElements(name: string, raw: Uint8Array, count: number): Uint8Array[] {
  const bytes = Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength);
  const elements: Uint8Array[] = [];
  let at = 0;
  while (at < bytes.length) {
    if (at + 4 > bytes.length) throw invalid(name, 'the length of an element is cut short');
    const length = bytes.readUInt32LE(at);
    at += 4;
    if (at + length > bytes.length) throw invalid(name, `an element of ${length} bytes goes beyond the tensor`);
    elements.push(bytes.subarray(at, at + length));
    at += length;
    if (elements.length > count) break;
  }
  if (elements.length !== count)
    throw invalid(
      name,
      `has ${elements.length > count ? 'more' : elements.length} elements, and its shape has ${count}`,
    );
  return elements;
}

function fromJson(name: string, dtype: ValueDtype, shape: readonly number[], flat: readonly JsonValue[]): TensorValue {
  if (dtype === 'F16' || dtype === 'BF16') throw invalid(name, '16-bit floats are sent as binary data');
  const bytes = Buffer.alloc(flat.length * WIDTH[dtype]);
  const value = valueFromBytes(dtype, shape, bytes);
  for (const [i, element] of flat.entries()) {
    const number = typeof element === 'boolean' ? Number(element) : element;
    if (typeof number !== 'number') throw invalid(name, `element ${i} is not a number`);
    if (value.data instanceof BigInt64Array || value.data instanceof BigUint64Array) {
      if (!Number.isSafeInteger(number)) throw invalid(name, `element ${i} is not an integer`);
      value.data[i] = BigInt(number);
    } else value.data[i] = number;
    const kept = Number(value.data[i]);
    if (dtype !== 'F32' && dtype !== 'F64' && kept !== number) throw invalid(name, `element ${i} does not fit`);
    if (!Number.isFinite(kept)) throw invalid(name, `element ${i} does not fit`);
  }
  return value;
}

/** Rows of all inputs, which must have as many each. @throws RequestError REQUEST_INVALID */
export function assertTensors(inputs: readonly InputTensor[]): number {
  const names = new Set<string>();
  for (const { name, shape } of inputs) {
    if (names.has(name)) throw invalid(name, 'is given twice');
    names.add(name);
    if (shape.length === 0 || shape[0] < 1) throw invalid(name, `shape [${shape.join(', ')}] has no rows`);
    if (shape[0] !== inputs[0].shape[0])
      throw invalid(name, `has ${shape[0]} rows, and ${inputs[0].name} has ${inputs[0].shape[0]}`);
  }
  for (const { name, elements, shape } of inputs) {
    if (elements && elements.length !== shape[0]) throw invalid(name, 'BYTES have one element a row: [n] or [n, 1]');
  }
  return inputs[0].shape[0];
}

export function formatData({ datatype, data }: OutputTensor): (number | string | boolean)[] {
  if (datatype === 'BOOL') return Array.from(data as Uint8Array, Boolean);
  return Array.from(data as ArrayLike<number | bigint | string>, (element) =>
    typeof element === 'bigint' ? Number(element) : element,
  );
}

export function tensorBytes({ datatype, data }: OutputTensor): Uint8Array {
  if (datatype === 'BYTES') {
    return Buffer.concat(
      (data as readonly string[]).flatMap((text) => {
        const length = Buffer.alloc(4);
        const bytes = Buffer.from(text);
        length.writeUInt32LE(bytes.length);
        return [length, bytes];
      }),
    );
  }
  const typed = Array.isArray(data) ? Float32Array.from(data as number[]) : (data as ValueData);
  return new Uint8Array(typed.buffer, typed.byteOffset, typed.byteLength);
}

const invalid = (name: string, rule: string): RequestError => new RequestError('REQUEST_INVALID', `${name}: ${rule}`);
