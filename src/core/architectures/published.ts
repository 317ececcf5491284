import { formatShape } from '../tensor/shape.js';
import type { TensorInfos } from './architecture.js';
import { countModules } from './readings.js';

/** A published model, by what no other has: the shapes of a few tensors and the number of its layers. */
interface PublishedModel {
  readonly name: string;
  readonly shapes: Readonly<Record<string, readonly number[]>>;
  /** Prefix of the layers, their number aside, and how many there are. */
  readonly layers?: readonly [prefix: string, count: number];
}

const clip = (name: string, width: number, patch: number, text: number, tokens: number): PublishedModel => ({
  name,
  shapes: {
    'vision_model.embeddings.patch_embedding.weight': [width, 3, patch, patch],
    'vision_model.embeddings.position_embedding.weight': [tokens, width],
    'text_model.embeddings.token_embedding.weight': [49_408, text],
  },
});

const openClip = (name: string, width: number, patch: number, text: number): PublishedModel => ({
  name,
  shapes: { 'visual.conv1.weight': [width, 3, patch, patch], 'token_embedding.weight': [49_408, text] },
});

const siglip = (name: string, width: number, patch: number, tokens: number): PublishedModel => ({
  name,
  shapes: {
    'vision_model.embeddings.patch_embedding.weight': [width, 3, patch, patch],
    'vision_model.embeddings.position_embedding.weight': [tokens, width],
    'vision_model.head.probe': [1, 1, width],
  },
});

const encoder = (
  name: string,
  prefix: string,
  words: number,
  width: number,
  depth: number,
  layers = 'encoder.layer.',
) => ({
  name,
  shapes: { [`${prefix}embeddings.word_embeddings.weight`]: [words, width] },
  layers: [`${prefix}${layers}`, depth] as const,
});

const decoder = (name: string, words: number, width: number, depth: number): PublishedModel => ({
  name,
  shapes: { 'model.embed_tokens.weight': [words, width] },
  layers: ['model.layers.', depth],
});

/** The more specific first. Sizes are those of the published files; a fine-tuned model has those of what it was tuned from. */
const PUBLISHED: readonly PublishedModel[] = [
  clip('CLIP ViT-H/14 (PickScore_v1, LAION CLIP-ViT-H-14)', 1280, 14, 1024, 257),
  clip('CLIP ViT-L/14', 1024, 14, 768, 257),
  clip('CLIP ViT-L/14-336', 1024, 14, 768, 577),
  clip('CLIP ViT-B/32', 768, 32, 512, 50),
  clip('CLIP ViT-B/16', 768, 16, 512, 197),
  openClip('open_clip ViT-H-14 (HPSv2, HPSv2.1, LAION CLIP H/14)', 1280, 14, 1024),
  openClip('open_clip ViT-g-14', 1408, 14, 1024),
  openClip('open_clip ViT-bigG-14', 1664, 14, 1280),
  openClip('open_clip ViT-L-14', 1024, 14, 768),
  openClip('open_clip ViT-B-32', 768, 32, 512),
  openClip('open_clip ViT-B-16', 768, 16, 512),
  siglip('SigLIP so400m-patch14-384', 1152, 14, 729),
  siglip('SigLIP so400m-patch14-224', 1152, 14, 256),
  siglip('SigLIP base-patch16-224', 768, 16, 196),
  {
    name: 'ImageReward-v1.0',
    shapes: {
      'blip.visual_encoder.cls_token': [1, 1, 1024],
      'blip.text_encoder.embeddings.word_embeddings.weight': [30_524, 768],
    },
  },
  {
    name: "LAION's aesthetic predictor (linear)",
    shapes: { 'layers.0.weight': [1024, 768], 'layers.7.weight': [1, 16] },
  },
  { name: 'aesthetic-predictor-v2.5', shapes: { 'scoring_head.0.weight': [1024, 1152] } },
  encoder('BERT base', 'bert.', 30_522, 768, 12),
  encoder('BERT large', 'bert.', 30_522, 1024, 24),
  encoder('multilingual BERT base', 'bert.', 119_547, 768, 12),
  encoder('RoBERTa base', 'roberta.', 50_265, 768, 12),
  encoder('RoBERTa large', 'roberta.', 50_265, 1024, 24),
  encoder('XLM-RoBERTa base (BGE reranker base)', 'roberta.', 250_002, 768, 12),
  encoder('XLM-RoBERTa large (BGE reranker large)', 'roberta.', 250_002, 1024, 24),
  encoder('DistilBERT base', 'distilbert.', 30_522, 768, 6, 'transformer.layer.'),
  encoder('ELECTRA base', 'electra.', 30_522, 768, 12),
  encoder('ELECTRA large', 'electra.', 30_522, 1024, 24),
  encoder('DeBERTa-v3 base', 'deberta.', 128_100, 768, 12),
  encoder('DeBERTa-v3 large (OpenAssistant reward-model-deberta-v3-large-v2)', 'deberta.', 128_100, 1024, 24),
  encoder('all-MiniLM-L6-v2', '', 30_522, 384, 6),
  encoder('all-MiniLM-L12-v2', '', 30_522, 384, 12),
  encoder('all-mpnet-base-v2', '', 30_527, 768, 12),
  { name: 'HPSv3 (Qwen2-VL-7B)', shapes: { 'rm_head.0.weight': [1024, 3584] } },
  { name: 'VideoReward (Qwen2-VL-2B)', shapes: { 'rm_head.weight': [1, 1536] } },
  decoder('Llama 3.2 1B (Skywork-Reward-V2-Llama-3.2-1B)', 128_256, 2048, 16),
  decoder('Llama 3.2 3B (Skywork-Reward-V2-Llama-3.2-3B)', 128_256, 3072, 28),
  decoder('Llama 3.1 8B (Skywork-Reward-V2-Llama-3.1-8B)', 128_256, 4096, 32),
  decoder('Qwen3 0.6B (Skywork-Reward-V2-Qwen3-0.6B)', 151_936, 1024, 28),
  decoder('Qwen3 1.7B (Skywork-Reward-V2-Qwen3-1.7B)', 151_936, 2048, 28),
  decoder('Qwen3 4B (Skywork-Reward-V2-Qwen3-4B)', 151_936, 2560, 36),
  decoder('Qwen3 8B (Skywork-Reward-V2-Qwen3-8B)', 151_936, 4096, 36),
  decoder('Qwen2 7B', 152_064, 3584, 28),
  decoder('Mistral 7B', 32_000, 4096, 32),
  decoder('Gemma 2 9B', 256_000, 3584, 42),
  decoder('Gemma 2 27B (Skywork-Reward-Gemma-2-27B)', 256_000, 4608, 46),
  {
    name: 'UTMOS22 strong',
    shapes: { 'projection.0.weight': [2048, 1024], 'wav2vec2.post_extract_proj.weight': [768, 512] },
  },
  {
    name: 'wav2vec 2.0 base',
    shapes: { 'wav2vec2.feature_projection.projection.weight': [768, 512] },
    layers: ['wav2vec2.encoder.layers.', 12],
  },
  {
    name: 'wav2vec 2.0 large',
    shapes: { 'wav2vec2.feature_projection.projection.weight': [1024, 512] },
    layers: ['wav2vec2.encoder.layers.', 24],
  },
];

/** The published model whose sizes these tensors have; null where none has them. Equal sizes do not prove equal weights. */
export function publishedModelOf(tensors: TensorInfos): string | null {
  const fits = ({ shapes, layers }: PublishedModel): boolean =>
    Object.entries(shapes).every(([name, shape]) => {
      const found = tensors.get(name);
      return found !== undefined && formatShape(found.shape) === formatShape(shape);
    }) &&
    (layers === undefined || countModules(tensors, layers[0]) === layers[1]);
  return PUBLISHED.find(fits)?.name ?? null;
}
