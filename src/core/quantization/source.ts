import { checkModel } from '../onnx/check.js';
import type { Manifest } from '../onnx/manifest.js';
import { type OnnxModel, opsetOf } from '../onnx/model.js';
import { type OnnxFile, openOnnx } from '../onnx/read.js';
import { readManifest } from '../onnx/read-manifest.js';
import { preparationNotes, prepareModel } from './prepare.js';
import { pairKey } from './ranges/calibrate.js';

/** The float model that is quantized; its weights stay in its files until it is closed. */
export interface QuantizationSource {
  readonly path: string;
  /** Base name. */
  readonly name: string;
  readonly model: OnnxModel;
  readonly manifest: Manifest | null;
  readonly opset: number;
  /** Paths of all its files, the model first. */
  readonly files: readonly string[];
  /** Bytes of all its files. */
  readonly bytes: number;
  /** What preparing it takes from it, one sentence each. */
  readonly notes: readonly string[];
  /** The model as schemes read it. @throws HpsError ALREADY_QUANTIZED */
  prepared(foldNorms: boolean): Promise<OnnxModel>;
  /** Under which name a value's range is kept; see `ObserveOptions.keyOf`. */
  keyOf(values: readonly string[]): (value: string) => string;
  close(): void;
}

/** @throws HpsError as `openOnnx` and `checkModel` */
export async function openSource(path: string): Promise<QuantizationSource> {
  const file = openOnnx(path);
  try {
    checkModel(file.model, file.source.name);
    return describe(path, file, await readManifest(file.model, file.source.name));
  } catch (error) {
    file.close();
    throw error;
  }
}

function describe(path: string, file: OnnxFile, manifest: Manifest | null): QuantizationSource {
  const { model, source, externalFiles } = file;
  const prepared = new Map<boolean, Promise<OnnxModel>>();
  return {
    path,
    name: source.name,
    model,
    manifest,
    opset: opsetOf(model) ?? 1,
    files: [path, ...externalFiles.map((data) => data.path)],
    bytes: externalFiles.reduce((sum, { byteLength }) => sum + byteLength, source.byteLength),
    prepared(foldNorms) {
      const known = prepared.get(foldNorms) ?? prepareModel(model, source.name, foldNorms);
      prepared.set(foldNorms, known);
      return known;
    },
    notes: preparationNotes(model),
    keyOf: (values) => (manifest?.mode === 'pair' ? pairKey(values) : (value) => value),
    close: file.close,
  };
}
