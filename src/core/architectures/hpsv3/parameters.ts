import type { Dimensions, Tower } from './dimensions.js';

/** How `hpsv3 init` fills a tensor. */
export type Init =
  /** Normal(0, 1 / fan-in): fan-in is the product of all axes but the first. */
  | 'fan-in'
  /** Normal(0, 0.5): positions and latents, which must differ from each other to be of use. */
  | 'position'
  | 'zeros'
  | 'ones'
  /** 0.5: open enough that tokens reach the score before any training. */
  | 'gate'
  | 'dft-cos'
  | 'dft-sin'
  | 'mel'
  /** Sines and cosines of the position (Vaswani et al. 2017, 3.5), of amplitude 1. */
  | 'sinusoids'
  /** The same at the variance of the words they are added to: learning which word is next to which starts from distances, not from noise. */
  | 'word-positions'
  | 'counter';

export interface Parameter {
  readonly name: string;
  readonly shape: readonly number[];
  readonly init: Init;
}

/** Rows of the audio tower's table of sinusoidal positions. */
export const AUDIO_POSITIONS = 400;
/** Output channels of a ResNet bottleneck, in units of its planes. */
export const EXPANSION = 4;

type Part = Iterable<Parameter>;

function* linear(prefix: string, input: number, output: number): Part {
  yield { name: `${prefix}.weight`, shape: [output, input], init: 'fan-in' };
  yield { name: `${prefix}.bias`, shape: [output], init: 'zeros' };
}

function* norm(prefix: string, width: number): Part {
  yield { name: `${prefix}.weight`, shape: [width], init: 'ones' };
  yield { name: `${prefix}.bias`, shape: [width], init: 'zeros' };
}

function* batchNorm(prefix: string, channels: number): Part {
  yield* norm(prefix, channels);
  yield { name: `${prefix}.running_mean`, shape: [channels], init: 'zeros' };
  yield { name: `${prefix}.running_var`, shape: [channels], init: 'ones' };
  yield { name: `${prefix}.num_batches_tracked`, shape: [], init: 'counter' };
}

function* convolution(name: string, shape: readonly number[]): Part {
  yield { name: `${name}.weight`, shape, init: 'fan-in' };
}

/** Pre-norm Transformer block. */
function* block(prefix: string, width: number): Part {
  yield* norm(`${prefix}.norm1`, width);
  yield* linear(`${prefix}.attn.qkv`, width, 3 * width);
  yield* linear(`${prefix}.attn.out`, width, width);
  yield* norm(`${prefix}.norm2`, width);
  yield* linear(`${prefix}.fc1`, width, 4 * width);
  yield* linear(`${prefix}.fc2`, 4 * width, width);
}

function* blocks(prefix: string, count: number, width: number): Part {
  for (let i = 0; i < count; i++) yield* block(`${prefix}.${i}`, width);
}

function* bottleneck(prefix: string, inputs: number, planes: number, downsample: boolean): Part {
  yield* convolution(`${prefix}.conv1`, [planes, inputs, 1, 1]);
  yield* batchNorm(`${prefix}.bn1`, planes);
  yield* convolution(`${prefix}.conv2`, [planes, planes, 3, 3]);
  yield* batchNorm(`${prefix}.bn2`, planes);
  yield* convolution(`${prefix}.conv3`, [planes * EXPANSION, planes, 1, 1]);
  yield* batchNorm(`${prefix}.bn3`, planes * EXPANSION);
  if (downsample) {
    yield* convolution(`${prefix}.downsample.0`, [planes * EXPANSION, inputs, 1, 1]);
    yield* batchNorm(`${prefix}.downsample.1`, planes * EXPANSION);
  }
}

/** Whether the first block of a stage needs a projection on its skip connection (torchvision's rule). */
export const hasDownsample = (stage: number, inputs: number, planes: number): boolean =>
  stage > 0 || inputs !== planes * EXPANSION;

function* visual(d: Dimensions): Part {
  const positions = (d.image_size / 32) ** 2;
  yield { name: 'visual.pos', shape: [1, positions, d.hidden_dim], init: 'position' };
  yield* convolution('visual.trunk.conv1', [d.resnet_planes, 3, 7, 7]);
  yield* batchNorm('visual.trunk.bn1', d.resnet_planes);
  let inputs = d.resnet_planes;
  for (const [stage, count] of d.resnet_layers.entries()) {
    const planes = d.resnet_planes * 2 ** stage;
    for (let i = 0; i < count; i++) {
      yield* bottleneck(
        `visual.trunk.layer${stage + 1}.${i}`,
        inputs,
        planes,
        i === 0 && hasDownsample(stage, inputs, planes),
      );
      inputs = planes * EXPANSION;
    }
  }
  yield { name: 'visual.proj.weight', shape: [d.hidden_dim, inputs, 1, 1], init: 'fan-in' };
  yield { name: 'visual.proj.bias', shape: [d.hidden_dim], init: 'zeros' };
  yield* blocks('visual.blocks', d.visual_blocks, d.hidden_dim);
}

function* text(d: Dimensions): Part {
  const h = d.text_hidden;
  const embeddings = 'text.bert.embeddings';
  yield { name: `${embeddings}.word_embeddings.weight`, shape: [d.vocab_size, h], init: 'fan-in' };
  yield { name: `${embeddings}.position_embeddings.weight`, shape: [d.text_positions, h], init: 'word-positions' };
  yield { name: `${embeddings}.token_type_embeddings.weight`, shape: [2, h], init: 'fan-in' };
  yield* norm(`${embeddings}.LayerNorm`, h);
  for (let i = 0; i < d.text_layers; i++) {
    const layer = `text.bert.encoder.layer.${i}`;
    for (const name of ['query', 'key', 'value']) yield* linear(`${layer}.attention.self.${name}`, h, h);
    yield* linear(`${layer}.attention.output.dense`, h, h);
    yield* norm(`${layer}.attention.output.LayerNorm`, h);
    yield* linear(`${layer}.intermediate.dense`, h, d.text_intermediate);
    yield* linear(`${layer}.output.dense`, d.text_intermediate, h);
    yield* norm(`${layer}.output.LayerNorm`, h);
  }
  yield* linear('text.proj', h, d.hidden_dim);
}

function* audio(d: Dimensions): Part {
  const bins = Math.floor(d.n_fft / 2) + 1;
  yield { name: 'audio.dft_cos', shape: [bins, 1, d.n_fft], init: 'dft-cos' };
  yield { name: 'audio.dft_sin', shape: [bins, 1, d.n_fft], init: 'dft-sin' };
  yield { name: 'audio.mel', shape: [d.n_mels, bins], init: 'mel' };
  yield { name: 'audio.pos', shape: [AUDIO_POSITIONS, d.hidden_dim], init: 'sinusoids' };
  const widths = [d.n_mels, ...d.audio_channels];
  for (const [i, output] of d.audio_channels.entries()) yield* convolution(`audio.convs.${i}`, [output, widths[i], 3]);
  for (const [i, output] of d.audio_channels.entries()) yield* batchNorm(`audio.norms.${i}`, output);
  yield* linear('audio.proj', widths[widths.length - 1], d.hidden_dim);
  yield* blocks('audio.blocks', d.audio_blocks, d.hidden_dim);
}

function* video(d: Dimensions): Part {
  const [stem = Number.NaN, ...stages] = d.video_channels;
  const side = d.video_size / 2 ** d.video_channels.length;
  yield { name: 'video.space_pos', shape: [1, side * side, d.hidden_dim], init: 'position' };
  yield { name: 'video.time_pos', shape: [1, d.video_frames / 2, d.hidden_dim], init: 'position' };
  yield* convolution('video.stem', [stem, 3, 3, 7, 7]);
  yield* batchNorm('video.stem_norm', stem);
  for (const [i, output] of stages.entries())
    yield* convolution(`video.stages.${i}`, [output, d.video_channels[i], 3, 3, 3]);
  for (const [i, output] of stages.entries()) yield* batchNorm(`video.norms.${i}`, output);
  yield* linear('video.proj', d.video_channels[d.video_channels.length - 1], d.hidden_dim);
  yield* blocks('video.space', d.video_blocks, d.hidden_dim);
  yield* blocks('video.time', d.video_blocks, d.hidden_dim);
}

function* fusion(d: Dimensions): Part {
  const width = d.hidden_dim;
  yield { name: 'fusion.latents', shape: [1, d.fusion_latents, width], init: 'position' };
  yield { name: 'fusion.modality.weight', shape: [4, width], init: 'fan-in' };
  for (let i = 0; i < d.fusion_layers; i++) {
    const layer = `fusion.layers.${i}`;
    yield { name: `${layer}.gate_attn`, shape: [1], init: 'gate' };
    yield { name: `${layer}.gate_ff`, shape: [1], init: 'gate' };
    yield* norm(`${layer}.norm_q`, width);
    yield* norm(`${layer}.norm_kv`, width);
    yield* linear(`${layer}.q`, width, width);
    yield* linear(`${layer}.kv`, width, 2 * width);
    yield* linear(`${layer}.out`, width, width);
    yield* norm(`${layer}.norm_ff`, width);
    yield* linear(`${layer}.fc1`, width, 4 * width);
    yield* linear(`${layer}.fc2`, 4 * width, width);
  }
  yield* norm('fusion.norm', width);
  if (!d.fusion_match) return;
  for (const side of ['left', 'right']) {
    yield* batchNorm(`fusion.match.norm_${side}`, width);
    yield* linear(`fusion.match.${side}`, width, d.fusion_match);
  }
  yield* linear('fusion.match.out', d.fusion_match, width);
}

function* head(d: Dimensions): Part {
  const width = d.hidden_dim;
  yield* linear('head.abs1', width, Math.floor(width / 2));
  yield* linear('head.abs2', Math.floor(width / 2), 1);
  yield* linear('head.cal1', 1, 8);
  yield* linear('head.cal2', 8, 1);
  yield* linear('head.pair1', 4 * width, width);
  yield* linear('head.pair2', width, 1);
  yield* linear('head.quality', width, d.quality_classes);
  yield* linear('head.fluency', width, 2);
  yield* linear('head.toxicity', width, 2);
}

const PARTS: Readonly<Record<Tower | 'fusion' | 'head', (d: Dimensions) => Part>> = {
  image: visual,
  text,
  audio,
  video,
  fusion,
  head,
};

/** Tensors of the given parts, in the order of PyTorch's state dict. */
export function parametersOf(dimensions: Dimensions, parts: readonly (Tower | 'fusion' | 'head')[]): Parameter[] {
  return parts.flatMap((part) => [...PARTS[part](dimensions)]);
}
