import type { ByteSink } from '../bytes/sink.js';
import { ZipWriter } from '../bytes/zip-writer.js';
import type { Dtype } from '../tensor/dtype.js';
import { contiguousStrides, numel } from '../tensor/shape.js';
import { byteLength, type Tensor } from '../tensor/tensor.js';
import { PickleWriter } from './pickle/pickle-writer.js';

/** torch.serialization's name for the top folder does not matter to readers. */
const FOLDER = 'archive';
/** As torch aligns, so that storages can be mapped into memory. */
const ALIGNMENT = 64;
const FORMAT_VERSION = '3\n';

const STORAGE_CLASSES: Partial<Record<Dtype, string>> = {
  F64: 'DoubleStorage',
  F32: 'FloatStorage',
  F16: 'HalfStorage',
  BF16: 'BFloat16Storage',
  I64: 'LongStorage',
  I32: 'IntStorage',
  I16: 'ShortStorage',
  I8: 'CharStorage',
  U8: 'ByteStorage',
  BOOL: 'BoolStorage',
  C64: 'ComplexFloatStorage',
  C128: 'ComplexDoubleStorage',
};

/**
 * Writes a state dict as `torch.save` does (zip, since torch 1.6); `torch.load` reads it, also with `weights_only=True`.
 * Streams: memory is one piece of a tensor. Tensors of one `storageId` share one storage. The same tensors give the same bytes.
 * @throws RangeError for a duplicate name, or a dtype that has no storage class in torch
 */
export async function writeTorchCheckpoint(sink: ByteSink, tensors: Iterable<Tensor>): Promise<void> {
  const all = [...tensors];
  const storages = new Map<string | Tensor, { readonly key: string; readonly tensor: Tensor }>();
  for (const tensor of all) {
    const identity = storageIdentity(tensor);
    if (!storages.has(identity)) storages.set(identity, { key: String(storages.size), tensor });
  }
  const zip = new ZipWriter(sink, ALIGNMENT);
  const addBytes = (name: string, bytes: Uint8Array) => zip.add(`${FOLDER}/${name}`, bytes.byteLength, [bytes]);
  await addBytes(
    'data.pkl',
    pickleStateDict(all, (tensor) => storages.get(storageIdentity(tensor))!.key),
  );
  await addBytes('byteorder', Buffer.from('little'));
  for (const { key, tensor } of storages.values()) {
    await zip.add(`${FOLDER}/data/${key}`, byteLength(tensor), tensor.chunks());
  }
  await addBytes('version', Buffer.from(FORMAT_VERSION));
  await zip.finish();
}

/** Dtype and shape count too: a tensor made from another by a conversion may still carry its storageId. */
const storageIdentity = (tensor: Tensor): string | Tensor =>
  tensor.storageId === undefined ? tensor : `${tensor.storageId} ${tensor.dtype} ${tensor.shape}`;

function pickleStateDict(tensors: readonly Tensor[], storageKey: (tensor: Tensor) => string): Uint8Array {
  const names = new Set(tensors.map(({ name }) => name));
  if (names.size !== tensors.length) throw new RangeError('two tensors have the same name');
  const pickle = new PickleWriter();
  newOrderedDict(pickle).op('MARK');
  for (const tensor of tensors) {
    pickle.text(tensor.name);
    pickleTensor(pickle, tensor, storageKey(tensor));
  }
  return pickle.op('SETITEMS').finish();
}

/** `_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, backward_hooks)`. */
function pickleTensor(pickle: PickleWriter, { name, dtype, shape }: Tensor, key: string): void {
  const storageClass = STORAGE_CLASSES[dtype];
  if (storageClass === undefined) throw new RangeError(`${name}: torch has no storage class for ${dtype}`);
  pickle.global('torch._utils', '_rebuild_tensor_v2').op('MARK');
  pickle.op('MARK').text('storage').global('torch', storageClass).text(key).text('cpu').int(numel(shape));
  pickle.op('TUPLE').op('BINPERSID').int(0).intTuple(shape).intTuple(contiguousStrides(shape)).op('NEWFALSE');
  newOrderedDict(pickle).op('TUPLE').op('REDUCE');
}

const newOrderedDict = (pickle: PickleWriter): PickleWriter =>
  pickle.global('collections', 'OrderedDict').op('EMPTY_TUPLE').op('REDUCE');
