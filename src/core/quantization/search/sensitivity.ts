import type { Probes } from '../../gate/probes.js';
import { numel } from '../../tensor/shape.js';
import { fixedInitializers } from '../graph-edit.js';
import { nodeLabel } from '../schemes/scheme.js';
import type { QuantizationSource } from '../source.js';
import { type Candidate, type CandidateOptions, makeCandidate } from './candidate.js';
import type { Judge } from './trial.js';

/** Nodes that share a weight: they are quantized together or not at all. */
export interface Layer {
  readonly nodes: readonly string[];
  /** Bytes that int8 saves. */
  readonly bytesSaved: number;
}

/** What quantizing one layer alone does to the decisions. */
export interface LayerSensitivity extends Layer {
  readonly flips: number;
  readonly maxLogitDiff: number;
}

/** Trials of single layers; in a deeper model neighbours are tried together. */
const MAX_TRIALS = 64;

/** The quantized nodes of a candidate by the weight they share, in the order of the graph; at most MAX_TRIALS groups of them. */
export function layersOf(source: QuantizationSource, { quantized }: Candidate): Layer[] {
  const weights = fixedInitializers(source.model.graph);
  const wanted = new Set(quantized);
  const layers = new Map<string, { nodes: string[]; bytesSaved: number }>();
  for (const node of source.model.graph.node) {
    const label = nodeLabel(node);
    if (!wanted.has(label)) continue;
    // The first constant of two axes or more is the weight; what has none (Add, pools) goes with what it reads.
    const weight = node.input.find((name) => (weights.get(name)?.dims.length ?? 0) >= 2);
    if (weight === undefined) continue;
    const layer = layers.get(weight) ?? { nodes: [], bytesSaved: 3 * numel(weights.get(weight)!.dims) };
    layer.nodes.push(label);
    layers.set(weight, layer);
  }
  return grouped([...layers.values()], MAX_TRIALS);
}

function grouped(layers: readonly Layer[], limit: number): Layer[] {
  const size = Math.max(1, Math.ceil(layers.length / limit));
  return Array.from({ length: Math.ceil(layers.length / size) }, (_, i) => {
    const part = layers.slice(i * size, (i + 1) * size);
    return {
      nodes: part.flatMap(({ nodes }) => nodes),
      bytesSaved: part.reduce((sum, { bytesSaved }) => sum + bytesSaved, 0),
    };
  });
}

/**
 * Quantizes each layer alone and measures the decisions: winner flips, then the largest error of the logit.
 * @returns most harmful first, by flips per byte saved, then by error per byte saved
 */
export async function measureSensitivity(
  source: QuantizationSource,
  layers: readonly Layer[],
  judge: Judge,
  rows: Probes,
  options: CandidateOptions,
): Promise<LayerSensitivity[]> {
  const measured: LayerSensitivity[] = [];
  for (const layer of layers) {
    const others = layers.filter((other) => other !== layer).flatMap(({ nodes }) => nodes);
    const candidate = await makeCandidate(source, { ...options, excludeNamed: named(others, 'not tried now') });
    const [{ flips, maxScoreDiff }] = await judge.judge(candidate, [rows]);
    measured.push({ ...layer, flips, maxLogitDiff: maxScoreDiff });
    options.onBatch?.();
  }
  return measured.sort(
    (a, b) =>
      b.flips / b.bytesSaved - a.flips / a.bytesSaved || b.maxLogitDiff / b.bytesSaved - a.maxLogitDiff / a.bytesSaved,
  );
}

export const named = (nodes: readonly string[], why: string): Map<string, string> =>
  new Map(nodes.map((node) => [node, why]));
