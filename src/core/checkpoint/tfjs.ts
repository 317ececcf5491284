import { dirname, join } from 'node:path';
import { ConcatSource } from '../bytes/concat.js';
import { float16ToFloat32 } from '../bytes/half.js';
import { isJsonObject, type JsonValue, looksLikeJsonWith, parseJson } from '../bytes/json.js';
import { corruptFile } from '../bytes/refusal.js';
import { type ByteSource, FileSource, readChunks } from '../bytes/source.js';
import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import { DTYPES, type Dtype } from '../tensor/dtype.js';
import { tensorFromSource } from '../tensor/ranged.js';
import { checkedNumel, formatShape } from '../tensor/shape.js';
import type { Tensor, TensorInfo } from '../tensor/tensor.js';
import { asUint16, bytesOf } from '../tensor/values.js';
import type { CheckpointFormat, CheckpointNode, RawCheckpoint } from './format.js';
import { missingShard, plainFileName } from './shard-index.js';

/** Types as tfjs-core's `decodeWeights` and the Python converter name them. */
const TFJS_DTYPES: Readonly<Record<string, Dtype>> = {
  float32: 'F32',
  float16: 'F16',
  int32: 'I32',
  int16: 'I16',
  int8: 'I8',
  uint16: 'U16',
  uint8: 'U8',
  bool: 'BOOL',
  complex64: 'C64',
};

/** What a weight is stored as when it is quantized: `value = stored * scale + min`, or the half float itself. */
type Quantization =
  | { readonly kind: 'affine'; readonly dtype: 'U8' | 'U16'; readonly scale: number; readonly min: number }
  | { readonly kind: 'half'; readonly dtype: 'F16' };

interface WeightSpec {
  readonly name: string;
  readonly shape: readonly number[];
  readonly numel: number;
  /** null for strings, which are no numbers to read. */
  readonly dtype: Dtype | null;
  readonly quantization: Quantization | null;
}

interface WeightGroup {
  readonly paths: readonly string[];
  readonly weights: readonly JsonValue[];
}

/**
 * The weights of a TensorFlow.js layers or graph model: a model.json with a `weightsManifest`, and shards beside it.
 * Decoded as tfjs-core 4.22 does (`io/io_utils.ts`, `decodeWeights`); quantized weights read as what they stand for.
 */
export const tfjs: CheckpointFormat = {
  id: 'tfjs',
  label: 'TensorFlow.js model.json',
  // The manifest often follows a topology far longer than the stretch looked at.
  sniff: (head) => looksLikeJsonWith(head, ['weightsManifest', 'modelTopology']),
  async open(source: FileSource): Promise<RawCheckpoint> {
    const groups = readManifest(source);
    const shards: FileSource[] = [];
    const entries = new Map<string, CheckpointNode>();
    const ignored: { name: string; reason: string }[] = [];
    try {
      for (const { paths, weights } of groups) {
        const opened = paths.map((file) => {
          const shard = openShard(source, file);
          shards.push(shard);
          return shard;
        });
        const data = new ConcatSource(opened, opened.map(({ name }) => name).join(' + '));
        readGroup(source.name, weights, data, entries, ignored);
      }
    } catch (error) {
      for (const shard of shards) shard.close();
      throw error;
    }
    return {
      root: { kind: 'map', entries },
      files: [source.path, ...shards.map(({ path }) => path)],
      ignored,
      close() {
        for (const shard of shards) shard.close();
        source.close();
      },
    };
  },
};

function openShard(model: FileSource, file: string): FileSource {
  try {
    return FileSource.open(join(dirname(model.path), file));
  } catch (error) {
    if (error instanceof HpsError && error.code === 'FILE_NOT_FOUND') throw missingShard(model.name, file);
    throw error;
  }
}

function readManifest(source: FileSource): readonly WeightGroup[] {
  if (source.byteLength > LIMITS.jsonBytes) {
    throw corruptFile(source.name, `a model.json of ${source.byteLength} bytes, at most ${LIMITS.jsonBytes} are read`);
  }
  const model = parseJson(source.readSync(0, source.byteLength), { name: source.name, code: 'CHECKPOINT_CORRUPT' });
  const manifest = isJsonObject(model) ? model['weightsManifest'] : undefined;
  if (!Array.isArray(manifest)) throw corruptFile(source.name, 'weightsManifest is not a list');
  const groups = manifest.map((group): WeightGroup => {
    const paths = isJsonObject(group) ? group['paths'] : undefined;
    const weights = isJsonObject(group) ? group['weights'] : undefined;
    if (!isStrings(paths) || !Array.isArray(weights)) {
      throw corruptFile(source.name, 'a group of weightsManifest has no list of paths or of weights');
    }
    return { paths: paths.map((path) => plainFileName(source.name, path)), weights };
  });
  const files = groups.flatMap(({ paths }) => paths);
  if (files.length > LIMITS.shards)
    throw corruptFile(source.name, `${files.length} shards, at most ${LIMITS.shards} are allowed`);
  if (new Set(files).size < files.length) throw corruptFile(source.name, 'weightsManifest names a shard twice');
  const count = groups.reduce((total, { weights }) => total + weights.length, 0);
  if (count > LIMITS.tensors) throw corruptFile(source.name, `${count} weights, at most ${LIMITS.tensors} are allowed`);
  return groups;
}

/** The weights of one group lie end to end in its shards taken together, and fill them. */
function readGroup(
  file: string,
  weights: readonly JsonValue[],
  data: ByteSource,
  entries: Map<string, CheckpointNode>,
  ignored: { name: string; reason: string }[],
): void {
  let offset = 0;
  const names = new Set(ignored.map(({ name }) => name));
  for (const value of weights) {
    const spec = readSpec(file, value);
    const { name, dtype, shape, numel, quantization } = spec;
    if (entries.has(name) || names.has(name)) throw corruptFile(file, `two weights are named ${JSON.stringify(name)}`);
    if (dtype === null) {
      offset = endOfStrings(file, spec, data, offset);
      ignored.push({ name, reason: 'string weights' });
      names.add(name);
      continue;
    }
    const length = numel * DTYPES[quantization?.dtype ?? dtype].bytes; // past 2^53 inexact, but then past every file
    if (length > data.byteLength - offset) {
      throw corruptFile(
        file,
        `weight ${JSON.stringify(name)} takes ${length} bytes, ${data.byteLength - offset} are left`,
      );
    }
    const stored = data.slice(offset, length);
    const info = { name, dtype, shape };
    entries.set(name, {
      kind: 'tensor',
      tensor: quantization ? dequantized(info, quantization, stored) : tensorFromSource(info, stored),
    });
    offset += length;
  }
  if (offset !== data.byteLength) {
    throw corruptFile(file, `its weights take ${offset} bytes, ${data.name || 'no shard'} holds ${data.byteLength}`);
  }
}

function readSpec(file: string, value: JsonValue): WeightSpec {
  if (!isJsonObject(value)) throw corruptFile(file, 'a weight of weightsManifest is not an object');
  const { name, shape, dtype: dtypeName, quantization } = value;
  if (typeof name !== 'string' || name.length > LIMITS.tensorNameLength)
    throw corruptFile(file, 'a weight has no name');
  const bad = (rule: string) => corruptFile(file, `weight ${JSON.stringify(name.slice(0, 200))}: ${rule}`);
  if (!isNumbers(shape) || shape.length > LIMITS.tensorRank) throw bad('shape is not a short list of numbers');
  const numel = checkedNumel(shape);
  if (numel === null) throw bad(`shape ${formatShape(shape)} is not one of a tensor`);
  if (typeof dtypeName !== 'string') throw bad('dtype is not a string');
  if (dtypeName === 'string') return { name, shape, numel, dtype: null, quantization: null };
  if (!Object.hasOwn(TFJS_DTYPES, dtypeName)) throw bad(`unknown dtype ${JSON.stringify(dtypeName.slice(0, 40))}`);
  const dtype = TFJS_DTYPES[dtypeName];
  return {
    name,
    shape,
    numel,
    dtype,
    quantization: quantization === undefined ? null : readQuantization(bad, dtype, quantization),
  };
}

function readQuantization(bad: (rule: string) => HpsError, dtype: Dtype, value: JsonValue): Quantization {
  if (!isJsonObject(value)) throw bad('quantization is not an object');
  const { dtype: stored, scale, min } = value;
  if (stored === 'float16' && dtype === 'F32') return { kind: 'half', dtype: 'F16' };
  if (stored !== 'uint8' && stored !== 'uint16')
    throw bad(`${dtype} cannot be quantized as ${JSON.stringify(stored ?? null)}`);
  if (dtype !== 'F32' && dtype !== 'I32') throw bad(`${dtype} cannot be quantized`);
  if (typeof scale !== 'number' || typeof min !== 'number') throw bad('quantization has no scale or no min');
  return { kind: 'affine', dtype: stored === 'uint8' ? 'U8' : 'U16', scale, min };
}

/** Where string weights end: each element is a u32 length (little-endian) and so many bytes. */
function endOfStrings(file: string, { name, numel }: WeightSpec, data: ByteSource, offset: number): number {
  const tooLong = () => corruptFile(file, `the strings of weight ${JSON.stringify(name)} end outside their shards`);
  if (numel > LIMITS.stringElements) throw corruptFile(file, `weight ${JSON.stringify(name)} holds ${numel} strings`);
  let end = offset;
  for (let i = 0; i < numel; i++) {
    if (end + 4 > data.byteLength) throw tooLong();
    end += 4 + new DataView(data.readSync(end, 4).buffer).getUint32(0, true);
  }
  if (end > data.byteLength) throw tooLong();
  return end;
}

function dequantized(info: TensorInfo, quantization: Quantization, stored: ByteSource): Tensor {
  return {
    ...info,
    async *chunks() {
      const expansion = DTYPES[info.dtype].bytes / DTYPES[quantization.dtype].bytes;
      for await (const chunk of readChunks(stored, LIMITS.chunkBytes / expansion)) {
        yield bytesOf(dequantize(chunk, info.dtype, quantization));
      }
    },
  };
}

/** In double precision, then rounded to the element type, as JavaScript does it in tfjs. */
function dequantize(chunk: Uint8Array, dtype: Dtype, quantization: Quantization): Float32Array | Int32Array {
  if (quantization.kind === 'half') return float16ToFloat32(asUint16(chunk));
  const { scale, min } = quantization;
  const stored = quantization.dtype === 'U8' ? chunk : asUint16(chunk);
  if (dtype === 'I32') return Int32Array.from(stored, (value) => Math.round(value * scale + min));
  const values = new Float32Array(stored.length);
  for (let i = 0; i < stored.length; i++) values[i] = stored[i] * scale + min;
  return values;
}

const isStrings = (value: JsonValue | undefined): value is string[] =>
  Array.isArray(value) && value.every((item) => typeof item === 'string');
const isNumbers = (value: JsonValue | undefined): value is number[] =>
  Array.isArray(value) && value.every((item) => typeof item === 'number');
