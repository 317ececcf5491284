import { corruptFile, unsafeFile } from '../bytes/refusal.js';
import type { PickleVocabulary } from '../checkpoint/pickle/unpickle.js';
import {
  PickleExtension,
  PickleGlobal,
  PickleList,
  PickleTuple,
  type PickleValue,
} from '../checkpoint/pickle/values.js';

/** The dtypes whose elements are read: texts, bytes, objects, and numbers. */
const DTYPE = /^([<>|=]?)([USOfi])(\d*)$/;
/** Elements of one array: a request has one a picture. */
const MAX_ELEMENTS = 65_536;
const NUMBERS = new Set(['f4', 'f8', 'i8']);

/** `numpy.dtype`, as its two steps of pickling make it. */
class NumpyDtype extends PickleExtension {
  readonly description = 'numpy dtype';
  bigEndian = false;

  constructor(
    readonly kind: string,
    readonly size: number,
  ) {
    super();
  }
}

/** An array of one dimension, or a scalar of none. */
export class NumpyArray extends PickleExtension {
  readonly description = 'numpy array';
  private dtype: NumpyDtype | undefined;
  private data: PickleValue = null;
  private count = 0;

  /** @returns what is wrong with it, if anything */
  set(dtype: PickleValue, count: number, data: PickleValue): string | undefined {
    if (!(dtype instanceof NumpyDtype)) return 'an array has no dtype';
    const width = dtype.kind === 'U' ? 4 * dtype.size : dtype.size;
    if (dtype.kind === 'O') {
      if (!(data instanceof PickleList) || data.items.length !== count) return 'an array of objects has another length';
    } else if (!(data instanceof Uint8Array) || data.byteLength !== count * width)
      return 'an array has another length than its shape';
    this.dtype = dtype;
    this.data = data;
    this.count = count;
    return undefined;
  }

  /** Texts and bytes as such, numbers as numbers. */
  elements(): PickleValue[] {
    const { dtype, data, count } = this;
    if (!dtype) return [];
    if (data instanceof PickleList) return data.items;
    const bytes = Buffer.from(data as Uint8Array);
    const width = bytes.length / Math.max(1, count);
    return Array.from({ length: count }, (_, i) => elementOf(bytes.subarray(i * width, (i + 1) * width), dtype));
  }
}

function elementOf(bytes: Buffer, { kind, size, bigEndian }: NumpyDtype): PickleValue {
  if (kind === 'S') return bytes.toString('utf8').replace(/\0+$/, '');
  if (kind === 'i') return Number(bigEndian ? bytes.readBigInt64BE() : bytes.readBigInt64LE());
  if (kind === 'f')
    return size === 4
      ? bigEndian
        ? bytes.readFloatBE()
        : bytes.readFloatLE()
      : bigEndian
        ? bytes.readDoubleBE()
        : bytes.readDoubleLE();
  const points = Array.from({ length: bytes.length / 4 }, (_, i) =>
    bigEndian ? bytes.readUInt32BE(4 * i) : bytes.readUInt32LE(4 * i),
  );
  while (points.at(-1) === 0) points.pop();
  return points.map((point) => (point <= 0x10ffff ? String.fromCodePoint(point) : '\ufffd')).join('');
}

const MODULES = ['numpy._core', 'numpy.core'];

/** Everything a pickle of plain data and small numpy arrays may name. Anything else is refused when it is named, and nothing is called. */
const NAMES: ReadonlySet<string> = new Set([
  ...MODULES.flatMap((home) => [
    `${home}.multiarray._reconstruct`,
    `${home}.multiarray.scalar`,
    `${home}.numeric._frombuffer`,
  ]),
  'numpy.ndarray',
  'numpy.dtype',
  '_codecs.encode',
]);

/** What trainers put into a request beside plain data: arrays of texts and numbers. */
export class NumpyVocabulary implements PickleVocabulary {
  /** @param file - what errors call the pickle */
  constructor(private readonly file: string) {}

  lookUp(module: string, name: string): PickleValue {
    if (!name.includes('.') && NAMES.has(`${module}.${name}`)) return new PickleGlobal(module, name);
    throw this.unsafe(`asks for ${printable(module)}.${printable(name)}, which no request needs; nothing was executed`);
  }

  call(callable: PickleValue, { items: args }: PickleTuple): PickleValue {
    if (!(callable instanceof PickleGlobal)) throw this.unsafe('calls something that is no function it may call');
    switch (callable.name) {
      case '_reconstruct':
        return new NumpyArray();
      case 'dtype':
        return this.dtype(args[0]);
      case 'scalar':
        return this.array(args[0], 1, args[1]).elements()[0];
      case '_frombuffer':
        return this.array(args[1], this.countOf(args[2]), args[0]);
      case 'encode':
        if (typeof args[0] === 'string' && args[1] === 'latin1') return Buffer.from(args[0], 'latin1');
        throw this.unsafe('encodes something that is no latin-1 text');
      default:
        throw this.unsafe(`calls ${callable.name}, which is no function it may call`);
    }
  }

  build(object: PickleValue, state: PickleValue): void {
    const items = state instanceof PickleTuple ? state.items : [];
    if (object instanceof NumpyDtype) {
      object.bigEndian = items[1] === '>';
      return;
    }
    // (version, shape, dtype, whether in Fortran order, data)
    if (!(object instanceof NumpyArray) || items.length !== 5)
      throw this.unsafe('sets the state of something that has none');
    const wrong = object.set(items[2], this.countOf(items[1]), items[4]);
    if (wrong !== undefined) throw corruptFile(this.file, wrong);
  }

  resolvePersistentId(): PickleValue {
    throw this.unsafe('refers to something outside itself');
  }

  private dtype(spelling: PickleValue | undefined): NumpyDtype {
    const [, order, kind, size] = (typeof spelling === 'string' && DTYPE.exec(spelling)) || [];
    const known = kind === 'U' || kind === 'S' || kind === 'O' || NUMBERS.has(`${kind}${size}`);
    if (kind === undefined || !known || Number(size) > 1e6) {
      throw this.unsafe(`has an array of dtype ${printable(String(spelling))}; U, S, O, f4, f8 and i8 are read`);
    }
    const dtype = new NumpyDtype(kind, Number(size || 0));
    dtype.bigEndian = order === '>';
    return dtype;
  }

  private array(dtype: PickleValue, count: number, data: PickleValue): NumpyArray {
    const array = new NumpyArray();
    const wrong = array.set(dtype, count, data);
    if (wrong !== undefined) throw corruptFile(this.file, wrong);
    return array;
  }

  /** Of a shape with one dimension at most. */
  private countOf(shape: PickleValue): number {
    const dims = shape instanceof PickleTuple ? shape.items : [];
    const [count = 1] = dims;
    if (
      dims.length <= 1 &&
      Number.isSafeInteger(count) &&
      (count as number) >= 0 &&
      (count as number) <= MAX_ELEMENTS
    ) {
      return count as number;
    }
    throw this.unsafe(`has an array of more than one dimension, or of more than ${MAX_ELEMENTS} elements`);
  }

  private unsafe(rule: string): Error {
    return unsafeFile(this.file, `the pickle ${rule}`, 'Send {"images": [bytes, …], "prompts": [str, …]}.');
  }
}

const printable = (text: string): string => text.replace(/\p{C}/gu, '?').slice(0, 120);
