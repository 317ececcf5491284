import { isJsonObject, type JsonObject, type JsonValue } from '../bytes/json.js';
import type { Checkpoint } from '../checkpoint/checkpoint.js';
import type { GraphBuilder } from '../onnx/builder.js';
import type { Value } from '../onnx/graph-core.js';
import type { ContractInput, Preprocess } from '../onnx/manifest.js';
import type { Architecture, TensorInfos } from './architecture.js';
import { ACTIVATION_NAMES, type ActivationName } from './blocks/activations.js';
import type { Reads } from './blocks/attention.js';
import { column, type LinearStep, linearSteps } from './blocks/heads.js';
import { bothMasks, causalMask, keyMask } from './blocks/masks.js';
import { type Norm, normalize } from './blocks/norms.js';
import { atLastBut, atLastRunOf, atLastSeen, readAt } from './blocks/pooling.js';
import { type RotaryScaling, rotaryPositions } from './blocks/positions.js';
import { type BlockOptions, stack, transformerBlock } from './blocks/transformer.js';
import { architectureOf, type Family, type FamilyContext } from './family.js';
import { type Gating, gatedScore, readGating } from './gating.js';
import { labelIndex, textScore } from './labels.js';
import type { OptionReader } from './option-reader.js';
import { axisOf, modulesOf } from './readings.js';

// Language models with a score head instead of their word head: transformers 4.57, modeling_llama.py, modeling_qwen2.py,
// modeling_qwen3.py, modeling_mistral.py, modeling_gemma2.py (…ForSequenceClassification), and the value heads of TRL and others.

const MODEL = 'model.';
const WORDS = `${MODEL}embed_tokens.weight`;
const LAYERS = `${MODEL}layers.`;
const FIRST = `${LAYERS}0.`;

/** How one kind of decoder differs from the others. */
interface Kind {
  readonly id: string;
  readonly label: string;
  readonly modelTypes: readonly string[];
  /** Whether its tensors alone show that a checkpoint without a configuration is of this kind. */
  shows(tensors: TensorInfos): boolean;
  /** What its configuration class takes for keys that are absent. */
  readonly defaults: {
    readonly kvHeads?: number;
    /** Width of a head; hidden / heads where it is not given. */
    readonly headDim?: number;
    readonly activation: ActivationName;
  };
  /** Tokens a query sees in each layer, its own among them; null for all before it. */
  windows(reader: OptionReader, depth: number): readonly (number | null)[];
  readonly gemma?: true;
}

/** The layers that a configuration names `sliding_attention`; undefined where it names none. */
function namedWindows(reader: OptionReader, depth: number, window: number | null): (number | null)[] | undefined {
  const types = reader.raw('layer_types');
  if (!Array.isArray(types)) return undefined;
  if (types.length !== depth) reader.refuse(`layer_types names ${types.length} layers, the checkpoint has ${depth}`);
  return Array.from({ length: depth }, (_, i) => (types[i] === 'sliding_attention' ? window : null));
}

function windowSize(reader: OptionReader, otherwise: number | null): number | null {
  const given = reader.raw('sliding_window');
  if (given === null) return null;
  if (given === undefined && (otherwise === null || !reader.hasConfig)) return null;
  return reader.size('the sliding window', { keys: ['sliding_window'], otherwise: otherwise ?? undefined });
}

const everywhere = (window: number | null, depth: number): (number | null)[] => new Array(depth).fill(window);

/** Qwen's windows count only where they are switched on, from layer `max_window_layers` on. */
export function qwenWindows(reader: OptionReader, depth: number): readonly (number | null)[] {
  const on = reader.flag('whether attention slides', { keys: ['use_sliding_window'], otherwise: false });
  if (!on) return everywhere(null, depth);
  const window = windowSize(reader, 4096);
  const first = reader.size('the first layer with a window', { keys: ['max_window_layers'], otherwise: 28 }, 0);
  return namedWindows(reader, depth, window) ?? everywhere(window, depth).map((size, i) => (i < first ? null : size));
}

const KINDS: readonly Kind[] = [
  {
    id: 'gemma2',
    label: 'Gemma 2 with a score head',
    modelTypes: ['gemma2'],
    shows: (tensors) => tensors.has(`${FIRST}pre_feedforward_layernorm.weight`),
    defaults: { kvHeads: 4, headDim: 256, activation: 'gelu_pytorch_tanh' },
    windows(reader, depth) {
      const window = windowSize(reader, 4096);
      return (
        namedWindows(reader, depth, window) ?? everywhere(window, depth).map((size, i) => (i % 2 === 0 ? size : null))
      );
    },
    gemma: true,
  },
  {
    id: 'qwen3',
    label: 'Qwen 3 with a score head',
    modelTypes: ['qwen3'],
    shows: (tensors) => tensors.has(`${FIRST}self_attn.q_norm.weight`),
    defaults: { kvHeads: 32, headDim: 128, activation: 'silu' },
    windows: qwenWindows,
  },
  {
    id: 'qwen2',
    label: 'Qwen 2 with a score head',
    modelTypes: ['qwen2'],
    shows: (tensors) => tensors.has(`${FIRST}self_attn.q_proj.bias`) && !tensors.has(`${FIRST}self_attn.o_proj.bias`),
    defaults: { kvHeads: 32, activation: 'silu' },
    windows: qwenWindows,
  },
  {
    id: 'mistral',
    label: 'Mistral with a score head',
    modelTypes: ['mistral'],
    shows: () => false, // its names are those of Llama
    defaults: { kvHeads: 8, activation: 'silu' },
    windows: (reader, depth) => {
      const window = windowSize(reader, 4096);
      return namedWindows(reader, depth, window) ?? everywhere(window, depth);
    },
  },
  {
    id: 'llama',
    label: 'Llama with a score head',
    modelTypes: ['llama'],
    shows: () => true,
    defaults: { activation: 'silu' },
    windows: (_reader, depth) => everywhere(null, depth),
  },
];

/** A score head: its layers from the state of the last token to the scores. */
interface Head {
  /** The tensor that shows it, and how many scores it gives. */
  readonly shownBy: string;
  readonly steps: (hidden: number, labels: number, has: (name: string) => boolean) => readonly LinearStep[];
}

const single = (key: string): Head => ({
  shownBy: `${key}.weight`,
  steps: (_hidden, labels, has) => [{ key, outputs: labels, bias: has(`${key}.bias`) }],
});

const HEADS: readonly Head[] = [
  single('score'),
  {
    // Qwen2.5-Math-RM: Linear, ReLU, Linear.
    shownBy: 'score.2.weight',
    steps: (hidden, labels) => [
      { key: 'score.0', outputs: hidden, bias: true, activation: 'relu' },
      { key: 'score.2', outputs: labels, bias: true },
    ],
  },
  single('v_head.summary'), // TRL
  single('v_head'), // InternLM2
  single('value_head'), // OpenRLHF
  single('regression_head'), // UltraRM
  single('reward_head'),
  single('regression_layer'), // ArmoRM
];

const headOf = (tensors: TensorInfos): Head | undefined => HEADS.find(({ shownBy }) => tensors.has(shownBy));

interface DecoderOptions {
  readonly kind: Kind;
  readonly head: Head;
  /** Where the scores of the head are weighed by what the prompt is. */
  readonly gating: Gating | null;
  readonly vocab: number;
  readonly hidden: number;
  readonly depth: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly inner: number;
  readonly activation: ActivationName;
  readonly norm: Norm;
  readonly theta: number;
  readonly scaling: RotaryScaling;
  readonly windows: readonly (number | null)[];
  readonly scale: number;
  readonly softCap: number | undefined;
  readonly biases: { readonly q: boolean; readonly o: boolean; readonly feedForward: boolean };
  readonly headNorm: boolean;
  readonly maxTokens: number;
  /** Id that fills up a row; null where the model was published without, and each row is scored at its end. */
  readonly pad: number | null;
  readonly template: Extract<Preprocess, { kind: 'text' }>['template'];
  readonly labels: number;
  readonly label: number;
}

/** Newer configurations have it in `rope_parameters`, older ones in `rope_scaling`, where the kind was once called `type`. */
function readScaling(reader: OptionReader): RotaryScaling {
  const type =
    reader.raw('rope_parameters.rope_type', 'rope_scaling.rope_type', 'rope_scaling.type') ?? ('default' as JsonValue);
  const of = (key: string): { keys: string[] } => ({ keys: [`rope_parameters.${key}`, `rope_scaling.${key}`] });
  if (type === 'default') return { kind: 'default' };
  if (type === 'linear') return { kind: 'linear', factor: reader.number('the factor of positions', of('factor'), 1) };
  if (type === 'llama3') {
    return {
      kind: 'llama3',
      factor: reader.number('the factor of positions', of('factor'), 1),
      lowFrequencyFactor: reader.number('the low frequency factor', of('low_freq_factor'), 0),
      highFrequencyFactor: reader.number('the high frequency factor', of('high_freq_factor'), 0),
      originalPositions: reader.size('the original number of positions', of('original_max_position_embeddings')),
    };
  }
  reader.refuse(`rotary positions of the kind ${JSON.stringify(type)} are not read: default, linear and llama3 are`);
  return { kind: 'default' };
}

/** The chat template beside the checkpoint, with the tokens it may write; undefined where there is none. */
function readTemplate({ beside }: Checkpoint): DecoderOptions['template'] {
  const tokenizer = beside.json('tokenizer_config.json');
  const own = tokenizer?.['chat_template'];
  // Several templates have names; `default` is the one that is meant where none is asked for.
  const named = Array.isArray(own)
    ? own.find((entry): entry is JsonObject => isJsonObject(entry) && entry['name'] === 'default')?.['template']
    : own;
  const source = beside.text('chat_template.jinja') ?? (typeof named === 'string' ? named : null);
  if (source === null) return undefined;
  const variables = Object.fromEntries(
    ['bos_token', 'eos_token', 'pad_token', 'unk_token'].flatMap((name) => {
      const token = tokenizer?.[name];
      const text = isJsonObject(token) ? token['content'] : token;
      return typeof text === 'string' ? [[name, text]] : [];
    }),
  );
  return { kind: 'chat', source, variables, generationPrompt: false };
}

const family = (kind: Kind): Family<DecoderOptions> => ({
  id: kind.id,
  label: kind.label,
  exportOptions: { outputLabel: null },
  computesWide: true, // some trained ones have activations beyond float16's range
  parityTolerance: 1e-4,

  recognise(tensors, config) {
    if (!tensors.has(WORDS) || !tensors.has(`${FIRST}self_attn.q_proj.weight`) || !headOf(tensors)) return false;
    const type = config?.['model_type'];
    return KINDS.some(({ modelTypes }) => modelTypes.includes(String(type)))
      ? kind.modelTypes.includes(String(type))
      : kind.shows(tensors);
  },

  modalities: () => ['text'],

  options(reader, checkpoint, request) {
    const { tensors } = reader;
    reader.assertModelType(kind.label, kind.modelTypes);
    const { defaults, gemma } = kind;
    const hidden = reader.size('the hidden size', { tensor: axisOf(tensors, WORDS, 1), keys: ['hidden_size'] });
    const depth = reader.size('the number of layers', {
      tensor: modulesOf(tensors, LAYERS),
      keys: ['num_hidden_layers'],
    });
    const heads = reader.size('the number of heads', { keys: ['num_attention_heads'], otherwise: gemma ? 8 : 32 });
    const headNorm = tensors.has(`${FIRST}self_attn.q_norm.weight`);
    const headDim = reader.size('the width of a head', {
      tensor: headNorm ? axisOf(tensors, `${FIRST}self_attn.q_norm.weight`, 0) : undefined,
      keys: ['head_dim'],
      otherwise: defaults.headDim ?? Math.floor(hidden / heads),
    });
    const kvHeads = reader.size('the number of key heads', {
      keys: ['num_key_value_heads'],
      otherwise: defaults.kvHeads ?? heads,
    });
    if (heads % kvHeads > 0) reader.refuse(`${kvHeads} key heads do not divide ${heads} heads`);
    const head = headOf(tensors)!;
    const gating = readGating(reader, checkpoint);
    const labels = gating ? 1 : (axisOf(tensors, head.shownBy, 0)?.value ?? 1);
    const pad = reader.raw('pad_token_id');
    const scaleOf = gemma
      ? reader.number('the scale of attention', { keys: ['query_pre_attn_scalar'], otherwise: 256 }, 0)
      : headDim;
    const cap = gemma ? reader.raw('attn_logit_softcapping') : null;
    return {
      kind,
      head,
      gating,
      hidden,
      depth,
      heads,
      headDim,
      kvHeads,
      headNorm,
      // The tensor counts: it often has more rows than the tokenizer has tokens.
      vocab: axisOf(tensors, WORDS, 0)?.value ?? 1,
      inner: reader.size('the width of the feed-forward', {
        tensor: axisOf(tensors, `${FIRST}mlp.up_proj.weight`, 0),
        keys: ['intermediate_size'],
      }),
      activation: reader.choice('the activation', ACTIVATION_NAMES, {
        keys: gemma ? ['hidden_activation'] : ['hidden_act'],
        otherwise: defaults.activation,
      }),
      norm: {
        kind: 'rms',
        epsilon: reader.number('the epsilon of the norms', { keys: ['rms_norm_eps'], otherwise: 1e-6 }, 0),
        ...(gemma ? { offset: 1 } : {}),
      },
      theta: reader.number(
        'the base of positions',
        { keys: ['rope_parameters.rope_theta', 'rope_theta'], otherwise: 10000 },
        1,
      ),
      scaling: readScaling(reader),
      windows: kind.windows(reader, depth),
      scale: 1 / Math.sqrt(scaleOf),
      softCap:
        gemma && cap !== null
          ? reader.number('the cap of attention', { keys: ['attn_logit_softcapping'], otherwise: 50 }, 0)
          : undefined,
      biases: {
        q: tensors.has(`${FIRST}self_attn.q_proj.bias`),
        o: tensors.has(`${FIRST}self_attn.o_proj.bias`),
        feedForward: tensors.has(`${FIRST}mlp.up_proj.bias`),
      },
      maxTokens: reader.size('the number of positions', { keys: ['max_position_embeddings'], otherwise: 2048 }),
      pad: typeof pad === 'number' ? reader.size('the padding id', { keys: ['pad_token_id'] }, 0) : null,
      template: readTemplate(checkpoint),
      labels,
      label: labelIndex(reader, labels, request.options.outputLabel),
    };
  },

  inputs: ({ options }) => inputsOf(options),

  encode(graph, { input_ids: ids, attention_mask: mask }, { options, dtype }) {
    let tokens = graph.lookUp(WORDS, ids, dtype, [options.vocab, options.hidden]);
    if (options.kind.gemma) tokens = graph.mul(tokens, graph.scalar(Math.sqrt(options.hidden), dtype));
    const { gating, pad } = options;
    // Published without a padding id, a row is scored at its end: that of its mask, since rows are padded here.
    const atEnd = (x: Value): Value => (pad === null ? atLastSeen(graph, x, mask) : atLastBut(graph, x, ids, pad));
    const rules = gating ? [atEnd, (x: Value) => atLastRunOf(graph, x, ids, gating.promptEnd)] : [atEnd];
    const states = decoderStates(graph, tokens, mask, { ...options, reads: readAt(graph, ...rules) });
    const read = rules.map((_, i) => graph.at(states, 1, i));
    return { embedding: read.length === 1 ? read[0] : graph.concat(read, 1) };
  },

  embeddingWidth: ({ options: { gating, hidden } }) => (gating ? 2 * hidden : hidden),

  score(graph, embedding, { options: { head, gating, hidden, labels, label } }: FamilyContext<DecoderOptions>) {
    if (gating) {
      const [state, prompt] = graph.split(embedding, 1, 2);
      return textScore(graph.scope('head', () => column(graph, gatedScore(graph, state, prompt, gating), 0)));
    }
    const steps = head.steps(hidden, labels, (name) => graph.has(name));
    const scores = graph.scope('head', () => column(graph, linearSteps(graph, embedding, steps), label));
    return textScore(scores);
  },

  ignored: () => [
    { names: /^lm_head\.(weight|bias)$/, reason: 'the head that predicts words' },
    { names: /\.rotary_emb\.inv_freq$/, reason: 'a buffer of the frequencies of positions' },
  ],
});

function inputsOf({ vocab, maxTokens, pad, template }: DecoderOptions): ContractInput[] {
  const shape = ['batch', 'tokens'];
  return [
    {
      name: 'input_ids',
      dtype: 'I64',
      shape,
      preprocess: {
        kind: 'text',
        maxTokens,
        tokenizer: 'hpsv3.tokenizer',
        vocabSize: vocab,
        pad: pad ?? 0,
        specialTokens: true,
        ...(template ? { template } : {}),
      },
    },
    { name: 'attention_mask', dtype: 'I64', shape, preprocess: { kind: 'text-mask' } },
  ];
}

/** What a decoder is run by, whatever its inputs are. */
export type DecoderStackOptions = {
  /** Before the names of its tensors, its dot included; `model.` by default. */ readonly prefix?: string;
} & Pick<
  DecoderOptions,
  | 'depth'
  | 'heads'
  | 'kvHeads'
  | 'headDim'
  | 'inner'
  | 'activation'
  | 'norm'
  | 'theta'
  | 'scaling'
  | 'windows'
  | 'scale'
  | 'softCap'
  | 'biases'
  | 'headNorm'
> & { readonly kind?: Pick<Kind, 'gemma'> };

/** The options of a stack, and where it is read. */
type DecoderReading = DecoderStackOptions & { readonly reads: Reads };

/**
 * States after the final norm of the tokens that are read: tokens [batch, tokens, hidden] -> [batch, read, hidden]. A token sees those
 * before it that the mask keeps.
 */
export function decoderStates(graph: GraphBuilder, tokens: Value, mask: Value, options: DecoderReading): Value {
  const { prefix = MODEL, depth, heads, kvHeads, headDim, norm, scale, softCap, headNorm } = options;
  const { biases, inner, activation } = options;
  const rotary = rotaryPositions(graph, tokens, { theta: options.theta, headDim, scaling: options.scaling });
  const keys = keyMask(graph, mask);
  const masks = new Map<number | null, Value>();
  const maskOf = (window: number | null): Value => {
    const known = masks.get(window);
    if (known) return known;
    const made = bothMasks(graph, keys, causalMask(graph, tokens, window));
    masks.set(window, made);
    return made;
  };
  const norms: BlockOptions['norms'] = options.kind?.gemma
    ? {
        attention: 'input_layernorm',
        attentionOutput: 'post_attention_layernorm',
        feedForward: 'pre_feedforward_layernorm',
        feedForwardOutput: 'post_feedforward_layernorm',
      }
    : { attention: 'input_layernorm', feedForward: 'post_attention_layernorm' };
  const { reads } = options;
  const states = stack(graph, tokens, { count: depth, scope: 'layer', reads }, (x, i, read) =>
    transformerBlock(graph, x, `${prefix}layers.${i}.`, {
      place: 'pre',
      norm,
      norms,
      attention: {
        names: { q: 'self_attn.q_proj', k: 'self_attn.k_proj', v: 'self_attn.v_proj', out: 'self_attn.o_proj' },
        heads,
        kvHeads,
        headDim,
        scale,
        bias: maskOf(options.windows[i]),
        biases: { qkv: biases.q, out: biases.o },
        rotary,
        ...(softCap === undefined ? {} : { softCap }),
        ...(headNorm ? { headNorm: { norm, q: 'self_attn.q_norm', k: 'self_attn.k_norm' } } : {}),
      },
      feedForward: {
        names: { up: 'mlp.up_proj', down: 'mlp.down_proj', gate: 'mlp.gate_proj' },
        activation,
        inner,
        bias: biases.feedForward,
      },
      reads: read,
    }),
  );
  return normalize(graph, states, `${prefix}norm`, norm);
}

/** Llama, Qwen 2 and 3, Mistral and Gemma 2 as reward models; the more specific first. */
export const DECODERS: readonly Architecture[] = KINDS.map((kind) => architectureOf(family(kind)));
