import type { ByteSource } from '../bytes/source.js';
import { LIMITS } from '../limits.js';
import { EXTERNAL_LOCATION, type Message, type ModelProto, type TensorProto, type TensorShapeProto } from './model.js';
import { NumberList } from './number-list.js';
import { type Field, isMessage, type MessageName, perMessage, type ScalarKind } from './schema.js';
import { checkTensor } from './tensor-data.js';
import { weightOf } from './weight.js';
import { WIRE, WireReader } from './wire.js';

/** Raw data up to this size is kept in memory (shape constants, scalars); above it stays in the file. */
const INLINE_WEIGHT_BYTES = 1024;
/** Estimates of what a message and a string cost in memory beyond their own bytes, so that many empty ones are bounded too. */
const MESSAGE_BYTES = 256;
const VALUE_BYTES = 48;
const ARRAY_BYTES = 256;

type Target = Record<string, unknown> & Message;

interface Entry {
  readonly key: string;
  readonly field: Field;
}

interface Layout {
  readonly byId: ReadonlyMap<number, Entry>;
  readonly lists: readonly string[];
  readonly required: readonly string[];
}

const LAYOUTS = perMessage<Layout>((fields) => ({
  byId: new Map(fields.map(([key, field]) => [field.id, { key, field }])),
  lists: fields.filter(([, field]) => field.required && field.repeated).map(([key]) => key),
  required: fields.filter(([, field]) => field.required && !field.repeated).map(([key]) => key),
}));

const WIRE_OF: Record<ScalarKind, number> = {
  int32: WIRE.VARINT,
  int64: WIRE.VARINT,
  bigint64: WIRE.VARINT,
  biguint64: WIRE.VARINT,
  float: WIRE.FIXED32,
  double: WIRE.FIXED64,
  string: WIRE.BYTES,
  bytes: WIRE.BYTES,
  weight: WIRE.BYTES,
};

export interface DecodedModel {
  readonly model: ModelProto;
  /** Tensors whose bytes lie in another file; `external-data.ts` gives them their bytes. */
  readonly external: readonly TensorProto[];
}

/**
 * The model a protobuf source holds. Reads the structure only: raw data above 1 KiB becomes a range of the source.
 * A field of a single value that comes twice is refused: readers differ in what they make of it, and no writer does it.
 * @throws HpsError ONNX_CORRUPT, also where LIMITS on nodes, nesting or structure are passed
 */
export function decodeModel(source: ByteSource): DecodedModel {
  const decoder = new Decoder(source);
  const model = decoder.message('ModelProto', source.byteLength, 0) as unknown as ModelProto;
  return { model, external: decoder.external };
}

class Decoder {
  readonly external: TensorProto[] = [];
  private readonly reader: WireReader;
  private nodes = 0;
  private tensors = 0;
  private structureBytes = 0;

  constructor(private readonly source: ByteSource) {
    this.reader = new WireReader(source);
  }

  message(name: MessageName, end: number, depth: number): Target {
    const { reader } = this;
    const layout = LAYOUTS[name];
    this.enter(name, depth);
    const target: Target = {};
    for (const key of layout.lists) target[key] = [];
    const unknown: Uint8Array[] = [];
    let chosen: string | undefined;
    while (reader.position < end) {
      const start = reader.position;
      const tag = reader.tag(end);
      const entry = layout.byId.get(tag >>> 3);
      if (entry === undefined) {
        unknown.push(this.unknownFields(layout, start, tag & 7, end));
        continue;
      }
      const { key, field } = entry;
      if (!field.repeated && target[key] !== undefined) throw reader.corrupt(`${name}.${key} is there twice`);
      if (field.oneof) {
        if (chosen !== undefined) throw reader.corrupt(`${name} has both ${chosen} and ${key}`);
        chosen = key;
      }
      this.value(target, name, entry, tag & 7, end, depth);
    }
    if (unknown.length > 0) target.unknown = unknown.length === 1 ? unknown[0] : Buffer.concat(unknown);
    return this.finish(name, target, layout);
  }

  private enter(name: MessageName, depth: number): void {
    this.spend(MESSAGE_BYTES);
    if (name === 'NodeProto' && ++this.nodes > LIMITS.onnxNodes) {
      throw this.reader.corrupt(`more than ${LIMITS.onnxNodes} nodes`);
    }
    if (name === 'TensorProto' && ++this.tensors > LIMITS.tensors) {
      throw this.reader.corrupt(`more than ${LIMITS.tensors} tensors`);
    }
    if (depth > LIMITS.onnxDepth) throw this.reader.corrupt(`nested deeper than ${LIMITS.onnxDepth}`);
  }

  private spend(bytes: number): void {
    this.structureBytes += bytes;
    if (this.structureBytes > LIMITS.onnxStructureBytes) {
      throw this.reader.corrupt(`more than ${LIMITS.onnxStructureBytes} bytes of structure around the weights`);
    }
  }

  private value(target: Target, name: MessageName, entry: Entry, wireType: number, end: number, depth: number): void {
    const { reader } = this;
    const { key, field } = entry;
    const { kind, repeated } = field;
    const expected = isMessage(kind) ? WIRE.BYTES : WIRE_OF[kind];
    if (repeated && wireType === WIRE.BYTES && expected !== WIRE.BYTES) {
      this.packed(target, key, kind as ScalarKind, reader.length(end));
    } else if (wireType !== expected) {
      throw reader.corrupt(`${name}.${key} has wire type ${wireType} instead of ${expected}`);
    } else if (isMessage(kind)) {
      const length = reader.length(end);
      const inner = depth + (kind === 'GraphProto' || kind === 'TypeProto' ? 1 : 0);
      const message = this.message(kind, reader.position + length, inner);
      if (repeated) listOf(target, key).push(message);
      else target[key] = message;
    } else if (!repeated) {
      target[key] = this.scalar(kind, end);
    } else if (NumberList.holds(kind)) {
      this.spend(8);
      numbersOf(target, key, kind).push(this.scalar(kind, end) as number | bigint);
    } else {
      listOf(target, key).push(this.scalar(kind, end));
    }
  }

  private scalar(kind: ScalarKind, end: number): unknown {
    const { reader } = this;
    switch (kind) {
      case 'int32':
        return reader.int32(end);
      case 'int64':
        return reader.safeInt64(end);
      case 'bigint64':
        return reader.bigint64(end);
      case 'biguint64':
        return reader.biguint64(end);
      case 'float':
        return reader.fixed(end, 4).getFloat32(0, true);
      case 'double':
        return reader.fixed(end, 8).getFloat64(0, true);
      case 'weight':
        return this.weight(reader.length(end));
      default: {
        const length = reader.length(end);
        this.spend(VALUE_BYTES + length);
        return kind === 'string' ? reader.string(length) : reader.bytes(length);
      }
    }
  }

  private weight(length: number): unknown {
    const { reader } = this;
    if (length <= INLINE_WEIGHT_BYTES) {
      this.spend(VALUE_BYTES + length);
      return reader.bytes(length);
    }
    const start = reader.position;
    reader.position += length;
    return weightOf(this.source.slice(start, length));
  }

  /** A run of numbers in one value. Floats and doubles lie in it as they do in memory. */
  private packed(target: Target, key: string, kind: ScalarKind, length: number): void {
    const { reader } = this;
    const end = reader.position + length;
    if (!NumberList.holds(kind)) {
      for (const list = listOf(target, key); reader.position < end; this.spend(8)) list.push(this.scalar(kind, end));
      return;
    }
    const list = numbersOf(target, key, kind);
    const size = kind === 'float' ? 4 : kind === 'double' ? 8 : 0;
    if (size > 0) {
      if (length % size !== 0) throw reader.corrupt(`${length} bytes are not a whole number of ${kind}s`);
      this.spend(length);
      list.pushBytes(reader.bytes(length));
      return;
    }
    for (; reader.position < end; this.spend(8)) list.push(this.scalar(kind, end) as number | bigint);
  }

  /** The unknown field that begins at `start`, and those that follow it without a known one between: one copy for all. */
  private unknownFields(layout: Layout, start: number, wireType: number, end: number): Uint8Array {
    const { reader } = this;
    reader.skip(wireType, end);
    let next = reader.position;
    while (next < end) {
      const tag = reader.tag(end);
      if (layout.byId.has(tag >>> 3)) break;
      reader.skip(tag & 7, end);
      next = reader.position;
    }
    this.spend(ARRAY_BYTES + next - start);
    reader.position = start;
    return reader.bytes(next - start);
  }

  private finish(name: MessageName, target: Target, layout: Layout): Target {
    for (const key of layout.required) {
      if (target[key] === undefined) throw this.reader.corrupt(`${name} without ${key}`);
    }
    for (const key in target) {
      const value = target[key];
      if (value instanceof NumberList) target[key] = value.finish();
    }
    if (name === 'TensorProto') this.tensor(target as unknown as TensorProto);
    if (name === 'TensorShapeProto') this.checkRank((target as unknown as TensorShapeProto).dim.length);
    return target;
  }

  private checkRank(rank: number): void {
    if (rank > LIMITS.tensorRank)
      throw this.reader.corrupt(`a shape of ${rank} dimensions, at most ${LIMITS.tensorRank} are allowed`);
  }

  private tensor(tensor: TensorProto): void {
    this.checkRank(tensor.dims.length);
    checkTensor(tensor, this.source.name);
    if (tensor.dataLocation === EXTERNAL_LOCATION) this.external.push(tensor);
  }
}

function listOf(target: Target, key: string): unknown[] {
  target[key] ??= [];
  return target[key] as unknown[];
}

function numbersOf(target: Target, key: string, kind: ScalarKind): NumberList {
  target[key] ??= new NumberList(kind);
  return target[key] as NumberList;
}
