import { statSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { type FileKind, fileKind, folderKind } from '../bytes/file-kind.js';
import { FileSource, MemorySource } from '../bytes/source.js';
import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import { decodeModel } from './decode.js';
import { type ExternalDataOptions, ExternalDataResolver } from './external-data.js';
import type { OnnxModel } from './model.js';
import { corruptOnnx, unsafeOnnx } from './refusal.js';

/** A model whose weights are still in its files; they are readable until it is closed. */
export interface OnnxFile {
  readonly model: OnnxModel;
  readonly source: FileSource;
  /** The files its external data lies in. */
  readonly externalFiles: readonly FileSource[];
  /** What is allowed but worth knowing, one sentence each. */
  readonly warnings: readonly string[];
  close(): void;
}

/**
 * Opens a model: reads its structure, leaves its weights.
 * @throws HpsError MODEL_UNRECOGNISED for another kind of file, ONNX_CORRUPT, ONNX_UNSAFE (external data outside the folder),
 *   FILE_NOT_FOUND, FILE_UNREADABLE
 */
export function openOnnx(path: string, options: ExternalDataOptions = {}): OnnxFile {
  refuseFolder(path);
  const source = FileSource.open(path);
  const external = new ExternalDataResolver(path, options);
  const close = () => {
    external.close();
    source.close();
  };
  try {
    if (source.byteLength > LIMITS.onnxFileBytes) {
      throw corruptOnnx(source.name, `${source.byteLength} bytes are more than protobuf's ${LIMITS.onnxFileBytes}`);
    }
    const decoded = decodeModel(source);
    for (const tensor of decoded.external) external.resolve(tensor);
    return { model: decoded.model, source, externalFiles: external.sources, warnings: external.warnings, close };
  } catch (error) {
    const failure = (error as HpsError).code === 'ONNX_CORRUPT' ? (otherFile(source) ?? error) : error;
    close();
    throw failure;
  }
}

/** Asked only where the bytes are no model: the header of a checkpoint may open like one. */
function otherFile(source: FileSource): HpsError | null {
  if (source.byteLength === 0) return corruptOnnx(source.name, 'an empty file');
  const kind = fileKind(source);
  return kind === null || kind.is === 'model' ? null : notAModel(source.name, kind);
}

function refuseFolder(path: string): void {
  if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) return;
  const unknown = { what: 'a folder', hint: 'Give the path of the .onnx file itself.' };
  throw notAModel(basename(resolve(path)), folderKind(path) ?? unknown);
}

function notAModel(file: string, { what, hint, is }: FileKind): HpsError {
  const instead = is === undefined || is === 'checkpoint' ? `${what}, not an ONNX model` : what;
  return new HpsError('MODEL_UNRECOGNISED', `${file}: ${instead}`, { hint, details: { file, kind: what } });
}

/**
 * A model that is already in memory. It cannot have external data: there is no folder to look in.
 * @param name - what errors call it
 */
export function readModelBytes(bytes: Uint8Array, name = 'model'): OnnxModel {
  const { model, external } = decodeModel(new MemorySource(bytes, basename(name)));
  if (external.length > 0) throw unsafeOnnx(basename(name), `tensor ${external[0].name} lies in another file`);
  return model;
}
