import type { Checkpoint } from '../checkpoint/checkpoint.js';
import { HpsError } from '../errors.js';
import type { GraphBuilder } from '../onnx/builder.js';
import type { Value } from '../onnx/graph-core.js';
import { renameTensor } from '../tensor/transform.js';
import { TORCH_NORM_FLOOR, unitLength } from './blocks/heads.js';
import { type LinearLayer, linearChain } from './score-head/chain.js';

// A score head in a file of its own, over the embeddings of an encoder in another: both become one graph.

/** How a head reads an embedding; what its file cannot tell. */
export interface HeadReading {
  readonly activation: 'none' | 'relu';
  /** What is done to the embedding before its first layer. */
  readonly normalize: 'none' | 'l2';
}

export interface HeadFile extends HeadReading {
  /** Base name of the file, for messages and meanings. */
  readonly name: string;
  readonly layers: readonly LinearLayer[];
  /** The published head it is; null for any other. */
  readonly published: PublishedHead | null;
}

interface PublishedHead extends HeadReading {
  readonly name: string;
  readonly keys: readonly string[];
  /** How the package prepares pictures, where it does not do as the encoder's files say. */
  readonly preprocess?: string;
}

const numbered = (parent: string, indices: readonly number[]): string[] => indices.map((index) => `${parent}.${index}`);

/** Heads as they are published, by the names of their layers: between these stand dropouts and nothing else. */
const PUBLISHED: readonly PublishedHead[] = [
  {
    name: "LAION's aesthetic predictor (linear)",
    keys: numbered('layers', [0, 2, 4, 6, 7]),
    activation: 'none',
    normalize: 'l2',
    preprocess: 'open-clip',
  },
  {
    name: 'aesthetic-predictor-v2.5',
    keys: numbered('scoring_head', [0, 2, 4, 6, 8]),
    activation: 'none',
    normalize: 'l2',
  },
];

/** Before the names of the head's tensors in the graph, so that they meet none of the encoder's. */
const PREFIX = 'head_file.';

/**
 * What a head's file holds, and how it reads an embedding: as it was told, else as the published head of these names does.
 * @throws HpsError TENSORS_MISMATCH for what is no chain of linear layers to one score; CONFIG_INVALID where nothing tells
 *   whether activations stand between its layers
 */
export function readHead(head: Checkpoint, name: string, told: Partial<HeadReading>): HeadFile {
  const layers = linearChain(head.tensors);
  if (layers?.at(-1)?.outputs !== 1) {
    throw new HpsError('TENSORS_MISMATCH', `${name}: its tensors are not one chain of linear layers to one score`, {
      hint: 'A score head has weights [outputs, inputs] that follow each other, the last with one output.',
      details: { file: name },
    });
  }
  const keys = layers.map(({ key }) => key);
  const published =
    PUBLISHED.find((each) => each.keys.length === keys.length && each.keys.every((key, i) => key === keys[i])) ?? null;
  const activation = told.activation ?? published?.activation ?? (layers.length === 1 ? 'none' : undefined);
  if (activation === undefined) {
    throw new HpsError(
      'CONFIG_INVALID',
      `${name}: cannot say whether ReLUs stand between its ${layers.length} layers`,
      {
        hint: "Look at the model's code, then give `activation` none or `activation` relu.",
        details: { file: name, layers: keys },
      },
    );
  }
  const normalize = told.normalize ?? published?.normalize ?? 'none';
  return { name, layers, activation, normalize, published };
}

/** The encoder's checkpoint with the head's tensors beside its own. */
export function withHeadFile(encoder: Checkpoint, head: Checkpoint): Checkpoint {
  const tensors = [...head.tensors.values()].map((tensor) => renameTensor(tensor, PREFIX + tensor.name));
  return {
    ...encoder,
    tensors: new Map([...encoder.tensors, ...tensors.map((tensor) => [tensor.name, tensor] as const)]),
    files: [...encoder.files, ...head.files],
    close() {
      encoder.close();
      head.close();
    },
  };
}

/** The head's score [batch] of embeddings [batch, width], in float32. */
export function headScore(graph: GraphBuilder, embedding: Value, { layers, activation, normalize }: HeadFile): Value {
  return graph.scope('head', () => {
    let x = normalize === 'l2' ? unitLength(graph, embedding, TORCH_NORM_FLOOR) : graph.cast(embedding, 'F32');
    for (const [i, { key, outputs, gapAfter }] of layers.entries()) {
      x = graph.linear(x, PREFIX + key, { outputs, bias: graph.has(graph.parameterNames(PREFIX + key).bias) });
      if (activation === 'relu' && gapAfter && i + 1 < layers.length) x = graph.relu(x);
    }
    return graph.at(x, 1, 0);
  });
}

/** What `utility_logit` means, the normalisation between encoder and head included. */
export const headMeaning = ({ name, normalize, published }: HeadFile): string =>
  `Score of ${published?.name ?? name} for the embedding${normalize === 'l2' ? ' brought to length 1' : ' as it is'}.`;
