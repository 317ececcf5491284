import { HpsError } from '../errors.js';
import { extractSubgraph } from '../onnx/extract.js';
import type { ContractInput } from '../onnx/manifest.js';
import { DATA_TYPE, type OnnxModel } from '../onnx/model.js';
import { float32Value, floatsOf, type TensorValue } from '../runtime/value.js';
import type { ScoringContract } from '../samples/contract.js';
import type { Decision, SideName } from './decision.js';
import type { RowFeeds } from './differentiator.js';
import { embeddingValueOf } from './embedding-value.js';
import { openOwnSession } from './own-session.js';
import type { PreparedSide } from './prepared.js';
import type { Token } from './tokens.js';

export type PartKind = 'image' | 'text' | 'audio' | 'video';

/** One thing that a decision is taken apart into: the picture, the text, the sound or the clip of one side. */
export interface Part {
  readonly side: SideName;
  readonly kind: PartKind;
  readonly input: ContractInput;
  /** The value of the graph that attributions are made for: the input itself, or what a text is embedded as. */
  readonly value: string;
  /** Shape of one row, without the batch: [3, height, width], [tokens, width], [samples], [3, frames, height, width]. */
  readonly shape: readonly number[];
  readonly x: Float32Array;
  /** Where paths start: the mean colour, silence, or the embedding of [PAD] at every place. The same on both sides. */
  readonly baseline: Float32Array;
  /** Of a text, padding left out. */
  readonly tokens: readonly Token[] | null;
}

/** The parts of a decision and the feeds of its graph at x. */
export interface ExplainedInputs {
  readonly parts: readonly Part[];
  /** Inner values that are fed: embeddings of texts. */
  readonly fed: readonly string[];
  /** One row, `fed` included. */
  readonly feeds: RowFeeds;
}

const KINDS: ReadonlySet<string> = new Set(['image', 'text', 'audio', 'video']);

/**
 * @throws HpsError GRADIENT_UNSUPPORTED where a text does not go through an embedding table
 */
export async function partsOf(
  decision: Decision,
  contract: ScoringContract,
  sides: readonly PreparedSide[],
): Promise<ExplainedInputs> {
  const parts: Part[] = [];
  const feeds = new Map<string, TensorValue>();
  for (const { side, prefix } of decision.sides) {
    const prepared = sides.find((each) => each.side === side)!;
    for (const [name, value] of prepared.inputs) feeds.set(prefix + name, value);
  }
  const fed: string[] = [];
  for (const { side, prefix } of decision.sides) {
    const { inputs, tokens } = sides.find((each) => each.side === side)!;
    for (const input of contract.inputs) {
      const { kind } = input.preprocess;
      if (!KINDS.has(kind)) continue;
      const name = prefix + input.name;
      const common = { side, kind: kind as PartKind, input, tokens: kind === 'text' ? tokens : null };
      if (kind === 'text') {
        const value = embeddingValueOf(decision.model, name);
        if (value === null) throw noTable(name);
        const pad = input.preprocess.kind === 'text' ? input.preprocess.pad : 0;
        const embedded = await embedText(decision.model, { value, ids: name, pad, feeds });
        fed.push(value);
        feeds.set(value, float32Value([1, ...embedded.shape], embedded.x));
        parts.push({ ...common, value, ...embedded });
      } else {
        const { shape, data } = inputs.get(input.name)!;
        if (!(data instanceof Float32Array)) throw notFloat(name);
        parts.push({ ...common, value: name, shape: shape.slice(1), x: data, baseline: new Float32Array(data.length) });
      }
    }
  }
  return { parts, fed, feeds };
}

interface TextPlace {
  readonly value: string;
  readonly ids: string;
  readonly pad: number;
  readonly feeds: RowFeeds;
}

/**
 * What a text is embedded as, and its baseline: the embedding of [PAD] at the first place, at every place. All places being equal,
 * whatever attention and pooling make of them does not depend on their number: two texts of other lengths have one baseline.
 */
async function embedText(
  model: OnnxModel,
  { value, ids, pad, feeds }: TextPlace,
): Promise<Pick<Part, 'shape' | 'x' | 'baseline'>> {
  const types = new Map([[value, { name: value, type: { tensorType: { elemType: DATA_TYPE.FLOAT } } }]]);
  const names = model.graph.input.map(({ name }) => name);
  const whole = extractSubgraph(model, { inputs: names, outputs: [value], types });
  const used = new Set(whole.graph.node.flatMap(({ input }) => input));
  const graph = { ...whole.graph, input: whole.graph.input.filter(({ name }) => used.has(name)) };
  const own = new Map(graph.input.map(({ name }) => [name, feeds.get(name)!]));
  const given = feeds.get(ids)!;
  const padded = { ...given, data: new BigInt64Array(given.data.length).fill(BigInt(pad)) };
  const session = await openOwnSession({ ...whole, graph });
  try {
    const at = async (values: RowFeeds): Promise<TensorValue> => (await session.run(values)).get(value)!;
    const found = await at(own);
    const x = floatsOf(found).slice();
    const [tokens, width] = found.shape.slice(-2);
    const first = floatsOf(await at(new Map([...own, [ids, padded]]))).subarray(0, width);
    const baseline = new Float32Array(tokens * width);
    for (let token = 0; token < tokens; token++) baseline.set(first, token * width);
    return { shape: [tokens, width], x, baseline };
  } finally {
    await session.release();
  }
}

const noTable = (input: string): HpsError =>
  new HpsError('GRADIENT_UNSUPPORTED', `no gradient to ${input}: its token ids go through no embedding table`, {
    hint: 'Explain it with `method` occlusion or leave-one-out, which need no gradient.',
    details: { value: input },
  });

const notFloat = (input: string): HpsError =>
  new HpsError('GRADIENT_UNSUPPORTED', `no gradient to ${input}: it is not float32`, {
    hint: 'Explain the float32 export of this model, or use `method` occlusion.',
    details: { value: input },
  });
