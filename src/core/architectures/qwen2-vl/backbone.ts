import { HpsError } from '../../errors.js';
import type { GraphBuilder } from '../../onnx/builder.js';
import type { Value } from '../../onnx/graph-core.js';
import type { ContractInput } from '../../onnx/manifest.js';
import { TOKENIZER_KEY } from '../../onnx/manifest-names.js';
import { atFirstOf, readAt } from '../blocks/pooling.js';
import { decoderStates } from '../decoder.js';
import type { IgnoredRule } from '../family.js';
import { type BackboneOptions, wordsKey } from './options.js';
import { type Grids, pictureTokens, putInPlace } from './vision.js';

/**
 * States [batch, rewards, hidden] at the tokens of the rewards, of words and of the patches that stand among them. Positions count
 * tokens on all three axes: the packages give the decoder embeddings and no ids.
 */
export function rewardStates(
  graph: GraphBuilder,
  { ids, mask, patches, grids }: { ids: Value; mask: Value; patches: Value; grids: Grids },
  { options, dtype }: { options: BackboneOptions; dtype: 'F32' | 'F16' },
  rewards: readonly number[],
): Value {
  const { layout, hidden, vocab, decoder } = options;
  const pictures = graph.scope('vision', () => pictureTokens(graph, patches, grids, options, dtype));
  const words = graph.lookUp(wordsKey(layout), ids, dtype, [vocab, hidden]);
  const tokens = graph.scope('join', () => putInPlace(graph, words, ids, pictures, grids, options));
  const rules = rewards.map((reward) => (x: Value) => atFirstOf(graph, x, ids, reward));
  return decoderStates(graph, tokens, mask, { ...decoder, reads: readAt(graph, ...rules) });
}

/** Contract of the ids, in a template that ends with a reward, and of their mask. */
export function textInputs(
  { maxTokens, vocab, pad, mediaToken, vision }: BackboneOptions,
  template: string | null,
): ContractInput[] {
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
        end: vocab - 1,
        template: { kind: 'prompt', source: template ?? '' },
        picture: { token: mediaToken, patches: vision.patch.merge ** 2 },
      },
    },
    { name: 'attention_mask', dtype: 'I64', shape: ['batch', 'tokens'], preprocess: { kind: 'text-mask' } },
  ];
}

interface Instruction {
  readonly template: string | undefined;
  /** Whose package holds it, and under which name. */
  readonly model: string;
  readonly origin: string;
  /** Token of the picture or the clip. */
  readonly media: string;
  /** Tokens of the rewards, in their order. */
  readonly rewards: readonly string[];
}

/**
 * What Qwen2-VL's chat template makes of one turn of a user with a picture or a clip and the package's instruction, its placeholder
 * (as Python formats it) as the manifest has it.
 */
export function conversation({ template, model, origin, media, rewards }: Instruction): string {
  const listed = rewards.join(', ');
  const invalid = (rule: string): HpsError =>
    new HpsError('CONFIG_INVALID', `\`promptTemplate\`: ${rule}`, {
      hint: `The text a prompt is put into is a constant of the package (${origin}): a file with {text_prompt} in it and ${listed} once${rewards.length > 1 ? ' each, in this order' : ''}.`,
    });
  if (template === undefined)
    throw invalid(`${model} reads prompts in an instruction that its checkpoint does not hold`);
  const source = template.replace(/\{(text_prompt|prompt)\}/g, '{prompt}');
  if (!source.includes('{prompt}')) throw invalid('has no {text_prompt}, where the prompt goes');
  const places = rewards.map((reward) => source.indexOf(reward));
  for (const reward of rewards)
    if (source.split(reward).length !== 2) throw invalid(`must have ${reward} once: the score is read there`);
  if (places.some((place, i) => i > 0 && place < places[i - 1])) throw invalid(`must have ${listed} in this order`);
  const user = source.replaceAll('{{', '{').replaceAll('}}', '}');
  return `<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n<|vision_start|>${media}<|vision_end|>${user}<|im_end|>\n<|im_start|>assistant\n`;
}

/** @param own - what the package takes */
export function pixelBudget(given: string | undefined, factor: number, own: number): number {
  if (given === undefined) return own;
  const pixels = Number(given);
  if (Number.isSafeInteger(pixels) && pixels >= factor ** 2 && pixels <= MOST_PIXELS) return pixels;
  throw new HpsError(
    'USAGE',
    `\`pixelBudget\` must be an integer from ${factor ** 2} to ${MOST_PIXELS}, not ${given}`,
    {
      hint: `The package's own is ${own}.`,
      details: { pixels: given },
    },
  );
}

/** The largest that Qwen2-VL's processor allows. */
const MOST_PIXELS = 16_384 * 28 * 28;

export const BACKBONE_IGNORED: readonly IgnoredRule[] = [
  { names: /(^|\.)lm_head\.weight$/, reason: 'the head that predicts words' },
  { names: /\.(rotary_emb|rotary_pos_emb)\.inv_freq$/, reason: 'a buffer of the frequencies of positions' },
];
