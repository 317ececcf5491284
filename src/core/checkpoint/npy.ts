import { basename } from 'node:path';
import { corruptFile, unsafeFile } from '../bytes/refusal.js';
import { type ByteSource, type FileSource, readChunks } from '../bytes/source.js';
import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import { DTYPES, type Dtype } from '../tensor/dtype.js';
import { checkedNumel, formatShape } from '../tensor/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import type { CheckpointFormat, RawCheckpoint } from './format.js';
import { gather } from './gather.js';
import { type PythonLiteral, parsePythonLiteral } from './python-literal.js';

const MAGIC = Buffer.from('\x93NUMPY', 'latin1');

/** NumPy's type codes (kind and bytes) without the byte order. */
const NPY_DTYPES: Readonly<Record<string, Dtype>> = {
  f2: 'F16',
  f4: 'F32',
  f8: 'F64',
  i1: 'I8',
  i2: 'I16',
  i4: 'I32',
  i8: 'I64',
  u1: 'U8',
  u2: 'U16',
  u4: 'U32',
  u8: 'U64',
  b1: 'BOOL',
  c8: 'C64',
  c16: 'C128',
};

/** What an .npy header says of the data behind it. */
export interface NpyHeader {
  /** Null for what is no tensor (text, dates, records); `descr` then says what it is. */
  readonly dtype: Dtype | null;
  readonly descr: string;
  readonly bigEndian: boolean;
  /** Column-major: the first axis varies fastest. */
  readonly fortranOrder: boolean;
  readonly shape: readonly number[];
  readonly dataOffset: number;
}

export const looksLikeNpy = (head: Uint8Array): boolean => MAGIC.equals(head.subarray(0, MAGIC.byteLength));

/** A single array as a checkpoint of one tensor, named as the file. */
export const npy: CheckpointFormat = {
  id: 'npy',
  label: 'NumPy .npy',
  sniff: looksLikeNpy,
  async open(source: FileSource): Promise<RawCheckpoint> {
    const head = source.readSync(0, Math.min(source.byteLength, LIMITS.npyHeaderBytes));
    const header = readNpyHeader(head, source.byteLength, source.name);
    const name = basename(source.name, '.npy');
    const { dtype, descr, dataOffset } = header;
    if (dtype === null) {
      throw new HpsError('CHECKPOINT_UNSUPPORTED', `${source.name}: NumPy type ${descr} is not one of a tensor`, {
        hint: 'Save the array as numbers.',
        details: { file: source.name, descr },
      });
    }
    const data = source.slice(dataOffset, source.byteLength - dataOffset);
    return {
      root: {
        kind: 'map',
        entries: new Map([[name, { kind: 'tensor', tensor: npyTensor(name, { ...header, dtype }, async () => data) }]]),
      },
      files: [source.path],
      ignored: [],
      close: () => source.close(),
    };
  },
};

/**
 * The header of an .npy file (NumPy's `numpy.lib.format`, versions 1.0 to 3.0), and that the data behind it fill the file.
 * @param head - the first `LIMITS.npyHeaderBytes` of the file, or all of it
 * @param byteLength - of the whole file
 * @throws HpsError CHECKPOINT_CORRUPT; CHECKPOINT_UNSAFE for pickled objects
 */
export function readNpyHeader(head: Uint8Array, byteLength: number, what: string): NpyHeader {
  if (!looksLikeNpy(head) || head.byteLength < 12) throw corruptFile(what, 'it does not start as an .npy file');
  const view = new DataView(head.buffer, head.byteOffset);
  const [major, minor] = [head[6], head[7]];
  if (major < 1 || major > 3 || minor !== 0)
    throw corruptFile(what, `.npy version ${major}.${minor}, expected 1.0, 2.0 or 3.0`);
  const start = major === 1 ? 10 : 12;
  const dataOffset = start + (major === 1 ? view.getUint16(8, true) : view.getUint32(8, true));
  if (dataOffset > LIMITS.npyHeaderBytes || dataOffset > head.byteLength) {
    throw corruptFile(
      what,
      `an .npy header up to byte ${dataOffset}, expected at most ${Math.min(head.byteLength, LIMITS.npyHeaderBytes)}`,
    );
  }
  const literal = parsePythonLiteral(Buffer.from(head.subarray(start, dataOffset)).toString('latin1'));
  if (!(literal instanceof Map) || [...literal.keys()].sort().join() !== 'descr,fortran_order,shape') {
    throw corruptFile(what, 'its .npy header is not a dictionary of descr, fortran_order and shape');
  }
  const fortranOrder = literal.get('fortran_order');
  if (typeof fortranOrder !== 'boolean') throw corruptFile(what, 'fortran_order is not True or False');
  const shape = readShape(literal.get('shape'), what);
  const header = { ...readDescr(literal.get('descr'), what), fortranOrder, shape, dataOffset };
  checkSize(header, byteLength, what);
  return header;
}

function readShape(value: PythonLiteral | undefined, what: string): number[] {
  const numbers = Array.isArray(value) && value.every((dim) => typeof dim === 'number') ? (value as number[]) : null;
  if (numbers === null || numbers.length > LIMITS.tensorRank || checkedNumel(numbers) === null) {
    throw corruptFile(what, "shape is not a tuple of a tensor's dimensions");
  }
  return numbers;
}

function readDescr(value: PythonLiteral | undefined, what: string): Pick<NpyHeader, 'dtype' | 'descr' | 'bigEndian'> {
  if (hasObjects(value)) throw unsafeFile(what, 'it holds pickled Python objects (dtype object)');
  if (typeof value !== 'string') return { dtype: null, descr: 'record', bigEndian: false };
  const { order, code } = /^(?<order>[<>|=]?)(?<code>.*)$/s.exec(value)?.groups ?? { order: '', code: '' };
  const dtype = Object.hasOwn(NPY_DTYPES, code) ? NPY_DTYPES[code] : null;
  return { dtype, descr: value.slice(0, 40), bigEndian: order === '>' };
}

/** Whether a type, or one inside it, is `object`: its data would be a pickle. */
function hasObjects(value: PythonLiteral | undefined): boolean {
  if (typeof value === 'string') return /^[<>|=]?O/.test(value);
  return Array.isArray(value) && value.some(hasObjects);
}

function checkSize({ dtype, shape, dataOffset }: NpyHeader, byteLength: number, what: string): void {
  if (dtype === null) return;
  const due = (checkedNumel(shape) ?? 0) * DTYPES[dtype].bytes;
  if (dataOffset + due !== byteLength) {
    throw corruptFile(
      what,
      `${dtype} ${formatShape(shape)} takes ${due} bytes, ${byteLength - dataOffset} follow the header`,
    );
  }
}

/** @param openData - gives the bytes behind the header, each time the tensor is read */
export function npyTensor(
  name: string,
  header: NpyHeader & { readonly dtype: Dtype },
  openData: () => Promise<ByteSource>,
): Tensor {
  const { dtype, shape, fortranOrder, bigEndian } = header;
  const { bytes: size, kind } = DTYPES[dtype];
  const swapBytes = bigEndian ? (kind === 'complex' ? size / 2 : size) : 1;
  const columnMajor = fortranOrder && shape.length > 1 && !shape.includes(0);
  return {
    name,
    dtype,
    shape,
    async *chunks() {
      const data = await openData();
      const stored = columnMajor
        ? gather(data, { shape, strides: columnMajorStrides(shape), size })
        : readChunks(data, LIMITS.chunkBytes);
      for await (const chunk of stored) yield swapped(chunk, swapBytes);
    },
  };
}

/** In elements: the first axis varies fastest. */
function columnMajorStrides(shape: readonly number[]): number[] {
  let step = 1;
  return shape.map((dim) => {
    const stride = step;
    step *= dim;
    return stride;
  });
}

/** Big-endian numbers of `size` bytes to little-endian, in place. */
function swapped(bytes: Uint8Array, size: number): Uint8Array {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (size === 2) buffer.swap16();
  else if (size === 4) buffer.swap32();
  else if (size === 8) buffer.swap64();
  return bytes;
}
