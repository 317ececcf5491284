import type { GraphBuilder } from '../../onnx/builder.js';
import type { Value } from '../../onnx/graph-core.js';
import type { ContractOutput } from '../../onnx/manifest.js';

/** The preference head, always in float32: what is decided here is what the file is for. Embeddings are [batch, D]. */

type Meaning = Pick<ContractOutput, 'meaning' | 'range'>;

/** An output of the graph and what it means. */
export interface HeadOutput extends Meaning {
  readonly name: string;
  readonly value: Value;
}

const UNBOUNDED: [null, null] = [null, null];
const AUXILIARY: Readonly<Record<string, string>> = {
  quality: 'Logits of the quality classes, worst to best.',
  fluency: 'Logits of not fluent and fluent.',
  toxicity: 'Logits of harmless and toxic.',
};

/** Raw utility [batch, 1]. */
function utilityLogit(graph: GraphBuilder, embedding: Value): Value {
  return graph.scope('utility', () => graph.linear(graph.gelu(graph.linear(embedding, 'head.abs1')), 'head.abs2'));
}

/** Mode item: utility, the human-scale value and the auxiliary classes of one embedding. */
export function itemOutputs(graph: GraphBuilder, embedding: Value): HeadOutput[] {
  return graph.scope('head', () => {
    const logit = utilityLogit(graph, embedding);
    const calibrated = graph.sigmoid(graph.linear(graph.tanh(graph.linear(logit, 'head.cal1')), 'head.cal2'));
    return [
      {
        name: 'embedding',
        value: embedding,
        meaning: 'Pooled latents of the item, input of mode head.',
        range: UNBOUNDED,
      },
      {
        name: 'utility_logit',
        value: graph.squeeze(logit, 1),
        meaning: 'Utility before its bound; differences decide pairs.',
        range: UNBOUNDED,
      },
      {
        name: 'utility',
        value: graph.squeeze(graph.tanh(logit), 1),
        meaning: 'tanh of utility_logit.',
        range: [-1, 1],
      },
      {
        name: 'calibrated',
        value: graph.squeeze(calibrated, 1),
        meaning: 'Utility mapped to the human scale.',
        range: [0, 1],
      },
      ...Object.entries(AUXILIARY).map(([name, meaning]): HeadOutput => {
        return { name, value: graph.linear(embedding, `head.${name}`), meaning, range: UNBOUNDED };
      }),
    ];
  });
}

/** Raw logit [batch] that `a` is preferred to `b`; not antisymmetric. */
function pairHead(graph: GraphBuilder, a: Value, b: Value): Value {
  const features = graph.concat([a, b, graph.sub(a, b), graph.mul(a, b)], 1);
  return graph.squeeze(graph.linear(graph.gelu(graph.linear(features, 'head.pair1')), 'head.pair2'), 1);
}

/** Modes pair and head: both utilities, the raw logit, and the antisymmetric pair logit that decisions read. */
export function pairOutputs(graph: GraphBuilder, left: Value, right: Value): HeadOutput[] {
  return graph.scope('head', () => {
    const logit = graph.scope('left-right', () => pairHead(graph, left, right));
    const reversed = graph.scope('right-left', () => pairHead(graph, right, left));
    const pairLogit = graph.mul(graph.sub(logit, reversed), graph.scalar(0.5, 'F32'));
    const utility = (side: string, embedding: Value): HeadOutput => {
      const value = graph.scope(side, () => graph.squeeze(utilityLogit(graph, embedding), 1));
      return {
        name: `${side}_utility_logit`,
        value,
        meaning: `Utility of the ${side} item before its bound.`,
        range: UNBOUNDED,
      };
    };
    return [
      utility('left', left),
      utility('right', right),
      {
        name: 'logit',
        value: logit,
        meaning: 'Raw logit of the pair head for (left, right); depends on their order.',
        range: UNBOUNDED,
      },
      {
        name: 'pair_logit',
        value: pairLogit,
        meaning: 'Log-odds that left is preferred: (head(left, right) - head(right, left)) / 2.',
        range: UNBOUNDED,
      },
    ];
  });
}
