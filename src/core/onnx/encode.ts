import { bytesOf } from '../tensor/values.js';
import type { Message, ModelProto, TensorProto } from './model.js';
import { type Field, isMessage, type MessageName, perMessage, type ScalarKind } from './schema.js';
import { type Piece, ReverseWriter, WIRE } from './wire.js';

type Values = Record<string, unknown> & Message;

/** Fields of each message, last first. */
const REVERSED = perMessage((fields) => fields.toReversed());

export interface EncodedModel {
  /** In order; weights stand among them unread. */
  readonly pieces: readonly Piece[];
  readonly byteLength: number;
}

/**
 * A model as protobuf: fields in the order of their numbers, lists in theirs, unknown fields last.
 * A file that a protobuf library wrote comes out as the same bytes.
 * @param substitute - what to write in place of a tensor: how weights become external data
 */
export function encodeModel(
  model: ModelProto,
  substitute: (tensor: TensorProto) => TensorProto = (tensor) => tensor,
): EncodedModel {
  const writer = new ReverseWriter();
  writeMessage(writer, 'ModelProto', model as unknown as Values, substitute);
  return { pieces: writer.finish(), byteLength: writer.byteLength };
}

function writeMessage(
  writer: ReverseWriter,
  name: MessageName,
  message: Values,
  substitute: (tensor: TensorProto) => TensorProto,
): void {
  const values =
    name === 'TensorProto' ? (substitute(message as unknown as TensorProto) as unknown as Values) : message;
  if (values.unknown) writer.bytes(values.unknown);
  for (const [key, field] of REVERSED[name]) {
    const value = values[key];
    if (value === undefined) continue;
    const { kind } = field;
    if (field.packed) writePacked(writer, field, value as ArrayLike<number | bigint>);
    else if (!isMessage(kind)) {
      if (!field.repeated) writeScalar(writer, field.id, kind, value);
      else forEachReversed(value as ArrayLike<unknown>, (element) => writeScalar(writer, field.id, kind, element));
    } else {
      const write = (child: unknown) => {
        const end = writer.byteLength;
        writeMessage(writer, kind, child as Values, substitute);
        writePrefix(writer, field.id, writer.byteLength - end);
      };
      if (!field.repeated) write(value);
      else forEachReversed(value as ArrayLike<unknown>, write);
    }
  }
}

function forEachReversed<T>(values: ArrayLike<T>, visit: (value: T) => void): void {
  for (let i = values.length - 1; i >= 0; i--) visit(values[i]);
}

/** The tag and length of what has just been written. */
function writePrefix(writer: ReverseWriter, id: number, byteLength: number): void {
  writer.varint(byteLength);
  writer.varint(id * 8 + WIRE.BYTES);
}

function writePacked(writer: ReverseWriter, { id, kind }: Field, values: ArrayLike<number | bigint>): void {
  if (values.length === 0) return;
  const end = writer.byteLength;
  if (values instanceof Float32Array || values instanceof Float64Array) writer.bytes(bytesOf(values));
  else forEachReversed(values, (value) => writeNumber(writer, kind as ScalarKind, value));
  writePrefix(writer, id, writer.byteLength - end);
}

function writeScalar(writer: ReverseWriter, id: number, kind: ScalarKind, value: unknown): void {
  if (kind === 'string' || kind === 'bytes' || kind === 'weight') {
    const end = writer.byteLength;
    if (typeof value === 'string') writer.string(value);
    else if (value instanceof Uint8Array) writer.bytes(value);
    else writer.splice(value as Piece);
    writePrefix(writer, id, writer.byteLength - end);
    return;
  }
  writer.varint(id * 8 + writeNumber(writer, kind, value as number | bigint));
}

/** Writes a number and returns its wire type. */
function writeNumber(writer: ReverseWriter, kind: ScalarKind, value: number | bigint): number {
  if (kind === 'float') {
    writer.float(value as number);
    return WIRE.FIXED32;
  }
  if (kind === 'double') {
    writer.double(value as number);
    return WIRE.FIXED64;
  }
  if (typeof value === 'bigint') writer.bigVarint(value);
  else writer.varint(value);
  return WIRE.VARINT;
}
