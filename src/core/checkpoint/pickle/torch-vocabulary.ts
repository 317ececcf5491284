import { corruptFile, unsafeFile } from '../../bytes/refusal.js';
import { LIMITS } from '../../limits.js';
import { DTYPES, type Dtype } from '../../tensor/dtype.js';
import { TorchDtype, TorchStorage, TorchStorageType, TorchTensor } from './torch-values.js';
import type { PickleVocabulary } from './unpickle.js';
import { PickleDict, PickleGlobal, PickleList, PickleOpaque, PickleTuple, type PickleValue } from './values.js';

/** Names of dtypes in torch (`torch.half` is pickled as `torch.float16`). */
const TORCH_DTYPES: Readonly<Record<string, Dtype>> = {
  float64: 'F64',
  float32: 'F32',
  float16: 'F16',
  bfloat16: 'BF16',
  float8_e4m3fn: 'F8_E4M3',
  float8_e5m2: 'F8_E5M2',
  int64: 'I64',
  int32: 'I32',
  int16: 'I16',
  int8: 'I8',
  uint64: 'U64',
  uint32: 'U32',
  uint16: 'U16',
  uint8: 'U8',
  bool: 'BOOL',
  complex64: 'C64',
  complex128: 'C128',
};

const TORCH_STORAGES: Readonly<Record<string, Dtype | null>> = {
  DoubleStorage: 'F64',
  FloatStorage: 'F32',
  HalfStorage: 'F16',
  BFloat16Storage: 'BF16',
  LongStorage: 'I64',
  IntStorage: 'I32',
  ShortStorage: 'I16',
  CharStorage: 'I8',
  ByteStorage: 'U8',
  BoolStorage: 'BOOL',
  ComplexFloatStorage: 'C64',
  ComplexDoubleStorage: 'C128',
  UntypedStorage: null,
  _UntypedStorage: null,
};

/** What each allowed function means. Everything that is not here is refused when it is named, before it could be called. */
const CALLS: Readonly<Record<string, (call: Call) => PickleValue>> = {
  'collections.OrderedDict': ({ args }) => dictOf(args[0]),
  'collections.Counter': ({ args }) => args[0] ?? new PickleDict(),
  'argparse.Namespace': () => new PickleDict(true),
  'builtins.set': ({ args }) => args[0] ?? new PickleList(),
  'builtins.frozenset': ({ args }) => args[0] ?? new PickleList(),
  'torch.Size': firstArgument,
  'torch.device': firstArgument,
  'torch._utils._rebuild_tensor': rebuildTensor,
  'torch._utils._rebuild_tensor_v2': rebuildTensor,
  'torch._utils._rebuild_tensor_v3': rebuildTensor,
  'torch._utils._rebuild_parameter': firstArgument,
  'torch._utils._rebuild_parameter_with_state': firstArgument,
  'torch._tensor._rebuild_from_type_v2': rebuildFromType,
  // Python 3 writes bytes so in protocol 2; only ever latin-1, which is the identity on code points below 256.
  '_codecs.encode': ({ args }) => new PickleOpaque(args[1] === 'latin1' ? 'bytes' : 'encoded text'),
  // Best scores and random states in training checkpoints: seen, not read.
  'numpy.dtype': () => new PickleOpaque('numpy dtype'),
  'numpy.core.multiarray.scalar': () => new PickleOpaque('numpy number'),
  'numpy._core.multiarray.scalar': () => new PickleOpaque('numpy number'),
  'numpy.core.multiarray._reconstruct': () => new PickleOpaque('numpy array'),
  'numpy._core.multiarray._reconstruct': () => new PickleOpaque('numpy array'),
};

/** Classes that are only passed as arguments. */
const MARKERS = new Set(['torch.Tensor', 'torch.nn.parameter.Parameter', 'numpy.ndarray']);

/** Python 2's names, which protocol 2 writes for Python 3's. */
const MODULE_ALIASES: Readonly<Record<string, string>> = { __builtin__: 'builtins' };

interface Call {
  readonly name: string;
  readonly args: readonly PickleValue[];
  /** File, for errors. */
  readonly file: string;
}

/**
 * What `torch.save` writes for state dicts and the plain values around them.
 * The list is that of `torch.load(weights_only=True)`, plus argparse.Namespace as a map; anything else is CHECKPOINT_UNSAFE.
 */
export class TorchVocabulary implements PickleVocabulary {
  /** @param file - what errors call the file */
  constructor(private readonly file: string) {}

  lookUp(module: string, name: string): PickleValue {
    const home = Object.hasOwn(MODULE_ALIASES, module) ? MODULE_ALIASES[module] : module;
    const qualifiedName = `${home}.${name}`;
    // The parts are compared too: `collections` + `x.OrderedDict` must not pass for a name it is not.
    const dotted = name.includes('.');
    if (!dotted && (Object.hasOwn(CALLS, qualifiedName) || MARKERS.has(qualifiedName)))
      return new PickleGlobal(home, name);
    if (home === 'torch' && Object.hasOwn(TORCH_DTYPES, name)) return new TorchDtype(TORCH_DTYPES[name]);
    if (['torch', 'torch.cuda', 'torch.storage'].includes(home)) {
      if (Object.hasOwn(TORCH_STORAGES, name)) return new TorchStorageType(TORCH_STORAGES[name]);
      if (name === 'TypedStorage' || name === '_TypedStorage') return new TorchStorageType(null);
    }
    throw unsafeFile(
      this.file,
      `the pickle asks for ${printable(module)}.${printable(name)}, which no state dict needs; nothing was executed`,
      'If you trust where it came from, load it there and save only `model.state_dict()`, or a safetensors file.',
    );
  }

  call(callable: PickleValue, args: PickleTuple): PickleValue {
    const meaning = callable instanceof PickleGlobal ? CALLS[callable.qualifiedName] : undefined;
    if (meaning === undefined)
      throw unsafeFile(this.file, `the pickle calls ${describe(callable)}, which is no function it may call`);
    return meaning({ name: (callable as PickleGlobal).qualifiedName, args: args.items, file: this.file });
  }

  build(object: PickleValue, state: PickleValue): void {
    if (object instanceof PickleDict) {
      if (!object.attributesAreEntries) return; // attributes of an OrderedDict, such as a state dict's `_metadata`
      if (!(state instanceof PickleDict))
        throw corruptFile(this.file, 'a namespace in the pickle has no dict of attributes');
      for (const [key, value] of state.entries) object.entries.set(key, value);
      return;
    }
    if (!(object instanceof PickleOpaque))
      throw unsafeFile(this.file, `the pickle sets the state of ${describe(object)}`);
  }

  /** `('storage', type, key, location, numel)`, in legacy files with a sixth item: null, or a view `(key, offset, numel)`. */
  resolvePersistentId(id: PickleValue): PickleValue {
    const items = id instanceof PickleTuple ? id.items : [];
    const [kind, type, key, location, numel, view] = items;
    if (
      kind !== 'storage' ||
      items.length < 5 ||
      items.length > 6 ||
      !(type instanceof TorchStorageType) ||
      typeof key !== 'string' ||
      typeof location !== 'string'
    ) {
      throw unsafeFile(
        this.file,
        `the pickle refers to something that is no storage (${kind === 'module' ? 'a module' : describe(id)})`,
      );
    }
    const elementBytes = type.dtype === null ? 1 : DTYPES[type.dtype].bytes;
    const count = nonNegative(this.file, numel, `the length of storage ${printable(key)}`);
    return new TorchStorage(key, type.dtype, elementBytes, count, this.storageView(view, key, count));
  }

  private storageView(view: PickleValue | undefined, key: string, count: number): TorchStorage['view'] {
    if (view === undefined || view === null) return { offset: 0, numel: count };
    const [, offset, numel] = view instanceof PickleTuple ? view.items : [];
    const what = `the view of storage ${printable(key)}`;
    const checked = { offset: nonNegative(this.file, offset, what), numel: nonNegative(this.file, numel, what) };
    if (checked.offset + checked.numel > count) throw corruptFile(this.file, `${what} ends outside it`);
    return checked;
  }
}

/** `(storage, offset, size, stride)`, then for v2 `requires_grad, hooks, metadata`, for v3 `requires_grad, hooks, dtype, metadata`. */
function rebuildTensor({ name, args, file }: Call): TorchTensor {
  const [storage, offset, size, stride] = args;
  if (!(storage instanceof TorchStorage)) throw unsafeFile(file, `the pickle makes a tensor of ${describe(storage)}`);
  const dtype = name.endsWith('_v3') && args[6] instanceof TorchDtype ? args[6].dtype : storage.dtype;
  if (dtype === null)
    throw corruptFile(file, `a tensor over the untyped storage ${printable(storage.key)} has no dtype`);
  return new TorchTensor(
    storage,
    dtype,
    nonNegative(file, offset, 'the offset of a tensor'),
    dims(file, size),
    dims(file, stride),
  );
}

function firstArgument({ name, args, file }: Call): PickleValue {
  if (args.length === 0) throw corruptFile(file, `the pickle calls ${name} without arguments`);
  return args[0];
}

/** `(function, type, args, state)`: a Parameter or Tensor that carries Python attributes, which are left out. */
function rebuildFromType({ args, file }: Call): PickleValue {
  const [rebuild, type, inner] = args;
  const plain = type instanceof PickleGlobal && MARKERS.has(type.qualifiedName);
  if (!plain || !(inner instanceof PickleTuple))
    throw unsafeFile(file, `the pickle makes a tensor of the type ${describe(type)}`);
  return new TorchVocabulary(file).call(rebuild, inner);
}

/** Python 2 writes an OrderedDict as a call with its pairs; Python 3 calls with nothing and sets the items. */
function dictOf(pairs: PickleValue | undefined): PickleDict {
  const dict = new PickleDict();
  if (!(pairs instanceof PickleList)) return dict;
  for (const pair of pairs.items) {
    if ((pair instanceof PickleTuple || pair instanceof PickleList) && pair.items.length === 2)
      dict.entries.set(pair.items[0], pair.items[1]);
  }
  return dict;
}

function dims(file: string, value: PickleValue): number[] {
  if (!(value instanceof PickleTuple)) throw corruptFile(file, 'a tensor has a shape or strides that are no tuple');
  if (value.items.length > LIMITS.tensorRank) throw unsafeFile(file, `a tensor has ${value.items.length} dimensions`);
  return value.items.map((item) => nonNegative(file, item, 'a dimension or stride of a tensor'));
}

function nonNegative(file: string, value: PickleValue | undefined, what: string): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0)
    throw corruptFile(file, `${what} is ${describe(value)}, not an integer of at least 0`);
  return value as number;
}

/** A value in a few words, safe to print. */
export function describe(value: PickleValue | undefined): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'string') return JSON.stringify(printable(value));
  if (value === null || typeof value !== 'object') return String(value);
  if (value instanceof PickleGlobal) return printable(value.qualifiedName);
  if (value instanceof PickleTuple) return 'a tuple';
  if (value instanceof PickleList) return 'a list';
  if (value instanceof PickleDict) return 'a dict';
  if (value instanceof Uint8Array) return 'bytes';
  return value.description;
}

const printable = (text: string): string => text.replace(/\p{C}/gu, '?').slice(0, 120);
