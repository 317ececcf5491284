import type { JsonObject } from '../bytes/json.js';
import type { ByteSink } from '../bytes/sink.js';
import { LIMITS } from '../limits.js';
import { DTYPES } from '../tensor/dtype.js';
import { byteLength, type Tensor } from '../tensor/tensor.js';

/** The data start at a multiple of this, so that every element lies aligned in a mapped file. */
const DATA_ALIGNMENT = 8;

/**
 * Writes a safetensors file, streaming: memory is the header and one piece of a tensor.
 *
 * Wider dtypes come first, as in the reference implementation, so that every tensor lies aligned; within one width the
 * order given is kept (the reference sorts by name), so that a checkpoint read back lists its tensors as they were.
 * The same tensors and metadata in the same order give the same bytes.
 *
 * @throws RangeError for duplicate or reserved names, or a header beyond the format's 100 MB
 */
export async function writeSafetensors(
  sink: ByteSink,
  tensors: Iterable<Tensor>,
  metadata: ReadonlyMap<string, string> = new Map(),
): Promise<void> {
  const ordered = [...tensors].sort((a, b) => DTYPES[b.dtype].bytes - DTYPES[a.dtype].bytes); // stable
  await sink.write(encodeHeader(ordered, metadata));
  for (const tensor of ordered) await writeTensor(sink, tensor);
}

/** As `writeSafetensors`, with the configuration that `openCheckpoint` reads of a file that stands alone. */
export const writeConfigured = (sink: ByteSink, tensors: Iterable<Tensor>, config: JsonObject): Promise<void> =>
  writeSafetensors(
    sink,
    tensors,
    new Map([
      ['format', 'pt'],
      ['config', JSON.stringify(config)],
    ]),
  );

function encodeHeader(tensors: readonly Tensor[], metadata: ReadonlyMap<string, string>): Uint8Array {
  const names = new Set(['__metadata__']);
  const members: string[] = [];
  if (metadata.size > 0) members.push(`"__metadata__":${JSON.stringify(Object.fromEntries(metadata))}`);
  let offset = 0;
  for (const tensor of tensors) {
    const { name, dtype, shape } = tensor;
    if (names.has(name)) throw new RangeError(`two tensors cannot both be named ${name}`);
    names.add(name);
    const end = offset + byteLength(tensor);
    members.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [offset, end] })}`);
    offset = end;
  }
  const json = Buffer.from(`{${members.join(',')}}`);
  const headerLength = Math.ceil(json.byteLength / DATA_ALIGNMENT) * DATA_ALIGNMENT;
  if (headerLength > LIMITS.safetensorsHeaderBytes) {
    throw new RangeError(`a safetensors header of ${headerLength} bytes is beyond ${LIMITS.safetensorsHeaderBytes}`);
  }
  const bytes = new Uint8Array(8 + headerLength).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerLength), true);
  bytes.set(json, 8);
  return bytes;
}

async function writeTensor(sink: ByteSink, tensor: Tensor): Promise<void> {
  let written = 0;
  for await (const chunk of tensor.chunks()) {
    await sink.write(chunk);
    written += chunk.byteLength;
  }
  const due = byteLength(tensor);
  if (written !== due) throw new RangeError(`${tensor.name}: ${written} bytes came, ${due} were due`);
}
