import { isJsonObject, type JsonObject } from '../bytes/json.js';
import { HpsError } from '../errors.js';
import type { GraphBuilder } from '../onnx/builder.js';
import type { Value } from '../onnx/graph-core.js';
import type { ContractInput } from '../onnx/manifest.js';
import { TOKENIZER_KEY } from '../onnx/manifest-names.js';
import type { TensorInfos } from './architecture.js';
import { ACTIVATION_NAMES, ACTIVATIONS, type ActivationName } from './blocks/activations.js';
import { column, type LinearStep, linearSteps } from './blocks/heads.js';
import { keyMask } from './blocks/masks.js';
import { type Norm, normalize } from './blocks/norms.js';
import { atFirstOf, firstToken, readAt } from './blocks/pooling.js';
import { type Rotary, rotaryFrequencies } from './blocks/positions.js';
import { stack, transformerBlock } from './blocks/transformer.js';
import { type DecoderStackOptions, decoderStates, qwenWindows } from './decoder.js';
import { architectureOf, type FamilyContext } from './family.js';
import type { OptionReader, PublishedShape } from './option-reader.js';
import { CLIP_STATISTICS, type PictureContract } from './picture.js';
import { axisOf, modulesOf } from './readings.js';

// HPSv3: Qwen2-VL with a head that gives the mean and the spread of a preference score, read at a token of its own.
// transformers 4.57, modeling_qwen2_vl.py; the package hpsv3, model/qwen2vl_trainer.py and dataset/data_collator_qwen.py.

/** Before the names of the tensors of both towers. */
interface Layout {
  readonly words: string;
  readonly vision: string;
}

/** transformers up to 4.51, as it is published, and since. */
const LAYOUTS: readonly Layout[] = [
  { words: 'model.', vision: 'visual.' },
  { words: 'model.language_model.', vision: 'model.visual.' },
];

const patchKey = ({ vision }: Layout): string => `${vision}patch_embed.proj.weight`;
const wordsKey = ({ words }: Layout): string => `${words}embed_tokens.weight`;

const layoutOf = (tensors: TensorInfos): Layout | undefined =>
  LAYOUTS.find((layout) => tensors.has(patchKey(layout)) && tensors.has(wordsKey(layout)));

interface VisionOptions {
  readonly width: number;
  readonly depth: number;
  readonly heads: number;
  readonly inner: number;
  readonly activation: ActivationName;
  readonly channels: number;
  readonly patch: NonNullable<PictureContract['patch']>;
}

interface Qwen2VlOptions {
  readonly layout: Layout;
  readonly vision: VisionOptions;
  readonly decoder: DecoderStackOptions;
  readonly hidden: number;
  readonly vocab: number;
  readonly maxTokens: number;
  readonly pad: number;
  /** Id of the token that stands for a merged patch. */
  readonly imageToken: number;
  /** Id of the token that the score is read at. */
  readonly rewardToken: number;
  readonly head: readonly LinearStep[];
  /** What a prompt is put into; null where only a head is exported, which reads none. */
  readonly template: string | null;
  /** Pixels of a picture, as near as multiples of merged patches come. */
  readonly pixels: number;
}

const NORM: Norm = { kind: 'layer', epsilon: 1e-6 }; // of the vision tower; stated in the code alone
const VISION_THETA = 10_000;
const REWARD = '<|Reward|>';
/** The package's own: 256 merged patches of 28 x 28. */
const PIXELS = 256 * 28 * 28;

/** HPSv3-7B is published without a configuration: that of Qwen/Qwen2-VL-7B-Instruct counts. */
const PUBLISHED: readonly PublishedShape[] = [
  {
    name: 'HPSv3-7B',
    sizes: { 'the hidden size': 3584, 'the number of layers': 28, 'the width of the vision tower': 1280 },
    options: {
      'the number of heads': 28,
      'the number of key heads': 4,
      'the activation': 'silu',
      'the epsilon of the norms': 1e-6,
      'the base of positions': 1_000_000,
      'the number of positions': 32_768,
      'whether attention slides': false,
      'the heads of the vision tower': 16,
      'the activation of the vision tower': 'quick_gelu',
      'the merge of patches': 2,
      'the token of pictures': 151_655,
      'the padding id': 151_643,
    },
  },
];

export const qwen2Vl = architectureOf<Qwen2VlOptions>({
  id: 'qwen2-vl',
  label: 'HPSv3 (Qwen2-VL with a reward head)',
  exportOptions: { promptTemplate: null, pixelBudget: null },
  computesWide: true,
  parityTolerance: 1e-4,
  recognise: (tensors) => tensors.has('rm_head.0.weight') && layoutOf(tensors) !== undefined,
  modalities: () => ['image-text'],
  normalizeConfig: (config) => {
    const text = config['text_config'];
    return isJsonObject(text)
      ? ({ ...config, ...text, model_type: config['model_type'] ?? null } as JsonObject)
      : config;
  },

  options(reader, checkpoint, request) {
    const { tensors } = reader;
    const layout = layoutOf(tensors)!;
    reader.assertModelType('Qwen2-VL', ['qwen2_vl']);
    const hidden = reader.size('the hidden size', {
      tensor: axisOf(tensors, wordsKey(layout), 1),
      keys: ['hidden_size'],
    });
    const depth = reader.size('the number of layers', {
      tensor: modulesOf(tensors, `${layout.words}layers.`),
      keys: ['num_hidden_layers'],
    });
    const width = reader.size('the width of the vision tower', {
      tensor: axisOf(tensors, patchKey(layout), 0),
      keys: ['vision_config.embed_dim'],
    });
    reader.lookUp(PUBLISHED);
    // The tensor counts: the vocabulary was cut to the tokens there are, the reward token last.
    const vocab = axisOf(tensors, wordsKey(layout), 0)?.value ?? 1;
    const added = checkpoint.beside.json('added_tokens.json')?.[REWARD];
    if (added !== undefined && added !== vocab - 1)
      reader.refuse(
        `${REWARD} is token ${String(added)} by added_tokens.json, and the last of ${vocab} rows is ${vocab - 1}`,
      );
    const vision = visionOptions(reader, layout, { width, hidden });
    const factor = vision.patch.size * vision.patch.merge;
    return {
      layout,
      vision,
      hidden,
      vocab,
      decoder: decoderOptions(reader, layout, { hidden, depth }),
      maxTokens: reader.size('the number of positions', { keys: ['max_position_embeddings'], otherwise: 32_768 }),
      pad: reader.size('the padding id', { keys: ['pad_token_id', 'bos_token_id'], otherwise: 151_643 }, 0),
      imageToken: reader.size('the token of pictures', { keys: ['image_token_id'], otherwise: 151_655 }, 0),
      rewardToken: vocab - 1,
      head: headSteps(reader),
      template: request.mode === 'head' ? null : conversation(request.options['promptTemplate']),
      pixels: pixelBudget(request.options['pixelBudget'], factor),
    };
  },

  inputs({ options: { vision, vocab, maxTokens, pad, imageToken, rewardToken, template, pixels } }) {
    const { patch, channels } = vision;
    const factor = patch.size * patch.merge;
    return [
      {
        name: 'input_ids',
        dtype: 'I64',
        shape: ['batch', 'tokens'],
        preprocess: {
          kind: 'text',
          maxTokens,
          tokenizer: TOKENIZER_KEY,
          vocabSize: vocab,
          pad,
          specialTokens: false,
          end: rewardToken,
          template: { kind: 'prompt', source: template ?? '' },
          picture: { token: imageToken, patches: patch.merge ** 2 },
        },
      },
      { name: 'attention_mask', dtype: 'I64', shape: ['batch', 'tokens'], preprocess: { kind: 'text-mask' } },
      {
        name: 'pixel_values',
        dtype: 'F32',
        shape: ['patches', channels * patch.frames * patch.size ** 2],
        preprocess: {
          kind: 'image',
          color: 'RGB',
          transparency: 'drop',
          resize: {
            pixels: { factor, min: pixels, max: pixels },
            kernel: 'bicubic',
            antialias: true,
            passes: 'cheaper-first',
          },
          crop: null,
          scale: 1 / 255,
          ...CLIP_STATISTICS,
          layout: 'patches',
          patch,
        },
      },
      { name: 'image_grid_thw', dtype: 'I64', shape: ['batch', 3], preprocess: { kind: 'image-grid' } },
    ] satisfies ContractInput[];
  },

  encode(graph, inputs, { options, dtype }) {
    const { input_ids: ids, attention_mask: mask, pixel_values: patches, image_grid_thw: grid } = inputs;
    const { layout, hidden, vocab, decoder } = options;
    const pictures = graph.scope('vision', () => pictureTokens(graph, patches, grid, options, dtype));
    const words = graph.lookUp(wordsKey(layout), ids, dtype, [vocab, hidden]);
    const tokens = graph.scope('join', () => putInPlace(graph, words, ids, pictures, options));
    const reads = readAt(graph, (x) => atFirstOf(graph, x, ids, options.rewardToken));
    return { embedding: firstToken(graph, decoderStates(graph, tokens, mask, { ...decoder, reads })) };
  },

  embeddingWidth: ({ options }) => options.hidden,

  score(graph, embedding, { options: { head } }: FamilyContext<Qwen2VlOptions>) {
    return graph.scope('head', () => {
      const scores = linearSteps(graph, embedding, head);
      const mu = {
        name: 'utility_logit',
        value: column(graph, scores, 0),
        meaning: 'Mean of the score of the picture for its prompt (mu): higher is better, without bounds.',
      };
      if (head.at(-1)?.outputs === 1) return [mu];
      const sigma = {
        name: 'sigma',
        value: graph.exp(column(graph, scores, 1)),
        meaning: 'Standard deviation that the model gives the score.',
        range: [0, null] as const,
      };
      return [mu, sigma];
    });
  },

  ignored: () => [
    { names: /(^|\.)lm_head\.weight$/, reason: 'the head that predicts words' },
    { names: /\.(rotary_emb|rotary_pos_emb)\.inv_freq$/, reason: 'a buffer of the frequencies of positions' },
  ],
});

function decoderOptions(
  reader: OptionReader,
  layout: Layout,
  { hidden, depth }: { hidden: number; depth: number },
): DecoderStackOptions {
  const { tensors } = reader;
  const first = `${layout.words}layers.0.`;
  const heads = reader.size('the number of heads', { keys: ['num_attention_heads'], otherwise: 64 });
  const kvHeads = reader.size('the number of key heads', { keys: ['num_key_value_heads'], otherwise: 8 });
  reader.assertDivides('the number of heads', 'the hidden size');
  if (heads % kvHeads > 0) reader.refuse(`${kvHeads} key heads do not divide ${heads} heads`);
  const scaling = reader.raw('rope_parameters.rope_type', 'rope_scaling.rope_type', 'rope_scaling.type');
  // `mrope` has three axes of positions; the package gives the model embeddings and no ids, and all three then count tokens.
  if (scaling !== undefined && scaling !== null && scaling !== 'mrope' && scaling !== 'default')
    reader.refuse(`rotary positions of the kind ${JSON.stringify(scaling)} are not read: mrope and default are`);
  const headDim = Math.floor(hidden / heads);
  return {
    prefix: layout.words,
    depth,
    heads,
    kvHeads,
    headDim,
    inner: reader.size('the width of the feed-forward', {
      tensor: axisOf(tensors, `${first}mlp.up_proj.weight`, 0),
      keys: ['intermediate_size'],
    }),
    activation: reader.choice('the activation', ACTIVATION_NAMES, { keys: ['hidden_act'], otherwise: 'silu' }),
    norm: {
      kind: 'rms',
      epsilon: reader.number('the epsilon of the norms', { keys: ['rms_norm_eps'], otherwise: 1e-5 }, 0),
    },
    theta: reader.number(
      'the base of positions',
      { keys: ['rope_parameters.rope_theta', 'rope_theta'], otherwise: 1_000_000 },
      1,
    ),
    scaling: { kind: 'default' },
    windows: qwenWindows(reader, depth),
    scale: 1 / Math.sqrt(headDim),
    softCap: undefined,
    biases: { q: true, o: false, feedForward: false },
    headNorm: false,
  };
}

function visionOptions(
  reader: OptionReader,
  layout: Layout,
  { width, hidden }: { width: number; hidden: number },
): VisionOptions {
  const { tensors } = reader;
  const key = patchKey(layout);
  const { vision } = layout;
  const merged = axisOf(tensors, `${vision}merger.mlp.2.weight`, 0);
  if (merged && merged.value !== hidden) reader.refuse(`${merged.from} gives no tokens of width ${hidden}`);
  const options = {
    width,
    depth: reader.size('the layers of the vision tower', {
      tensor: modulesOf(tensors, `${vision}blocks.`),
      keys: ['vision_config.depth'],
      otherwise: 32,
    }),
    heads: reader.size('the heads of the vision tower', { keys: ['vision_config.num_heads'], otherwise: 16 }),
    inner: reader.size('the inner width of the vision tower', {
      tensor: axisOf(tensors, `${vision}blocks.0.mlp.fc1.weight`, 0),
    }),
    activation: reader.choice('the activation of the vision tower', ACTIVATION_NAMES, {
      keys: ['vision_config.hidden_act'],
      otherwise: 'quick_gelu',
    }),
    channels: reader.size('the channels of pictures', { tensor: axisOf(tensors, key, 1) }),
    patch: {
      size: reader.size('the size of patches', {
        tensor: axisOf(tensors, key, 3),
        keys: ['vision_config.patch_size'],
        otherwise: 14,
      }),
      merge: reader.size('the merge of patches', { keys: ['vision_config.spatial_merge_size'], otherwise: 2 }),
      frames: reader.size('the frames of patches', {
        tensor: axisOf(tensors, key, 2),
        keys: ['vision_config.temporal_patch_size'],
        otherwise: 2,
      }),
    },
  };
  reader.assertDivides('the heads of the vision tower', 'the width of the vision tower');
  if (options.channels !== 3) reader.refuse(`${key} reads ${options.channels} channels, pictures have 3`);
  return options;
}

/** Linear layers of `rm_head`, a sequence in which ReLUs and dropouts stand between them. */
function headSteps(reader: OptionReader): LinearStep[] {
  const { tensors } = reader;
  const places = [...tensors.keys()]
    .flatMap((name) => /^rm_head\.(\d{1,3})\.weight$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);
  const outputs = places.map((place) => axisOf(tensors, `rm_head.${place}.weight`, 0)?.value ?? 1);
  if ((outputs.at(-1) ?? 0) > 2) reader.refuse(`rm_head gives ${outputs.at(-1)} numbers, not a mean and a spread`);
  return places.map((place, i) => ({
    key: `rm_head.${place}`,
    outputs: outputs[i],
    bias: true,
    ...(i + 1 < places.length ? { activation: 'relu' as const } : {}),
  }));
}

/**
 * What Qwen2-VL's chat template makes of one turn of a user with a picture and the package's instruction, its placeholder (as
 * Python formats it) as the manifest has it.
 */
function conversation(template: string | undefined): string {
  const invalid = (rule: string): HpsError =>
    new HpsError('CONFIG_INVALID', `\`promptTemplate\`: ${rule}`, {
      hint: `The text a prompt is put into is a constant of the package hpsv3 (INSTRUCTION, then prompt_with_special_token): a file with {text_prompt} in it and ${REWARD} once.`,
    });
  if (template === undefined) throw invalid('HPSv3 reads prompts in an instruction that its checkpoint does not hold');
  const source = template.replace(/\{(text_prompt|prompt)\}/g, '{prompt}');
  if (!source.includes('{prompt}')) throw invalid('has no {text_prompt}, where the prompt goes');
  if (source.split(REWARD).length !== 2) throw invalid(`must have ${REWARD} once: the score is read there`);
  const user = source.replaceAll('{{', '{').replaceAll('}}', '}');
  return `<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>${user}<|im_end|>\n<|im_start|>assistant\n`;
}

function pixelBudget(given: string | undefined, factor: number): number {
  if (given === undefined) return PIXELS;
  const pixels = Number(given);
  if (Number.isSafeInteger(pixels) && pixels >= factor ** 2 && pixels <= MOST_PIXELS) return pixels;
  throw new HpsError(
    'USAGE',
    `\`pixelBudget\` must be an integer from ${factor ** 2} to ${MOST_PIXELS}, not ${given}`,
    {
      hint: `The package's own is ${PIXELS}.`,
      details: { pixels: given },
    },
  );
}

/** The largest that Qwen2-VL's processor allows. */
const MOST_PIXELS = 16_384 * 28 * 28;

/**
 * Tokens of each picture [batch, places, hidden]: patches [patches, …] of all pictures in a row -> one row a picture, filled up to
 * the largest, each patch seeing those of its own picture.
 */
function pictureTokens(
  graph: GraphBuilder,
  patches: Value,
  grid: Value,
  { layout, vision, hidden }: Qwen2VlOptions,
  dtype: 'F32' | 'F16',
): Value {
  const { width, heads, inner, activation, depth, patch, channels } = vision;
  const whole = (value: number): Value => graph.scalar(value, 'I64');
  const shape = [width, channels, patch.frames, patch.size, patch.size];
  const kernel = graph.reshape(graph.parameter(patchKey(layout), dtype, 'identity', shape), [width, -1]);
  const embedded = graph.gemm(graph.cast(patches, dtype), kernel, null);

  const [rows, columns] = [graph.at(grid, 1, 1), graph.at(grid, 1, 2)];
  const counts = graph.mul(graph.at(grid, 1, 0), graph.mul(rows, columns));
  const starts = graph.sub(graph.cumSum(counts, 0), counts);
  const slots = graph.countTo(graph.reduceMax(counts, 0, false), 'slots');
  const slot = graph.unsqueeze(slots, [0]);
  const last = graph.sub(graph.squeeze(graph.sizeOf(patches, 0), 0), whole(1));
  const places = graph.min(graph.add(graph.unsqueeze(starts, [1]), slot), last);
  const own = graph.less(slot, graph.unsqueeze(counts, [1]));
  const hidesOthers = keyMask(graph, own);
  const rotary = patchPositions(graph, slots, columns, { merge: patch.merge, headDim: width / heads });

  const tokens = stack(graph, graph.gather(embedded, places), { count: depth, scope: 'layer' }, (x, i) =>
    transformerBlock(graph, x, `${layout.vision}blocks.${i}.`, {
      place: 'pre',
      norm: NORM,
      norms: { attention: 'norm1', feedForward: 'norm2' },
      attention: {
        names: { qkv: 'attn.qkv', out: 'attn.proj' },
        heads,
        biases: { qkv: true, out: true },
        bias: hidesOthers,
        rotary,
      },
      feedForward: { names: { up: 'mlp.fc1', down: 'mlp.fc2' }, activation, inner },
    }),
  );
  const merged = width * patch.merge ** 2;
  const side = graph.reshape(normalize(graph, tokens, `${layout.vision}merger.ln_q`, NORM), [0, -1, merged]);
  const inside = graph.linear(side, `${layout.vision}merger.mlp.0`, { outputs: merged, bias: true });
  return graph.linear(ACTIVATIONS.gelu(graph, inside), `${layout.vision}merger.mlp.2`, { outputs: hidden, bias: true });
}

/**
 * Rotary positions of patches in two dimensions, cos and sin [batch, 1, slots, headDim]: the first half of the angles from the row,
 * the second from the column, both repeated. Patches are in order of merged squares, row by row within each.
 */
function patchPositions(
  graph: GraphBuilder,
  slots: Value,
  columns: Value,
  { merge, headDim }: { merge: number; headDim: number },
): Rotary {
  return graph.scope('rotary', () => {
    const whole = (value: number): Value => graph.scalar(value, 'I64');
    const remainder = (x: Value, quotient: Value, divisor: Value): Value => graph.sub(x, graph.mul(quotient, divisor));
    const slot = graph.unsqueeze(slots, [0]);
    const square = graph.div(slot, whole(merge ** 2));
    const within = remainder(slot, square, whole(merge ** 2));
    const down = graph.div(within, whole(merge));
    const across = graph.unsqueeze(graph.div(columns, whole(merge)), [1]);
    const squareRow = graph.div(square, across);
    const row = graph.add(graph.mul(squareRow, whole(merge)), down);
    const column = graph.add(
      graph.mul(remainder(square, squareRow, across), whole(merge)),
      remainder(within, down, whole(merge)),
    );
    const frequencies = rotaryFrequencies({ theta: VISION_THETA, headDim: headDim / 2 });
    const scale = graph.constant('F32', [1, 1, frequencies.length], frequencies);
    const [ofRow, ofColumn] = [row, column].map((place) =>
      graph.mul(graph.unsqueeze(graph.cast(place, 'F32'), [2]), scale),
    );
    const angle = graph.unsqueeze(graph.concat([ofRow, ofColumn, ofRow, ofColumn], 2), [1]);
    return { cos: graph.cos(angle), sin: graph.sin(angle) };
  });
}

/** The tokens of pictures in place of those of the words that stand for them, in order. */
function putInPlace(
  graph: GraphBuilder,
  words: Value,
  ids: Value,
  pictures: Value,
  { imageToken, hidden }: Qwen2VlOptions,
): Value {
  const whole = (value: number): Value => graph.scalar(value, 'I64');
  const isPicture = graph.equal(ids, whole(imageToken));
  const count = graph.squeeze(graph.sizeOf(pictures, 1), 0);
  const ordinal = graph.sub(graph.cumSum(graph.cast(isPicture, 'I64'), 1), whole(1));
  const within = graph.max(graph.min(ordinal, graph.sub(count, whole(1))), whole(0));
  const starts = graph.unsqueeze(graph.mul(graph.positionsOf(ids, 0), count), [1]);
  const all = graph.gather(graph.reshape(pictures, [-1, hidden]), graph.add(starts, within));
  return graph.where(graph.unsqueeze(isPicture, [2]), all, words);
}
