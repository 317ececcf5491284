import { bindShapes } from '../../autodiff/bind.js';
import { withOutputs } from '../../autodiff/emitter.js';
import { type BoundGraph, tensorTypeProto } from '../../autodiff/types.js';
import { DATA_TYPE, intAttribute, type NodeProto, type OnnxModel, type TensorProto } from '../../onnx/model.js';
import { float32Value, type TensorValue } from '../../runtime/value.js';
import { bytesOf } from '../../tensor/values.js';
import type { LossModel } from '../engines/engine.js';
import type { Slab } from '../update/slabs.js';
import { EMBEDDING, type ForwardModel } from './forward.js';
import { scaleLoss, withHalfProducts } from './half-precision.js';
import { adaptedBy, loraNames } from './lora.js';
import { addLosses, type LossWeights } from './losses.js';
import type { ResidualBranch } from './residual.js';

export interface LossModelOptions {
  /** Pairs of one run; the graph encodes twice as many items: all left ones, then all right ones. */
  readonly pairs: number;
  readonly slabs: readonly Slab[];
  readonly losses: LossWeights;
  /** Whether embeddings go through a fed matrix [2 pairs, 2 pairs], which mixes rows. */
  readonly mixing: boolean;
  /** Whether embeddings are multiplied by a fed mask [2 pairs, D]. */
  readonly masking: boolean;
  /** Residual branches of the item graph, each of which is multiplied by its element of a fed vector [branches]. */
  readonly branches: readonly ResidualBranch[];
  /** Whether products are in float16: the loss is then multiplied by a fed scale before it is differentiated. */
  readonly half?: boolean;
}

/** Inputs of a loss model beside those of the forward model. */
export const MIXING = 'mixing';
export const MASK = 'embedding_mask';
export const BRANCHES = 'branch_scales';

/**
 * A modality's forward pass with its losses, for one batch size and one length of texts and sounds: parameters come in as
 * slabs, and what is not trained stays an initializer.
 * @param feeds - example data for the forward model's inputs, of 2 `pairs` rows
 */
export async function buildLossModel(
  forward: ForwardModel,
  feeds: ReadonlyMap<string, TensorValue>,
  options: LossModelOptions,
): Promise<LossModel & { readonly bound: BoundGraph }> {
  const { pairs } = options;
  const parameters = options.slabs.map(({ name }) => name);
  const whole = await bindForward(forward, feeds, options);
  const bound = options.half ? withHalfProducts(whole, parameters) : whole;
  const losses = addLosses(bound, {
    pairs,
    itemOutputs: forward.itemOutputs,
    matchOutputs: forward.matchOutputs,
    hasHead: forward.head !== null,
    weights: options.losses,
  });
  const scaled = options.half ? scaleLoss(losses.graph, 'loss') : null;
  const finished = withOutputs(scaled?.graph ?? losses.graph, losses.outputs);
  const inputs = scaled ? [...losses.inputs, scaled.input] : losses.inputs;
  const model = {
    ...finished.model,
    graph: {
      ...finished.model.graph,
      input: [
        ...finished.model.graph.input,
        ...inputs.map((each) => ({ name: each.name, type: tensorTypeProto(each) })),
      ],
    },
  };
  return { model, loss: scaled?.scaled ?? 'loss', parameters, bound: { ...finished, model } };
}

/** A modality's forward pass alone, with its parameters in slabs. */
export async function bindForward(
  forward: ForwardModel,
  feeds: ReadonlyMap<string, TensorValue>,
  options: Omit<LossModelOptions, 'losses'>,
): Promise<BoundGraph> {
  const { slabs, pairs, branches } = options;
  const examples = new Map(feeds);
  for (const { name, length } of slabs) examples.set(name, float32Value([length], new Float32Array(length)));
  const width = embeddingWidth(forward);
  if (options.mixing) examples.set(MIXING, float32Value([2 * pairs, 2 * pairs], new Float32Array(4 * pairs * pairs)));
  if (options.masking) examples.set(MASK, float32Value([2 * pairs, width], new Float32Array(2 * pairs * width)));
  if (branches.length > 0) examples.set(BRANCHES, float32Value([branches.length], new Float32Array(branches.length)));
  return bindShapes(joinForward(forward, examples, options), examples);
}

/** Length of an embedding. */
export function embeddingWidth({ item }: ForwardModel): number {
  const dims = item.graph.output.find(({ name }) => name === EMBEDDING)?.type?.tensorType?.shape?.dim ?? [];
  const width = dims[1]?.dimValue;
  if (width === undefined) throw new RangeError('the item graph has no embedding of known width');
  return width;
}

function joinForward(
  forward: ForwardModel,
  examples: ReadonlyMap<string, TensorValue>,
  { slabs, mixing, masking, branches }: Omit<LossModelOptions, 'losses'>,
): OnnxModel {
  const { item, head, itemOutputs, matchOutputs } = forward;
  const trained = new Set(slabs.flatMap(({ entries }) => entries.map(({ name }) => name)));
  const unpacked = slabs.map(unpackSlab);
  const adapted = new Set([...trained].flatMap((name) => adaptedBy(name) ?? []));
  const stages: NodeProto[] = [];
  let raw = EMBEDDING;
  const after = (opType: string, inputs: (value: string) => string[]): void => {
    const next = `${EMBEDDING}/${stages.length + 1}`;
    stages.push(plainNode(opType, inputs(next), raw));
    raw = next;
  };
  if (mixing) after('MatMul', (value) => [MIXING, value]);
  if (masking) after('Mul', (value) => [value, MASK]);
  const scaled = scaleBranches(item.graph.node, branches);
  const encoder = renameProducer(scaled.node, EMBEDDING, raw);
  const producer = encoder.findIndex(({ output }) => output.includes(raw));
  const nodes = [
    ...unpacked.flatMap(({ node }) => node),
    ...[...adapted].flatMap(adaptWeight),
    ...encoder.slice(0, producer + 1),
    ...stages.reverse(),
    ...encoder.slice(producer + 1),
    ...(head ? joinHead(head) : []),
  ];
  const initializers = new Map<string, TensorProto>();
  for (const tensor of [...item.graph.initializer, ...(head?.graph.initializer ?? [])])
    if (!trained.has(tensor.name ?? '')) initializers.set(baseName(tensor.name ?? '', adapted), tensor);
  for (const tensor of [...unpacked.flatMap(({ initializer }) => initializer), ...scaled.initializer])
    initializers.set(tensor.name ?? '', tensor);
  return {
    ...item,
    metadataProps: [],
    graph: {
      name: 'training',
      node: nodes,
      initializer: Array.from(initializers, ([name, tensor]) => ({ ...tensor, name })),
      input: [...examples].map(([name, type]) => ({ name, type: tensorTypeProto(type) })),
      output: [EMBEDDING, ...itemOutputs, ...(matchOutputs ?? []), ...(head ? ['logit', 'pair_logit'] : [])].map(
        (name) => ({ name }),
      ),
      valueInfo: [],
    },
  };
}

const baseName = (name: string, adapted: ReadonlySet<string>): string => (adapted.has(name) ? `${name}/base` : name);

/** A weight with its low-rank factors added, under the weight's own name. */
function adaptWeight(name: string): NodeProto[] {
  const { a, b } = loraNames(name);
  return [plainNode('MatMul', [a, b], `${name}/delta`), plainNode('Add', [`${name}/base`, `${name}/delta`], name)];
}

/** The tensors of a slab under the names of the initializers they replace. */
function unpackSlab({ name, entries }: Slab): { node: NodeProto[]; initializer: TensorProto[] } {
  const pieces = entries.map((_, i) => (entries.length === 1 ? name : `${name}/${i}`));
  const sizes = entries.map(({ shape }) => shape.reduce((a, b) => a * b, 1));
  const split = entries.length === 1 ? [] : [plainNode('Split', [name, `${name}/sizes`], ...pieces)];
  const shapes = entries.map(({ name: tensor, shape }) => ints(`${tensor}/shape`, shape));
  return {
    node: [
      ...split,
      ...entries.map((entry, i) => plainNode('Reshape', [pieces[i], `${entry.name}/shape`], entry.name)),
    ],
    initializer: [...(entries.length === 1 ? [] : [ints(`${name}/sizes`, sizes)]), ...shapes],
  };
}

/** Each branch is multiplied by its element of the fed scales before it is added. */
function scaleBranches(
  nodes: readonly NodeProto[],
  branches: readonly ResidualBranch[],
): { node: NodeProto[]; initializer: TensorProto[] } {
  const places = new Map(branches.map(({ node, input }, i) => [node, { input, i }]));
  const node = nodes.flatMap((each, at): NodeProto[] => {
    const place = places.get(at);
    if (!place) return [each];
    const [scale, scaled] = [`${BRANCHES}/${place.i}`, `${BRANCHES}/${place.i}/scaled`];
    const input = each.input.map((name, i) => (i === place.input ? scaled : name));
    return [
      plainNode('Gather', [BRANCHES, `${scale}/at`], scale),
      plainNode('Mul', [each.input[place.input], scale], scaled),
      { ...each, input },
    ];
  });
  return { node, initializer: branches.map((_, i) => ints(`${BRANCHES}/${i}/at`, [i])) };
}

const ints = (name: string, values: readonly number[]): TensorProto => ({
  name,
  dims: [values.length],
  dataType: DATA_TYPE.INT64,
  rawData: bytesOf(BigInt64Array.from(values, BigInt)),
});

/** The nodes of the head over both halves of the embeddings; its values get a prefix, its outputs keep their names. */
function joinHead({ graph }: OnnxModel): NodeProto[] {
  const outputs = new Set(['logit', 'pair_logit']);
  const own = new Set(graph.node.flatMap(({ output }) => output));
  const rename = (name: string): string =>
    own.has(name) && !outputs.has(name)
      ? `pair/${name}`
      : name === 'left' || name === 'right'
        ? `${EMBEDDING}/${name}`
        : name;
  const halves: NodeProto = {
    ...plainNode('Split', [EMBEDDING], `${EMBEDDING}/left`, `${EMBEDDING}/right`),
    attribute: [intAttribute('num_outputs', 2), intAttribute('axis', 0)],
  };
  return [
    halves,
    ...graph.node.map((node) => ({
      ...node,
      name: `pair/${node.name}`,
      input: node.input.map(rename),
      output: node.output.map(rename),
    })),
  ];
}

const renameProducer = (nodes: readonly NodeProto[], from: string, to: string): NodeProto[] =>
  nodes.map((node) => ({ ...node, output: node.output.map((name) => (name === from ? to : name)) }));

const plainNode = (opType: string, input: readonly string[], ...output: string[]): NodeProto => ({
  name: `training/${output[0]}`,
  opType,
  input: [...input],
  output,
  attribute: [],
});
