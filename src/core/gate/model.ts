import type { Manifest } from '../onnx/manifest.js';
import { DATA_TYPE, type NodeProto } from '../onnx/model.js';
import { openOnnx } from '../onnx/read.js';
import { readManifest } from '../onnx/read-manifest.js';

/** What the gate needs to know of a file before it is run. */
export interface ModelFacts {
  readonly path: string;
  /** Base name. */
  readonly file: string;
  /** The model's own account of itself, or null for a file of another tool. */
  readonly manifest: Manifest | null;
  /** All its files, external data included. */
  readonly bytes: number;
  readonly hasExternalData: boolean;
  /** Whether weights are float16, so that results differ in the third digit. */
  readonly half: boolean;
  /** Of the main graph, in topological order. */
  readonly nodes: readonly NodeProto[];
  /** Names of the graph's outputs. */
  readonly outputs: readonly string[];
}

/** @throws HpsError as `openOnnx`; ONNX_CORRUPT for a manifest that breaks its schema */
export async function readFacts(path: string): Promise<ModelFacts> {
  const opened = openOnnx(path);
  try {
    const { model, source, externalFiles } = opened;
    const manifest = await readManifest(model, source.name);
    return {
      path,
      file: source.name,
      manifest,
      bytes: externalFiles.reduce((sum, file) => sum + file.byteLength, source.byteLength),
      hasExternalData: externalFiles.length > 0,
      half:
        manifest?.dtype === 'fp16' || model.graph.initializer.some(({ dataType }) => dataType === DATA_TYPE.FLOAT16),
      nodes: model.graph.node,
      outputs: model.graph.output.map(({ name }) => name),
    };
  } finally {
    opened.close();
  }
}
