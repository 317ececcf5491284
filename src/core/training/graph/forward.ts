import type { ArchitectureExporter } from '../../architectures/architecture.js';
import type { JsonObject } from '../../bytes/json.js';
import type { Checkpoint } from '../../checkpoint/checkpoint.js';
import { GraphBuilder } from '../../onnx/builder.js';
import { extractSubgraph } from '../../onnx/extract.js';
import type { ParameterTransform } from '../../onnx/graph-core.js';
import type { ContractInput, Modality } from '../../onnx/manifest.js';
import type { OnnxModel } from '../../onnx/model.js';
import { foldConstants } from '../../onnx/passes/fold-constants.js';

/** Where the value of an initializer lies in the checkpoint. */
export interface ParameterSource {
  readonly key: string;
  readonly transform: ParameterTransform;
}

/** A model of one modality in the two parts that training joins: what encodes an item, and what decides on two embeddings. */
export interface ForwardModel {
  readonly modality: Modality;
  /** Of one item. */
  readonly inputs: readonly ContractInput[];
  /** From `inputs` to EMBEDDING and `itemOutputs`. */
  readonly item: OnnxModel;
  /** Those of `utility_logit`, `quality`, `fluency`, `toxicity` that the item graph has. */
  readonly itemOutputs: readonly string[];
  /** What a contrast of both modalities reads, [batch, width] of each; null for a model without. */
  readonly matchOutputs: readonly [string, string] | null;
  /** From `left` and `right` embeddings to `logit` and `pair_logit`; null where pairs are decided by their utilities. */
  readonly head: OnnxModel | null;
  /** By the initializer's name. */
  readonly parameters: ReadonlyMap<string, ParameterSource>;
}

export const EMBEDDING = 'embedding';
const ITEM_OUTPUTS = ['utility_logit', 'quality', 'fluency', 'toxicity'];
/** Values inside the item graph of a model that compares two modalities. */
export const MATCH_OUTPUTS = ['match_left', 'match_right'] as const;

/**
 * LayerNormalization (17) and Gelu (20) are operators from here on: they and their gradients are faster whole. The graph
 * is for training alone; what is released is exported anew.
 */
const FORWARD_OPSET = 20;

export interface ForwardRequest {
  readonly modality: Modality;
  readonly config: JsonObject | null;
  readonly configOrigin: string | null;
}

/**
 * The graphs of a checkpoint for one modality, weights unread.
 * @throws HpsError as `ArchitectureExporter.buildGraph`
 */
export async function buildForward(
  checkpoint: Checkpoint,
  exporter: ArchitectureExporter,
  request: ForwardRequest,
): Promise<ForwardModel> {
  const common = { ...request, dtype: 'F32', options: {} } as const;
  const itemGraph = new GraphBuilder(FORWARD_OPSET, checkpoint.tensors);
  const contract = exporter.buildGraph(checkpoint, itemGraph, { ...common, mode: 'item' });
  const headGraph = new GraphBuilder(FORWARD_OPSET, checkpoint.tensors);
  exporter.buildGraph(checkpoint, headGraph, { ...common, mode: 'head' });
  const parameters = new Map([...itemGraph.parametersUsed, ...headGraph.parametersUsed]);
  const kept = new Set(parameters.keys());
  return trimForward({
    modality: request.modality,
    inputs: contract.inputs,
    item: await foldConstants(itemGraph.build('item'), kept),
    head: await foldConstants(headGraph.build('head'), kept),
    parameters,
  });
}

/** Leaves what the losses read: other outputs go, and the parameters that only they needed. */
export function trimForward(whole: Omit<ForwardModel, 'itemOutputs' | 'matchOutputs'>): ForwardModel {
  const outputs = whole.item.graph.output.map(({ name }) => name);
  const itemOutputs = ITEM_OUTPUTS.filter((name) => outputs.includes(name));
  const inputs = whole.inputs.map(({ name }) => name);
  const item = extractSubgraph(whole.item, { inputs, outputs: [EMBEDDING, ...itemOutputs] });
  const head =
    whole.head && extractSubgraph(whole.head, { inputs: ['left', 'right'], outputs: ['logit', 'pair_logit'] });
  const used = new Set([item, head].flatMap((model) => model?.graph.initializer.map(({ name }) => name) ?? []));
  const parameters = new Map([...whole.parameters].filter(([name]) => used.has(name)));
  const values = new Set(item.graph.node.flatMap(({ output }) => output));
  const matchOutputs = MATCH_OUTPUTS.every((name) => values.has(name)) ? MATCH_OUTPUTS : null;
  return { ...whole, item, head, itemOutputs, matchOutputs, parameters };
}

/** Keys of the parameters that lie after the embedding: those of the head, whatever the family calls them. */
export function headKeys({ item, itemOutputs, head, parameters }: ForwardModel): Set<string> {
  const after = extractSubgraph(item, { inputs: [EMBEDDING], outputs: [...itemOutputs] });
  const used = [after, head].flatMap((model) => model?.graph.initializer.map(({ name = '' }) => name) ?? []);
  return new Set(used.flatMap((name) => parameters.get(name)?.key ?? []));
}
