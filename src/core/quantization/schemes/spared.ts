import { PAIR_EMBEDDINGS } from '../../onnx/manifest-names.js';
import type { GraphProto } from '../../onnx/model.js';
import { isStandard } from '../../onnx/passes/uses.js';
import { logarithmInputs } from './logarithm.js';
import { nodeLabel, type QuantizationScheme } from './scheme.js';

const WHY_HEAD = 'the score head: it decides by small differences of embeddings, and has few weights';
/** What exporters of this package call the embeddings of items. */
const EMBEDDINGS: ReadonlySet<string> = new Set(['embedding', ...PAIR_EMBEDDINGS]);

/** Nodes that a scheme leaves as they are unasked, by label with the reason. */
export function sparedNodes(graph: GraphProto, { sparesHead }: QuantizationScheme): Map<string, string> {
  return new Map([...(sparesHead ? scoreHead(graph) : []), ...logarithmInputs(graph)]);
}

/** All that depends on an embedding which the graph computes; nothing where it takes embeddings as inputs, and is a head itself. */
function scoreHead({ node: nodes }: GraphProto): Map<string, string> {
  const found = new Map<string, string>();
  const reached = new Set<string>();
  for (const node of nodes) {
    const isHead = node.input.some((name) => reached.has(name));
    if (isHead && isStandard(node)) found.set(nodeLabel(node), WHY_HEAD);
    for (const name of node.output) if (isHead || EMBEDDINGS.has(name)) reached.add(name);
  }
  return found;
}
