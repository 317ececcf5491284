import { isJsonObject, type JsonObject, parseJson } from '../../bytes/json.js';
import type { FilesBeside } from '../../checkpoint/beside.js';
import { HpsError } from '../../errors.js';
import type { GraphBuilder } from '../../onnx/builder.js';
import type { Value } from '../../onnx/graph-core.js';
import type { TensorInfos } from '../architecture.js';
import { TORCH_NORM_FLOOR, unitLength } from '../blocks/heads.js';
import { firstToken, maxOfTokens, meanOfTokens } from '../blocks/pooling.js';
import { architectureOf } from '../family.js';
import type { OptionReader } from '../option-reader.js';
import {
  type EncoderOptions,
  encoderTokens,
  holdsEncoder,
  LAYOUTS,
  type Layout,
  readEncoder,
  UNUSED,
} from './layouts.js';
import { encoderInputs } from './text-inputs.js';

// Encoders without a head, as sentence-transformers 5 publishes them: modules.json says which modules follow the encoder,
// 1_Pooling/config.json how the states of a text's tokens become one, sentence_bert_config.json how long a text may be.

const LABEL = 'an encoder of sentences (sentence-transformers)';

type Pool = (graph: GraphBuilder, tokens: Value, mask: Value) => Value;

const placesFromOne = (graph: GraphBuilder, mask: Value): Value =>
  graph.mul(mask, graph.add(graph.positionsOf(mask, 1), graph.scalar(1, 'I64')));

/** How the states of tokens become one (sentence-transformers, Pooling.forward); where there are several, they stand side by side. */
const POOLS: Readonly<Record<string, Pool>> = {
  cls: (graph, tokens) => graph.cast(firstToken(graph, tokens), 'F32'),
  max: maxOfTokens,
  mean: meanOfTokens,
  mean_sqrt_len_tokens: (graph, tokens, mask) => {
    const count = graph.reduceSum(graph.cast(mask, 'F32'), 1, true);
    return graph.mul(meanOfTokens(graph, tokens, mask), graph.sqrt(count));
  },
  weightedmean: (graph, tokens, mask) => meanOfTokens(graph, tokens, placesFromOne(graph, mask)),
  lasttoken: (graph, tokens, mask) =>
    graph.cast(graph.tokenAt(tokens, graph.argMax(graph.cast(placesFromOne(graph, mask), 'I32'), 1)), 'F32'),
};

/** Older spellings, a flag each, in the order that the results stand in. */
const FLAGS: Readonly<Record<string, string>> = {
  pooling_mode_cls_token: 'cls',
  pooling_mode_max_tokens: 'max',
  pooling_mode_mean_tokens: 'mean',
  pooling_mode_mean_sqrt_len_tokens: 'mean_sqrt_len_tokens',
  pooling_mode_weightedmean_tokens: 'weightedmean',
  pooling_mode_lasttoken: 'lasttoken',
};

interface SentenceOptions {
  readonly layout: Layout;
  readonly prefix: string;
  readonly encoder: EncoderOptions;
  readonly pools: readonly string[];
  readonly normalized: boolean;
  /** Whether the folder says how tokens become one embedding. */
  readonly isStated: boolean;
}

/** Where the encoder lies: without a prefix as it is published by itself, with that of its class in the file of a larger model. */
function findEncoder(tensors: TensorInfos, type: unknown): { layout: Layout; prefix: string } | null {
  const found = LAYOUTS.flatMap((layout) => ['', layout.prefix].map((prefix) => ({ layout, prefix }))).filter(
    ({ layout, prefix }) => holdsEncoder(tensors, layout, prefix),
  );
  // BERT, RoBERTa and ELECTRA share their names: the configuration tells them apart.
  return found.find(({ layout }) => layout.modelTypes.includes(String(type))) ?? found[0] ?? null;
}

export const sentenceEncoder = architectureOf<SentenceOptions>({
  id: 'sentence-encoder',
  label: LABEL,
  parityTolerance: 1e-5,

  recognise: (tensors) =>
    findEncoder(tensors, null) !== null && ![...tensors.keys()].some((name) => name.includes('classifier.')),
  modalities: () => ['text'],

  options(reader, { beside }) {
    const { tensors } = reader;
    const type = reader.raw('model_type');
    const { layout, prefix } = findEncoder(tensors, type)!;
    if (type === undefined) reader.refuse('nothing tells which encoder it is: model_type is missing');
    reader.assertModelType(`${LABEL} like ${layout.name}`, layout.modelTypes);
    const encoder = readEncoder(reader, layout, prefix);
    const { pools, normalized } = readModules(beside, reader, encoder.hidden);
    return {
      layout,
      prefix,
      encoder: { ...encoder, maxTokens: Math.min(encoder.maxTokens, longestText(beside, reader)) },
      pools: pools ?? ['mean'],
      normalized,
      isStated: pools !== null,
    };
  },

  inputs: ({ options: { encoder } }) => encoderInputs(encoder),

  encode(graph, inputs, { options: { layout, prefix, encoder, pools, normalized }, dtype }) {
    const tokens = encoderTokens(graph, inputs, { layout, prefix, options: encoder, dtype });
    const pooled = pools.map((pool) => POOLS[pool](graph, tokens, inputs.attention_mask));
    const joined = pooled.length === 1 ? pooled[0] : graph.concat(pooled, 1);
    const embedding = normalized ? unitLength(graph, joined, TORCH_NORM_FLOOR) : joined;
    const meaning = `Embedding of the text${normalized ? ', of length 1' : ', of any length'}.`;
    return { embedding, outputs: [{ name: 'embedding', value: embedding, meaning }] };
  },

  embeddingWidth: ({ options: { encoder, pools } }) => pools.length * encoder.hidden,

  score: () => null,

  ignored: () => [
    ...UNUSED,
    { names: /(^|\.)pooler\./, reason: 'the embedding is made of the tokens, not by the pooler' },
  ],

  warnings: ({ options: { isStated } }) =>
    isStated
      ? []
      : [
          'No modules.json: an embedding is the mean of its tokens, which sentence-transformers takes for such a folder too.',
        ],
});

/** What follows the encoder, by modules.json; no pools where there is no such file. */
function readModules(
  beside: FilesBeside,
  reader: OptionReader,
  hidden: number,
): { pools: string[] | null; normalized: boolean } {
  const text = beside.text('modules.json');
  if (text === null) return { pools: null, normalized: false };
  const modules = parseJson(text, { name: 'modules.json', code: 'CONFIG_INVALID' });
  if (!Array.isArray(modules) || !modules.every(isJsonObject)) throw invalid('modules.json', 'not a list of modules');
  const kinds = modules.map(({ type }) => String(type).split('.').at(-1));
  let pools: string[] | null = null;
  let normalized = false;
  for (const [i, kind] of kinds.entries()) {
    if (kind === 'Pooling' && pools === null)
      pools = readPools(beside, `${String(modules[i].path)}/config.json`, reader, hidden);
    else if (kind === 'Normalize') normalized = true;
    else if (kind !== 'Transformer' || i > 0) reader.refuse(`modules.json has a module ${kind}, which is not read`);
  }
  if (pools === null) reader.refuse('modules.json has no module Pooling: there is no embedding of a text');
  return { pools, normalized };
}

function readPools(beside: FilesBeside, file: string, reader: OptionReader, hidden: number): string[] {
  if (file.split('/').includes('..')) throw invalid('modules.json', `the path ${file} leaves the folder`);
  const config: JsonObject | null = beside.json(file);
  if (config === null) throw invalid(file, 'is named by modules.json and is not there');
  const flagged = Object.keys(FLAGS).filter((flag) => config[flag] === true);
  const said = config.pooling_mode ?? (flagged.length > 0 ? flagged.map((flag) => FLAGS[flag]) : 'mean');
  const pools = (Array.isArray(said) ? said : [said]).map(String);
  for (const pool of pools) {
    if (!Object.hasOwn(POOLS, pool))
      reader.refuse(`${file}: pooling_mode ${pool} is not read: ${Object.keys(POOLS).join(', ')} are`);
  }
  const width = config.embedding_dimension ?? config.word_embedding_dimension;
  if (width !== undefined && width !== hidden)
    reader.refuse(`the hidden size is ${hidden}, but its dimension is ${JSON.stringify(width)} by ${file}`);
  return pools.filter((pool) => Object.hasOwn(POOLS, pool));
}

function longestText(beside: FilesBeside, reader: OptionReader): number {
  const config = beside.json('sentence_bert_config.json');
  if (config?.do_lower_case === true)
    reader.refuse('sentence_bert_config.json has do_lower_case, which is not read: the tokenizer must do it');
  const length = config?.max_seq_length ?? null;
  if (length === null) return Number.POSITIVE_INFINITY;
  if (Number.isSafeInteger(length) && (length as number) > 0) return length as number;
  reader.refuse(`max_seq_length must be a positive integer, not ${JSON.stringify(length)} (sentence_bert_config.json)`);
  return 1;
}

const invalid = (file: string, rule: string): HpsError =>
  new HpsError('CONFIG_INVALID', `${file}: ${rule}`, {
    hint: 'Correct the file beside the checkpoint, or move the checkpoint away from it.',
    details: { file },
  });
