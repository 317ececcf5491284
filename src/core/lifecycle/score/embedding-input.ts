import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import { parseJson } from '../../bytes/json.js';
import { FileSource } from '../../bytes/source.js';
import type { CheckpointNode } from '../../checkpoint/format.js';
import { npy } from '../../checkpoint/npy.js';
import { openRaw } from '../../checkpoint/registry.js';
import { safetensors } from '../../checkpoint/safetensors.js';
import { readParquetEmbeddings } from '../../data/parquet.js';
import { readWhole } from '../../documents/read-whole.js';
import { HpsError } from '../../errors.js';
import { LIMITS } from '../../limits.js';
import { DTYPES } from '../../tensor/dtype.js';
import { formatShape } from '../../tensor/shape.js';
import type { Tensor } from '../../tensor/tensor.js';
import { castTensor } from '../../tensor/transform.js';
import { asFloat32 } from '../../tensor/values.js';

/** Files of embeddings by their ending, as `embed` writes them. */
const ENDINGS = /\.(npy|safetensors|parquet)$/i;

export const isEmbeddingFile = (path: string): boolean => ENDINGS.test(path);

export interface EmbeddingRow {
  readonly id: string;
  readonly embedding: Float32Array;
}

/**
 * The embeddings of a .npy, .safetensors or .parquet file, in bounded memory, with the ids beside them; without ids, `row-1`, `row-2` …
 * @throws HpsError DATA_INVALID for a file without rows of numbers of one width, or with as many ids as it has not rows
 */
export async function* readEmbeddings(path: string, width: number): AsyncGenerator<EmbeddingRow> {
  let row = 0;
  for await (const { id, embedding } of path.toLowerCase().endsWith('.parquet')
    ? parquetRows(path)
    : tensorRows(path)) {
    row++;
    if (embedding.length !== width)
      throw invalid(path, `row ${row} has ${embedding.length} numbers, the head reads ${width}`);
    const at = embedding.findIndex((value) => !Number.isFinite(value));
    if (at >= 0) throw invalid(path, `number ${at + 1} of row ${row} is ${embedding[at]}`);
    yield { id: id ?? `row-${row}`, embedding };
  }
  if (row === 0) throw invalid(path, 'holds no embeddings');
}

interface FoundRow {
  readonly id: string | null;
  readonly embedding: Float32Array;
}

async function* parquetRows(path: string): AsyncGenerator<FoundRow> {
  const source = FileSource.open(path);
  try {
    for await (const { id, embedding } of readParquetEmbeddings(source)) {
      if (!Array.isArray(embedding) && !ArrayBuffer.isView(embedding))
        throw invalid(path, 'its column embedding holds no lists of numbers');
      yield {
        id: id === null ? null : String(id),
        embedding: Float32Array.from(embedding as ArrayLike<number>, Number),
      };
    }
  } finally {
    source.close();
  }
}

async function* tensorRows(path: string): AsyncGenerator<FoundRow> {
  const { raw } = await openRaw(path, [npy, safetensors]);
  try {
    const tensor = matrixOf(raw.root, path);
    const [rows, width] = tensor.shape;
    const ids = idsOf(path, raw.metadata?.get('ids'));
    if (ids && ids.length !== rows) throw invalid(path, `has ${rows} rows and ${ids.length} ids`);
    let row = 0;
    for await (const embedding of rowsOf(castTensor(tensor, 'F32'), width))
      yield { id: ids?.[row++] ?? null, embedding };
  } finally {
    raw.close();
  }
}

/** The one matrix of floats in a file. */
function matrixOf(root: CheckpointNode, path: string): Tensor {
  const found: Tensor[] = [];
  const collect = (node: CheckpointNode): void => {
    if (node.kind === 'tensor') found.push(node.tensor);
    else if (node.kind === 'map') for (const entry of node.entries.values()) collect(entry);
  };
  collect(root);
  const matrices = found.filter(({ shape, dtype }) => shape.length === 2 && DTYPES[dtype].kind === 'float');
  const named = matrices.filter(({ name }) => name === 'embeddings');
  const [tensor, ...others] = named.length === 1 ? named : matrices;
  if (tensor && others.length === 0 && tensor.shape[1] > 0) return tensor;
  const shapes = found.slice(0, 4).map(({ shape, dtype }) => `${dtype} ${formatShape(shape)}`);
  throw invalid(path, `holds ${shapes.join(', ') || 'nothing'}, not one matrix of embeddings`);
}

function idsOf(path: string, stated: string | undefined): string[] | null {
  const beside = `${path}.ids.jsonl`;
  if (stated === undefined && !existsSync(beside)) return null;
  const name = stated === undefined ? basename(beside) : `${basename(path)}:ids`;
  const text =
    stated ??
    `[${Buffer.from(readWhole(beside, { limit: LIMITS.jsonBytes, what: 'a file of ids', hint: HINT }).bytes)
      .toString()
      .trim()
      .split('\n')
      .join(',')}]`;
  const ids = parseJson(text, { name, code: 'DATA_INVALID' });
  if (Array.isArray(ids) && ids.every((id) => typeof id === 'string')) return ids;
  throw invalid(path, 'its ids are not a list of strings');
}

/** Rows of a float32 matrix, whatever the sizes of the chunks it is read in. */
async function* rowsOf(tensor: Tensor, width: number): AsyncGenerator<Float32Array> {
  const rowBytes = 4 * width;
  let kept: Uint8Array = new Uint8Array(0);
  for await (const chunk of tensor.chunks()) {
    const bytes = kept.byteLength === 0 ? chunk : Buffer.concat([kept, chunk]);
    let at = 0;
    for (; at + rowBytes <= bytes.byteLength; at += rowBytes) yield asFloat32(bytes.slice(at, at + rowBytes));
    kept = bytes.slice(at);
  }
}

const HINT = 'Give a matrix of floats as `hpsv3 embed` writes it: .npy, .safetensors or .parquet.';

const invalid = (path: string, rule: string): HpsError =>
  new HpsError('DATA_INVALID', `${basename(path)}: ${rule}`, { hint: HINT, details: { file: basename(path) } });
