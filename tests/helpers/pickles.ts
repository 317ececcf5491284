import { ZipWriter } from '../../src/core/bytes/zip-writer.js';
import { MemorySink } from './memory-sink.js';

/** Opcodes written out, as pickletools names them, for pickles that no library would write. */
export const op = {
  proto: Buffer.from([0x80, 2]),
  mark: Buffer.from('('),
  none: Buffer.from('N'),
  stop: Buffer.from('.'),
  emptyDict: Buffer.from('}'),
  emptyList: Buffer.from(']'),
  emptyTuple: Buffer.from(')'),
  tuple: Buffer.from('t'),
  tuple1: Buffer.from([0x85]),
  setItem: Buffer.from('s'),
  setItems: Buffer.from('u'),
  append: Buffer.from('a'),
  reduce: Buffer.from('R'),
  build: Buffer.from('b'),
  stackGlobal: Buffer.from([0x93]),
  persistentId: Buffer.from('Q'),
  text: (value: string | Uint8Array) =>
    Buffer.concat([Buffer.from('X'), u32(Buffer.from(value).byteLength), Buffer.from(value)]),
  int: (value: number) => Buffer.concat([Buffer.from('J'), u32(value)]),
  long: (value: bigint, bytes = 8) => {
    const body = Buffer.alloc(bytes);
    for (let i = 0; i < bytes; i++) body[i] = Number((value >> BigInt(8 * i)) & 0xffn);
    return Buffer.concat([Buffer.from([0x8a, bytes]), body]);
  },
  global: (module: string, name: string) => Buffer.from(`c${module}\n${name}\n`),
  put: (index: number) => Buffer.from([0x71, index]),
  get: (index: number) => Buffer.from([0x68, index]),
} as const;

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}

/** A whole pickle of protocol 2. */
export const pickle = (...parts: readonly Uint8Array[]): Buffer => Buffer.concat([op.proto, ...parts, op.stop]);

export interface StorageParts {
  readonly kind?: string;
  readonly type?: Buffer;
  readonly key?: string;
  readonly location?: string;
  readonly numel?: Buffer;
  /** A sixth item, as legacy files have. */
  readonly view?: Buffer;
}

export function storage(parts: StorageParts = {}): Buffer {
  const {
    kind = 'storage',
    type = op.global('torch', 'FloatStorage'),
    key = '0',
    location = 'cpu',
    numel = op.int(6),
    view,
  } = parts;
  const items = [op.text(kind), type, op.text(key), op.text(location), numel, ...(view ? [view] : [])];
  return Buffer.concat([op.mark, ...items, op.tuple, op.persistentId]);
}

export const intTuple = (...values: readonly number[]): Buffer =>
  Buffer.concat([op.mark, ...values.map(op.int), op.tuple]);

export interface TensorParts {
  readonly storage?: Buffer;
  readonly offset?: Buffer;
  readonly size?: Buffer;
  readonly stride?: Buffer;
}

export function tensor(
  parts: TensorParts = {},
  rebuild = '_rebuild_tensor_v2',
  rest: readonly Buffer[] = [op.none, op.none],
): Buffer {
  const { storage: over = storage(), offset = op.int(0), size = intTuple(2, 3), stride = intTuple(3, 1) } = parts;
  return Buffer.concat([
    op.global('torch._utils', rebuild),
    op.mark,
    over,
    offset,
    size,
    stride,
    ...rest,
    op.tuple,
    op.reduce,
  ]);
}

/** A pickled dict of the given values. */
export const dict = (entries: Readonly<Record<string, Buffer>> | readonly (readonly [string, Buffer])[]): Buffer =>
  Buffer.concat([
    op.emptyDict,
    ...(Array.isArray(entries) ? entries : Object.entries(entries)).flatMap(([key, value]) => [
      op.text(key),
      value,
      op.setItem,
    ]),
  ]);

/** A torch zip around a pickle; storages by key. */
export async function torchZipFile(
  data: Uint8Array,
  storages: Readonly<Record<string, Uint8Array>> = { 0: new Uint8Array(24) },
  records: Readonly<Record<string, string>> = {},
): Promise<Buffer> {
  const sink = new MemorySink();
  const zip = new ZipWriter(sink, 64);
  await zip.add('a/data.pkl', data.byteLength, [data]);
  for (const [key, bytes] of Object.entries(storages)) await zip.add(`a/data/${key}`, bytes.byteLength, [bytes]);
  for (const [name, text] of Object.entries(records)) await zip.add(name, Buffer.byteLength(text), [Buffer.from(text)]);
  await zip.finish();
  return sink.bytes();
}

/** A legacy torch file: the pickles before the object, the object, the keys, then each storage behind its count. */
export function torchLegacyFile(
  object: Buffer,
  storages: readonly (readonly [string, Float32Array])[],
  littleEndian = true,
): Buffer {
  const magic = pickle(op.long(0x1950a86a20f9469cfc6cn, 10));
  const system = pickle(op.emptyDict, op.text('little_endian'), Buffer.from([littleEndian ? 0x88 : 0x89]), op.setItem);
  const keys = pickle(op.emptyList, ...storages.flatMap(([key]) => [op.text(key), op.append]));
  const data = storages.flatMap(([, values]) => [u32(values.length), u32(0), Buffer.from(values.buffer)]);
  return Buffer.concat([magic, pickle(op.int(1001)), system, pickle(object), keys, ...data]);
}
