import { isJsonObject, type JsonValue, parseJson } from '../bytes/json.js';
import { corruptFile } from '../bytes/refusal.js';
import type { ByteSource, FileSource } from '../bytes/source.js';
import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import { DTYPES, isDtype } from '../tensor/dtype.js';
import { tensorFromSource } from '../tensor/ranged.js';
import { checkedNumel, formatShape } from '../tensor/shape.js';
import type { TensorInfo } from '../tensor/tensor.js';
import type { CheckpointFormat, CheckpointNode, RawCheckpoint } from './format.js';

/** u64, little-endian. */
const HEADER_LENGTH_BYTES = 8;
/** `{}`. */
const MIN_HEADER_BYTES = 2;
const OPENING_BRACE = 0x7b;
const METADATA = '__metadata__';
const ENTRY_KEYS = new Set(['dtype', 'shape', 'data_offsets']);

/** Types the format knows and this reader does not: bits of an element. */
const UNSUPPORTED_BITS: Readonly<Record<string, number>> = {
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
};

interface Entry extends TensorInfo {
  /** Byte range in the data that follow the header. */
  readonly begin: number;
  readonly end: number;
}

interface Header {
  /** In the order of their data. */
  readonly entries: readonly Entry[];
  readonly metadata: ReadonlyMap<string, string>;
  /** Where the data start in the file. */
  readonly dataOffset: number;
}

/**
 * The safetensors format, by the checks of its reference implementation (crate `safetensors` 0.8, `SafeTensors::deserialize`)
 * and those its JSON parser leaves out: duplicate keys, and numbers other than plain digits.
 */
export const safetensors: CheckpointFormat = {
  id: 'safetensors',
  label: 'safetensors',
  sniff,
  async open(source: FileSource): Promise<RawCheckpoint> {
    const { entries, metadata, dataOffset } = readHeader(source);
    const nodes = entries.map(({ name, dtype, shape, begin, end }): [string, CheckpointNode] => {
      const data = source.slice(dataOffset + begin, end - begin);
      return [name, { kind: 'tensor', tensor: tensorFromSource({ name, dtype, shape }, data) }];
    });
    return {
      root: { kind: 'map', entries: new Map(nodes) },
      files: [source.path],
      ignored: [],
      metadata,
      close: () => source.close(),
    };
  },
};

/** A damaged header is still recognised where its words show, so that the error can name what is wrong with it. */
function sniff(head: Uint8Array): boolean {
  if (head.byteLength < HEADER_LENGTH_BYTES) return false;
  if (head.byteLength === HEADER_LENGTH_BYTES) return head.subarray(4).every((byte) => byte === 0); // a length and no header
  // Eight characters of text would state a length far beyond any file: this is a JSON document, say.
  if (head.subarray(0, HEADER_LENGTH_BYTES).every((byte) => byte >= 0x09 && byte < 0x7f)) return false;
  return head[HEADER_LENGTH_BYTES] === OPENING_BRACE || Buffer.from(head).includes('"data_offsets"');
}

function readHeader(source: ByteSource): Header {
  const bytes = readHeaderBytes(source);
  const root = parseJson(bytes, {
    name: `${source.name}: header`,
    code: 'CHECKPOINT_CORRUPT',
    maxBytes: LIMITS.safetensorsHeaderBytes,
    maxMembers: LIMITS.tensors + 1, // one may be the metadata
    naturals: true,
  });
  if (!isJsonObject(root)) throw corruptFile(source.name, 'the header is not a JSON object');
  const entries: Entry[] = [];
  for (const name of Object.keys(root)) if (name !== METADATA) entries.push(readEntry(source.name, name, root[name]));
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  const dataOffset = HEADER_LENGTH_BYTES + bytes.byteLength;
  checkCoverage(source, entries, dataOffset);
  return { entries, metadata: readMetadata(source.name, root[METADATA]), dataOffset };
}

function readHeaderBytes(source: ByteSource): Uint8Array {
  if (source.byteLength < HEADER_LENGTH_BYTES + MIN_HEADER_BYTES) {
    throw corruptFile(source.name, `${source.byteLength} bytes are too few for a safetensors file`);
  }
  const prefix = source.readSync(0, HEADER_LENGTH_BYTES);
  const stated = new DataView(prefix.buffer).getBigUint64(0, true); // compared before it becomes a number
  const available = source.byteLength - HEADER_LENGTH_BYTES;
  if (stated < MIN_HEADER_BYTES || stated > available) {
    throw corruptFile(source.name, `a header of ${stated} bytes does not fit in the file's ${source.byteLength}`);
  }
  if (stated > LIMITS.safetensorsHeaderBytes) {
    throw corruptFile(source.name, `a header of ${stated} bytes, at most ${LIMITS.safetensorsHeaderBytes} are allowed`);
  }
  const bytes = source.readSync(HEADER_LENGTH_BYTES, Number(stated));
  if (bytes[0] !== OPENING_BRACE) throw corruptFile(source.name, 'the header does not start with "{"');
  checkTensorCount(source.name, bytes);
  return bytes;
}

/** Every tensor opens one brace: counted before the header is parsed, which for 100 MB of them takes seconds. */
function checkTensorCount(file: string, header: Uint8Array): void {
  let braces = 0;
  for (let i = 0; i < header.byteLength; i++) if (header[i] === OPENING_BRACE) braces++;
  if (braces > LIMITS.tensors + 2) {
    throw corruptFile(file, `the header lists some ${braces} tensors, at most ${LIMITS.tensors} are allowed`);
  }
}

function readEntry(file: string, name: string, value: JsonValue): Entry {
  const bad = (rule: string) => corruptFile(file, `tensor ${quote(name)}: ${rule}`);
  if (name.length > LIMITS.tensorNameLength) throw bad(`a name of ${name.length} characters`);
  if (!isJsonObject(value)) throw bad('its entry is not a JSON object');
  for (const key in value) if (!ENTRY_KEYS.has(key)) throw bad(`unknown key ${quote(key)}`);
  const { dtype, shape, data_offsets: offsets } = value;
  if (!isNaturals(shape)) throw bad('shape is not a list of non-negative integers');
  if (shape.length > LIMITS.tensorRank)
    throw bad(`${shape.length} dimensions, at most ${LIMITS.tensorRank} are allowed`);
  if (!isNaturals(offsets) || offsets.length !== 2) throw bad('data_offsets is not a pair of non-negative integers');
  const numel = checkedNumel(shape);
  if (numel === null) throw bad(`shape ${formatShape(shape)} has more than 2^53 elements`);
  if (typeof dtype !== 'string') throw bad('dtype is not a string');
  if (!isDtype(dtype)) throw unknownDtype(file, quote(name), dtype, numel);
  const [begin, end] = offsets;
  const due = numel * DTYPES[dtype].bytes; // beyond 2^53 inexact, but then unequal to any range in a file
  if (end - begin !== due) {
    throw bad(
      `${dtype} ${formatShape(shape)} takes ${due} bytes, its data_offsets ${begin} to ${end} hold ${end - begin}`,
    );
  }
  return { name, dtype, shape, begin, end };
}

function unknownDtype(file: string, tensor: string, dtype: string, numel: number): HpsError {
  const bits = Object.hasOwn(UNSUPPORTED_BITS, dtype) ? UNSUPPORTED_BITS[dtype] : undefined;
  if (bits === undefined)
    return corruptFile(file, `tensor ${tensor}: unknown dtype ${JSON.stringify(dtype.slice(0, 40))}`);
  if ((numel * bits) % 8 !== 0)
    return corruptFile(file, `tensor ${tensor}: ${numel} elements of ${dtype} do not end on a byte`);
  return new HpsError(
    'CHECKPOINT_UNSUPPORTED',
    `${file}: tensor ${tensor} has dtype ${dtype}, which is not supported`,
    {
      hint: 'Save the checkpoint as float16, bfloat16 or float32.',
      details: { file, dtype },
    },
  );
}

/** The data must be the tensors, end to end, and nothing else. */
function checkCoverage(source: ByteSource, entries: readonly Entry[], dataOffset: number): void {
  let end = 0;
  for (const entry of entries) {
    if (entry.begin !== end) {
      const fault = entry.begin < end ? 'overlap those before them' : 'leave a hole before them';
      throw corruptFile(
        source.name,
        `tensor ${quote(entry.name)}: bytes ${entry.begin} to ${entry.end} ${fault} (${end})`,
      );
    }
    end = entry.end;
  }
  const available = source.byteLength - dataOffset;
  if (end !== available)
    throw corruptFile(source.name, `its tensors take ${end} bytes, the file has ${available} for them`);
}

function readMetadata(file: string, value: JsonValue | undefined): ReadonlyMap<string, string> {
  if (value === undefined) return new Map();
  if (!isJsonObject(value)) throw corruptFile(file, '__metadata__ is not a JSON object');
  const metadata = new Map<string, string>();
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string') throw corruptFile(file, `__metadata__ key ${quote(key)} is not a string`);
    metadata.set(key, text);
  }
  return metadata;
}

const quote = (text: string): string => JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text);

/** Whether a value parsed with `naturals` is a list of numbers: each then is a non-negative integer below 2^53. */
const isNaturals = (value: JsonValue | undefined): value is number[] =>
  Array.isArray(value) && value.every((item) => typeof item === 'number');
