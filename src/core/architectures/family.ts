import type { JsonObject } from '../bytes/json.js';
import type { Checkpoint, CheckpointConfig } from '../checkpoint/checkpoint.js';
import { HpsError } from '../errors.js';
import type { GraphBuilder } from '../onnx/builder.js';
import type { Dim, Value } from '../onnx/graph-core.js';
import type { ContractInput, ContractOutput, Modality, Mode } from '../onnx/manifest.js';
import type {
  Architecture,
  ArchitectureExporter,
  Contract,
  ExportRequest,
  OptionSpecs,
  TensorInfos,
} from './architecture.js';
import { exampleInputs } from './example-inputs.js';
import { type HeadFile, headMeaning, headScore } from './head-file.js';
import { OptionReader } from './option-reader.js';
import { checkTensors } from './tensor-check.js';

/** An output of the graph and what it means. */
export interface FamilyOutput {
  readonly name: string;
  readonly value: Value;
  /** What a value means, in one sentence. */
  readonly meaning: string;
  /** Lowest and highest value; unbounded by default. */
  readonly range?: readonly [number | null, number | null];
}

/** What an item becomes before it is scored. */
export interface Encoded {
  /** [batch, D]: all that the score is made of, so that distinct items are encoded once. */
  readonly embedding: Value;
  /** Further outputs of mode item. */
  readonly outputs?: readonly FamilyOutput[];
}

/** What is exported of a model. */
export interface FamilyContext<O> {
  readonly options: O;
  readonly modality: Modality;
  /** Of weights and of matrix arithmetic. */
  readonly dtype: 'F32' | 'F16';
}

/** A tensor that the graph does not use, and why it need not. */
export interface IgnoredRule {
  readonly names: RegExp;
  readonly reason: string;
}

/**
 * A family of published models, in the words of `blocks/`: how it is recognised, where its options come from, and which parts in
 * which order. `architectureOf` gives it the modes item, pair and head, its checks of tensors and its manifest.
 * @template O - what the network is built by: sizes, names, activations, and what its inputs are made of
 */
export interface Family<O> {
  readonly id: string;
  readonly label: string;
  /** By tensor names and shapes; by the configuration only where tensors of two families look the same. */
  recognise(tensors: TensorInfos, config: JsonObject | null): boolean;
  /** Modalities it can be exported for, the most useful first. */
  modalities(tensors: TensorInfos): readonly Modality[];
  /** Configurations beside the checkpoint that count for it; its config.json by default. What `--config` says is put before them. */
  configs?(checkpoint: Checkpoint): readonly CheckpointConfig[];
  /** A configuration in the spelling that `options` reads; as it is by default. */
  normalizeConfig?(config: JsonObject): JsonObject;
  /** Options that `export` may be given for it beside those that all families have. */
  readonly exportOptions?: OptionSpecs;
  /** Options of the checkpoint. What the reader notes is thrown after it. */
  options(reader: OptionReader, checkpoint: Checkpoint, request: ExportRequest): O;
  /** Inputs of one item, named as the published package names them; every open size but `batch` is a symbol. */
  inputs(context: FamilyContext<O>): readonly ContractInput[];
  /** From the inputs, by their names, to the embedding. */
  encode(graph: GraphBuilder, inputs: Readonly<Record<string, Value>>, context: FamilyContext<O>): Encoded;
  /** Width D of the embedding, for mode head, which has no encoder; null refuses that mode: nothing [batch, D] is all that the score is made of. */
  embeddingWidth(context: FamilyContext<O>): number | null;
  /**
   * Outputs made of the embedding alone, `utility_logit` [batch] first; null for what only embeds. In a pair each is made for
   * both sides, and `pair_logit` is the difference of the utilities.
   */
  score(graph: GraphBuilder, embedding: Value, context: FamilyContext<O>): readonly FamilyOutput[] | null;
  /** Float16 files store matrices so and compute in float32: for networks with activations beyond 65504. */
  readonly computesWide?: true;
  /** Tensors that may be there without being used; any other is refused. */
  ignored(context: FamilyContext<O>): readonly IgnoredRule[];
  /** What is worth knowing of what is exported, one sentence each. */
  warnings?(context: FamilyContext<O>): readonly string[];
  /** Largest accepted |exported - reference| of a score, in its own units. */
  readonly parityTolerance: number;
}

/** The family as an architecture of the registry. */
export const architectureOf = <O>(family: Family<O>): Architecture => ({
  id: family.id,
  label: family.label,
  recognise: (tensors, config) => family.recognise(tensors, config),
  load: async () => exporterOf(family),
});

function exporterOf<O>(family: Family<O>): ArchitectureExporter {
  return {
    modalities: ({ tensors }) => family.modalities(tensors),
    options: family.exportOptions,
    takesHead: true,

    buildGraph(checkpoint, graph, request) {
      const { head, mode } = request;
      const isWide = family.computesWide === true && request.dtype === 'F16';
      const dtype = isWide ? 'F32' : request.dtype;
      graph.storesHalves = isWide;
      const options = readOptions(family, checkpoint, request);
      const available = family.modalities(checkpoint.tensors);
      const fitsHead = (each: Modality): boolean =>
        !head || family.embeddingWidth({ options, modality: each, dtype }) === head.layers[0].inputs;
      const modality = chooseModality(family, available.filter(fitsHead), request);
      const context = { options, modality, dtype };
      const scored = head ? withHead(family, head) : family;
      const signature = MODES[mode](scored, graph, context);
      const rules = request.mode === 'head' ? NO_ENCODER : family.ignored(context);
      const expected = [...graph.expectedTensors].map(([name, shape]) => ({ name, shape }));
      const isAccounted = (name: string): boolean =>
        graph.parametersUsed.has(name) || rules.some(({ names }) => names.test(name));
      checkTensors(checkpoint.tensors, expected, isAccounted);
      return {
        modality: request.mode === 'head' ? null : modality,
        mode: request.mode,
        decision: 'utility-difference',
        ...signature,
        ignored: ignoredTensors(rules, checkpoint, graph),
        textAsStated: true,
        warnings: request.mode === 'head' ? [] : (family.warnings?.(context) ?? []),
        sources: checkpoint.beside.read,
      };
    },

    exampleInputs: ({ inputs }, seed) => exampleInputs(inputs, { rows: 3, seed }),
    parityTolerance: family.parityTolerance,
  };
}

/** The family with its embeddings scored by a head from another file. */
const withHead = <O>(family: Family<O>, head: HeadFile): Family<O> => ({
  ...family,
  score: (graph, embedding) => [
    { name: 'utility_logit', value: headScore(graph, embedding, head), meaning: headMeaning(head) },
  ],
});

function chooseModality<O>(
  { label }: Family<O>,
  available: readonly Modality[],
  { modality: wanted, head }: ExportRequest,
): Modality {
  if (head && available.length === 0) {
    const width = head.layers[0].inputs;
    throw new HpsError('SHAPE_MISMATCH', `${head.name} reads embeddings of ${width}, and ${label} makes none of them`, {
      hint: 'Give the head that was trained on this encoder.',
      details: { head: head.name, width },
    });
  }
  const modality = wanted ?? available[0];
  if (available.includes(modality)) return modality;
  throw new HpsError('MODALITY_MISSING', `the checkpoint cannot be exported for ${modality}: it is ${label}`, {
    hint: `Choose \`modality\` ${available.join('|')}.`,
    details: { modality: modality ?? null, available },
  });
}

function readOptions<O>(family: Family<O>, checkpoint: Checkpoint, request: ExportRequest): O {
  const own = family.configs?.(checkpoint) ?? checkpoint.configs;
  const given = request.config ? [{ config: request.config, origin: request.configOrigin ?? 'config' }] : [];
  const normalized = [...given, ...own].map(({ config, origin }) => ({
    config: family.normalizeConfig?.(config) ?? config,
    origin,
  }));
  const reader = new OptionReader(checkpoint.tensors, normalized);
  const options = family.options(reader, checkpoint, request);
  reader.finish();
  return options;
}

type Signature = Pick<Contract, 'inputs' | 'outputs'>;
type BuildMode = <O>(family: Family<O>, graph: GraphBuilder, context: FamilyContext<O>) => Signature;

const MODES: Readonly<Record<Mode, BuildMode>> = {
  item(family, graph, context) {
    const { inputs, encoded } = encodeSide(family, graph, context, '');
    const scores = family.score(graph, encoded.embedding, context) ?? [];
    const embedding: FamilyOutput = {
      name: 'embedding',
      value: encoded.embedding,
      meaning: 'What the score is made of, input of mode head.',
    };
    const all = [...scores, ...(encoded.outputs ?? [])];
    return { inputs, outputs: emit(graph, all.some(({ name }) => name === 'embedding') ? all : [...all, embedding]) };
  },

  pair(family, graph, context) {
    const sides = SIDES.map((side) => graph.scope(side, () => encodeSide(family, graph, context, `${side}_`)));
    // Named, so that the encoder and the head can be cut apart here.
    const isCut = family.embeddingWidth(context) !== null;
    const [left, right] = sides.map(({ encoded: { embedding } }, i) =>
      isCut ? graph.named(embedding, `${SIDES[i]}_embedding`) : embedding,
    );
    return { inputs: sides.flatMap(({ inputs }) => inputs), outputs: comparison(family, graph, context, left, right) };
  },

  head(family, graph, context) {
    const width = family.embeddingWidth(context);
    if (width === null) {
      throw new HpsError('USAGE', `${family.label} has no embedding of a fixed width, so it has no head to export`, {
        hint: 'Export it with `mode` item or `mode` pair.',
      });
    }
    const inputs = SIDES.map((name): ContractInput => {
      const preprocess = { kind: 'embedding', encoder: null, normalize: 'none' } as const;
      return { name, dtype: 'F32', shape: ['batch', width], preprocess };
    });
    const [left, right] = inputs.map(({ name, shape }) => graph.input(name, 'F32', shape));
    return { inputs, outputs: comparison(family, graph, context, left, right) };
  },
};

const SIDES = ['left', 'right'] as const;

/** Inputs of one side and what they are encoded to; names and open sizes have the side before them. */
function encodeSide<O>(
  family: Family<O>,
  graph: GraphBuilder,
  context: FamilyContext<O>,
  side: string,
): { inputs: ContractInput[]; encoded: Encoded } {
  const inputs = family.inputs(context).map((input): ContractInput => {
    const shape = input.shape.map((dim): Dim => (typeof dim === 'string' && dim !== 'batch' ? side + dim : dim));
    return { ...input, name: side + input.name, shape };
  });
  const values = Object.fromEntries(
    inputs.map(({ name, dtype, shape }) => [name.slice(side.length), graph.input(name, dtype as 'F32' | 'I64', shape)]),
  );
  return { inputs, encoded: family.encode(graph, values, context) };
}

function comparison<O>(
  family: Family<O>,
  graph: GraphBuilder,
  context: FamilyContext<O>,
  left: Value,
  right: Value,
): ContractOutput[] {
  const [ofLeft, ofRight] = [left, right].map((embedding, i) =>
    graph.scope(SIDES[i], () => {
      const outputs = family.score(graph, embedding, context);
      if (outputs) return outputs;
      throw new HpsError('USAGE', `${family.label} makes embeddings of ${context.modality} and no score`, {
        hint: 'Export it with `mode` item, or with a head that scores its embeddings.',
      });
    }),
  );
  const sided = (side: string, outputs: readonly FamilyOutput[]): FamilyOutput[] =>
    outputs.map((output) => ({ ...output, name: `${side}_${output.name}` }));
  const difference: FamilyOutput = {
    name: 'pair_logit',
    value: graph.sub(ofLeft[0].value, ofRight[0].value),
    meaning: 'Difference of the utility logits: positive where left is preferred.',
  };
  return emit(graph, [...sided('left', ofLeft), ...sided('right', ofRight), difference]);
}

function emit(graph: GraphBuilder, outputs: readonly FamilyOutput[]): ContractOutput[] {
  return outputs.map(({ name, value, meaning, range = [null, null] }) => {
    const wide = graph.cast(value, 'F32');
    graph.output(name, wide);
    return { name, dtype: 'F32', shape: [...wide.shape], meaning, range: [range[0], range[1]] };
  });
}

const NO_ENCODER: readonly IgnoredRule[] = [{ names: /^/, reason: 'mode head has no encoder' }];

function ignoredTensors(
  rules: readonly IgnoredRule[],
  { tensors }: Checkpoint,
  graph: GraphBuilder,
): Contract['ignored'] {
  return [...tensors.keys()]
    .filter((name) => !graph.parametersUsed.has(name))
    .map((name) => ({ name, reason: rules.find(({ names }) => names.test(name))?.reason ?? '' }));
}
