import { realpathSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { fileRange } from '../bytes/source.js';
import { encodeModel } from './encode.js';
import { EXTERNAL_LOCATION, type OnnxModel, type TensorProto } from './model.js';
import type { FileWeight } from './weight.js';
import { joinPieces } from './write.js';

/** A model without the weights that lie in a file already, and where that is. */
export interface BorrowedModel {
  readonly bytes: Uint8Array;
  /** Bytes of the weights that were left where they lie. */
  readonly weightBytes: number;
  /** Folder of the files that the weights lie in. */
  readonly folder: string;
}

/** Smaller tensors stay in the model: a runtime reads shapes from them before it looks into other files. */
const BORROWED_BYTES = 1024;

/**
 * The model with its weights as external data that points into the files it was read from, so that a runtime can map them where
 * they are: nothing is copied. What was computed since stays inside.
 * @param path - the file that the model was read from
 * @returns null where more than `maxBytes` would be inside
 */
export async function borrowWeights(model: OnnxModel, path: string, maxBytes: number): Promise<BorrowedModel | null> {
  const folder = dirname(realpathSync(path));
  const files = new Map<string, string>();
  let weightBytes = 0;
  const encoded = encodeModel(model, (tensor) => {
    const borrowed = pointing(tensor, folder, files);
    if (borrowed !== tensor) weightBytes += tensor.rawData?.byteLength ?? 0;
    return borrowed;
  });
  return encoded.byteLength > maxBytes ? null : { bytes: await joinPieces(encoded), weightBytes, folder };
}

/** One of the files that weights of a model lie in; null where all of them were computed. */
export function weightFileOf({ graph }: OnnxModel): string | null {
  for (const { rawData } of graph.initializer) {
    const range = rawData && rawData.byteLength >= BORROWED_BYTES ? rangeOf(rawData) : null;
    if (range) return range.path;
  }
  return null;
}

const rangeOf = (rawData: NonNullable<TensorProto['rawData']>): ReturnType<typeof fileRange> =>
  'source' in rawData ? fileRange((rawData as FileWeight).source) : null;

/** @param files - real paths by those that are known already */
function pointing(tensor: TensorProto, folder: string, files: Map<string, string>): TensorProto {
  const { rawData, ...rest } = tensor;
  if (rawData === undefined || rawData instanceof Uint8Array || rawData.byteLength < BORROWED_BYTES) return tensor;
  const range = rangeOf(rawData);
  if (range === null) return tensor;
  const file = files.get(range.path) ?? realpathSync(range.path);
  files.set(range.path, file);
  if (dirname(file) !== folder) return tensor;
  const externalData = [
    { key: 'location', value: basename(file) },
    { key: 'offset', value: String(range.offset) },
    { key: 'length', value: String(rawData.byteLength) },
  ];
  return { ...rest, externalData, dataLocation: EXTERNAL_LOCATION };
}
