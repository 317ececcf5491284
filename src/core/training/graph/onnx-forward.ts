import { renameGraph } from '../../ensemble/rename.js';
import { HpsError } from '../../errors.js';
import { extractSubgraph } from '../../onnx/extract.js';
import type { Manifest } from '../../onnx/manifest.js';
import { PAIR_EMBEDDINGS } from '../../onnx/manifest-names.js';
import { DATA_TYPE, type OnnxModel } from '../../onnx/model.js';
import { tensorOf } from '../../onnx/tensor-data.js';
import { numel } from '../../tensor/shape.js';
import type { Tensor } from '../../tensor/tensor.js';
import { transposeMatrix } from '../../tensor/transform.js';
import { EMBEDDING, type ForwardModel, type ParameterSource, trimForward } from './forward.js';

/** A released model taken apart for training. */
export interface OpenedForward {
  readonly forward: ForwardModel;
  /** The values of its parameters, by the key and in the orientation of the checkpoint. */
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** Whether keys are those of a checkpoint: not for a file whose parameters were folded into one another. */
  readonly hasWayBack: boolean;
}

/**
 * A model file of mode item or pair as training reads it.
 * @param file - what errors call it
 * @throws HpsError ONNX_UNSUPPORTED for a file that cannot be trained: a head alone, half precision, quantized weights
 */
export function openForward(model: OnnxModel, manifest: Manifest, file: string): OpenedForward {
  const { modality, mode } = manifest;
  if (modality === null || mode === 'head')
    throw untrainable(file, 'it has no encoder', 'Give a file of mode pair or item.');
  if (manifest.dtype !== 'fp32') throw untrainable(file, 'its weights are float16', 'Export the checkpoint as fp32.');
  const parameters = parametersOf(model, manifest, file);
  const { item, head } = mode === 'item' ? { item: model, head: null } : cutPair(model, manifest, file);
  const outputs = item.graph.output.map(({ name }) => name);
  if (!outputs.includes(EMBEDDING) || !outputs.includes('utility_logit'))
    throw untrainable(file, 'it does not give the embedding and the utility of an item', 'Export it with hpsv3.');
  const byName = new Map(model.graph.initializer.map((tensor) => [tensor.name ?? '', tensor]));
  const tensors = new Map<string, Tensor>();
  for (const [name, { key, transform }] of parameters) {
    const tensor = { ...tensorOf(byName.get(name)!), name: key };
    tensors.set(key, transform === 'transpose' ? transposeMatrix(tensor) : tensor);
  }
  return {
    forward: trimForward({
      modality,
      inputs: mode === 'item' ? manifest.inputs : leftInputs(manifest),
      item,
      head,
      parameters,
    }),
    tensors,
    hasWayBack: manifest.parameters !== undefined,
  };
}

/** Initializers that may be trained: those the manifest names; of a folded file all that are matrices or vectors of floats. */
function parametersOf(model: OnnxModel, manifest: Manifest, file: string): Map<string, ParameterSource> {
  const floats = model.graph.initializer.filter(({ dataType }) => dataType === DATA_TYPE.FLOAT);
  const names = new Set(floats.map(({ name = '' }) => name));
  if (!manifest.parameters) {
    const found = floats.filter(({ dims }) => numel(dims) > 1).map(({ name = '' }) => name);
    return new Map(found.map((name) => [name, { key: name, transform: 'identity' as const }]));
  }
  const stated = Object.entries(manifest.parameters);
  const lost = stated.find(([name]) => !names.has(name));
  if (lost)
    throw untrainable(
      file,
      `its ${lost[0]} is no float32 weight any more`,
      'Fine-tune the model before quantizing it.',
    );
  return new Map(stated);
}

const LEFT = 'left_';
const leftInputs = ({ inputs }: Manifest): Manifest['inputs'] =>
  inputs
    .filter(({ name }) => name.startsWith(LEFT))
    .map((input) => ({ ...input, name: input.name.slice(LEFT.length) }));

/** The left encoder with its utility as the item graph, and the head between both embeddings where there is one. */
function cutPair(model: OnnxModel, manifest: Manifest, file: string): { item: OnnxModel; head: OnnxModel | null } {
  const { graph } = model;
  if (!PAIR_EMBEDDINGS.every((name) => graph.valueInfo.some((info) => info.name === name)))
    throw untrainable(file, 'its encoder and head cannot be told apart', 'Export it with hpsv3.');
  const sided = manifest.inputs.map(({ name }) => name).filter((name) => name.startsWith(LEFT));
  const encoder = extractSubgraph(model, { inputs: sided, outputs: [PAIR_EMBEDDINGS[0], 'left_utility_logit'] });
  const head =
    manifest.decision === 'pair-head'
      ? extractSubgraph(model, { inputs: [...PAIR_EMBEDDINGS], outputs: ['logit', 'pair_logit'] })
      : null;
  const itemNames = new Map([
    ...sided.map((name) => [name, name.slice(LEFT.length)] as const),
    [PAIR_EMBEDDINGS[0], EMBEDDING],
    ['left_utility_logit', 'utility_logit'],
  ]);
  return {
    item: renamed(encoder, itemNames),
    head:
      head && renamed(head, new Map([[PAIR_EMBEDDINGS[0], 'left'] as const, [PAIR_EMBEDDINGS[1], 'right'] as const])),
  };
}

const renamed = (model: OnnxModel, names: ReadonlyMap<string, string>): OnnxModel => ({
  ...model,
  metadataProps: [],
  graph: renameGraph(model.graph, (name) => names.get(name) ?? name),
});

const untrainable = (file: string, reason: string, hint: string): HpsError =>
  new HpsError('ONNX_UNSUPPORTED', `${file}: cannot be fine-tuned: ${reason}`, { hint, details: { file, reason } });
