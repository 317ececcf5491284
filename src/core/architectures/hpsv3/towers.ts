import type { GraphBuilder } from '../../onnx/builder.js';
import type { Value } from '../../onnx/graph-core.js';
import { attend, splitHeads } from '../blocks/attention.js';
import { keyMask } from '../blocks/masks.js';
import type { Norm } from '../blocks/norms.js';
import { meanOfTokens } from '../blocks/pooling.js';
import { stack, transformerBlock } from '../blocks/transformer.js';
import type { Dimensions } from './dimensions.js';
import { hasDownsample } from './parameters.js';

/** The encoders of each modality, as graphs: inputs to tokens [batch, tokens, D]. Matched to the PyTorch reference module by module. */

const BLOCK_NORM: Norm = { kind: 'layer', epsilon: 1e-5 }; // torch.nn.LayerNorm's default
const BERT_NORM: Norm = { kind: 'layer', epsilon: 1e-12 }; // BertConfig.layer_norm_eps
/** What the reference adds to the scores of a hidden token. */
const HIDDEN = -10000;
/** Floor of the mel power before its logarithm. */
const POWER_FLOOR = 1e-6;

const same = (rank: number, value: number): number[] => new Array<number>(rank).fill(value);

export const maskBias = (graph: GraphBuilder, mask: Value): Value => keyMask(graph, mask, HIDDEN);

function blocks(graph: GraphBuilder, x: Value, key: string, count: number, heads: number): Value {
  return stack(graph, x, { count, scope: key.slice(key.indexOf('.') + 1) }, (tokens, i) =>
    transformerBlock(graph, tokens, `${key}.${i}.`, {
      place: 'pre',
      norm: BLOCK_NORM,
      norms: { attention: 'norm1', feedForward: 'norm2' },
      attention: { names: { qkv: 'attn.qkv', out: 'attn.out' }, heads, bias: null },
      feedForward: { names: { up: 'fc1', down: 'fc2' }, activation: 'gelu' },
    }),
  );
}

function bottleneck(graph: GraphBuilder, x: Value, key: string, stride: number, downsample: boolean): Value {
  const unit = (input: Value, index: number, strides: number, pad: number): Value =>
    graph.batchNorm(
      graph.convolution(input, `${key}.conv${index}`, { strides: same(2, strides), pads: same(2, pad) }),
      `${key}.bn${index}`,
    );
  const narrow = graph.relu(unit(x, 1, 1, 0));
  const middle = graph.relu(unit(narrow, 2, stride, 1));
  const wide = unit(middle, 3, 1, 0);
  const skip = downsample
    ? graph.batchNorm(
        graph.convolution(x, `${key}.downsample.0`, { strides: same(2, stride), pads: [0, 0] }),
        `${key}.downsample.1`,
      )
    : x;
  return graph.relu(graph.add(wide, skip));
}

/** pixel_values [batch, 3, S, S] -> tokens [batch, (S / 32)^2, D]: ResNet trunk, 1x1 projection, positions, blocks. */
export function imageTokens(graph: GraphBuilder, d: Dimensions, pixels: Value): Value {
  return graph.scope('visual', () => {
    const map = graph.scope('trunk', () => {
      const stem = graph.convolution(pixels, 'visual.trunk.conv1', { strides: [2, 2], pads: [3, 3] });
      let x = graph.maxPool(graph.relu(graph.batchNorm(stem, 'visual.trunk.bn1')), [3, 3], {
        strides: [2, 2],
        pads: [1, 1],
      });
      for (const [stage, count] of d.resnet_layers.entries()) {
        for (let i = 0; i < count; i++) {
          const first = i === 0;
          const downsample = first && hasDownsample(stage, x.shape[1] as number, d.resnet_planes * 2 ** stage);
          x = graph.scope(`layer${stage + 1}.${i}`, () =>
            bottleneck(graph, x, `visual.trunk.layer${stage + 1}.${i}`, first && stage > 0 ? 2 : 1, downsample),
          );
        }
      }
      return x;
    });
    const projected = graph.convolution(map, 'visual.proj', { strides: [1, 1], pads: [0, 0] });
    const tokens = graph.transpose(graph.reshape(projected, [0, d.hidden_dim, -1]), [0, 2, 1]);
    const placed = graph.add(tokens, graph.parameter('visual.pos', floatOf(pixels)));
    return blocks(graph, placed, 'visual.blocks', d.visual_blocks, d.visual_heads);
  });
}

/** input_ids [batch, T], mask bias [batch, 1, 1, T] -> tokens [batch, T, D]: BERT without pooler, then a projection. */
export function textTokens(graph: GraphBuilder, d: Dimensions, ids: Value, bias: Value, dtype: 'F32' | 'F16'): Value {
  return graph.scope('text', () => {
    const embedded = graph.scope('embeddings', () => {
      const table = (name: string): Value => graph.parameter(`text.bert.embeddings.${name}.weight`, dtype);
      const words = graph.gather(table('word_embeddings'), ids);
      const positions = graph.rowsLike(table('position_embeddings'), ids, 1);
      const type = graph.row(table('token_type_embeddings'), 0);
      return graph.layerNorm(
        graph.add(graph.add(words, positions), type),
        'text.bert.embeddings.LayerNorm',
        BERT_NORM.epsilon,
      );
    });
    const x = stack(graph, embedded, { count: d.text_layers, scope: 'layer' }, (tokens, i) =>
      transformerBlock(graph, tokens, `text.bert.encoder.layer.${i}.`, {
        place: 'post',
        norm: BERT_NORM,
        norms: { attention: 'attention.output.LayerNorm', feedForward: 'output.LayerNorm' },
        attention: {
          names: {
            q: 'attention.self.query',
            k: 'attention.self.key',
            v: 'attention.self.value',
            out: 'attention.output.dense',
          },
          heads: d.text_heads,
          bias,
        },
        feedForward: { names: { up: 'intermediate.dense', down: 'output.dense' }, activation: 'gelu' },
        scopes: { attention: 'attention', up: 'intermediate', down: 'output' },
      }),
    );
    return graph.linear(x, 'text.proj');
  });
}

/**
 * waveform [batch, samples] -> tokens [batch, frames / 8, D]: power spectrum by two convolutions, log-mel, ConvNet, blocks.
 * The spectrum and its logarithm stay in float32 whatever `dtype`: power spans more than float16 holds.
 */
export function audioTokens(graph: GraphBuilder, d: Dimensions, waveform: Value, dtype: 'F32' | 'F16'): Value {
  return graph.scope('audio', () => {
    const logMel = graph.scope('log-mel', () => {
      const x = graph.unsqueeze(waveform, [1]);
      const spectrum = (name: string): Value => {
        const part = graph.conv(x, graph.parameter(`audio.${name}`, 'F32'), null, { strides: [d.hop], pads: [0] });
        return graph.mul(part, part);
      };
      const power = graph.add(spectrum('dft_cos'), spectrum('dft_sin'));
      return graph.log(
        graph.max(graph.matmul(graph.parameter('audio.mel', 'F32'), power), graph.scalar(POWER_FLOOR, 'F32')),
      );
    });
    let x = graph.cast(logMel, dtype);
    for (let i = 0; i < d.audio_channels.length; i++) {
      x = graph.scope(`convs.${i}`, () =>
        graph.relu(
          graph.batchNorm(graph.convolution(x, `audio.convs.${i}`, { strides: [2], pads: [1] }), `audio.norms.${i}`),
        ),
      );
    }
    const projected = graph.linear(graph.transpose(x, [0, 2, 1]), 'audio.proj');
    const placed = graph.add(projected, graph.rowsLike(graph.parameter('audio.pos', dtype), projected, 1));
    return blocks(graph, placed, 'audio.blocks', d.audio_blocks, d.audio_heads);
  });
}

/** frames [batch, 3, F, S, S] -> tokens [batch, F / 2, D]: 3-D convolutions, blocks over space, a mean, blocks over time. */
export function videoTokens(graph: GraphBuilder, d: Dimensions, frames: Value): Value {
  return graph.scope('video', () => {
    const stem = graph.convolution(frames, 'video.stem', { strides: [1, 2, 2], pads: [1, 3, 3] });
    let x = graph.relu(graph.batchNorm(stem, 'video.stem_norm'));
    for (let i = 0; i < d.video_channels.length - 1; i++) {
      const strides = [i === 0 ? 2 : 1, 2, 2];
      x = graph.scope(`stages.${i}`, () =>
        graph.relu(
          graph.batchNorm(graph.convolution(x, `video.stages.${i}`, { strides, pads: [1, 1, 1] }), `video.norms.${i}`),
        ),
      );
    }
    const [, channels, steps, height, width] = x.shape as number[];
    const cells = graph.reshape(graph.transpose(x, [0, 2, 3, 4, 1]), [-1, height * width, channels]); // [batch * F/2, cells, C]
    const placed = graph.add(graph.linear(cells, 'video.proj'), graph.parameter('video.space_pos', floatOf(frames)));
    const seen = graph.reduceMean(blocks(graph, placed, 'video.space', d.video_blocks, d.video_heads), 1, false);
    const moments = graph.add(
      graph.reshape(seen, [-1, steps, d.hidden_dim]),
      graph.parameter('video.time_pos', floatOf(frames)),
    );
    return blocks(graph, moments, 'video.time', d.video_blocks, d.video_heads);
  });
}

const floatOf = (x: Value): 'F32' | 'F16' => (x.dtype === 'F16' ? 'F16' : 'F32');

/** Fusion of one or two modalities: latents read the tokens through gated cross-attention. Tokens -> embedding [batch, D]. */
export function fuse(graph: GraphBuilder, d: Dimensions, tokens: Value, bias: Value | null): Value {
  return graph.scope('fusion', () => {
    const dtype = floatOf(tokens);
    // The latents keep a batch of 1 until the first attention gives them the batch of the tokens: no shape is read at run time.
    let x = graph.parameter('fusion.latents', dtype);
    for (let i = 0; i < d.fusion_layers; i++) {
      x = graph.scope(`layers.${i}`, () =>
        gatedCrossAttention(graph, x, tokens, bias, `fusion.layers.${i}`, d.fusion_heads),
      );
    }
    return graph.reduceMean(graph.layerNorm(x, 'fusion.norm', BLOCK_NORM.epsilon), 1, false);
  });
}

/**
 * What two modalities have in common, [batch, D]: the product of both, each averaged over its tokens, normed and projected. Attention
 * alone would have to learn from nothing that one is to be compared with the other. The norms are over items: most of a mean over
 * tokens is the same for all of them, and a norm over its own elements would leave it in. What is far from all others is bounded.
 * @param mask - 1 for the tokens of `right` that count, [batch, tokens]
 * @param isNamed - whether both projections get the names that a training's contrast reads
 */
export function matchTokens(
  graph: GraphBuilder,
  left: Value,
  right: Value,
  { mask, isNamed }: { readonly mask: Value; readonly isNamed: boolean },
): Value {
  return graph.scope('match', () => {
    const side = (name: 'left' | 'right', tokens: Value, kept: Value | null): Value => {
      const mean = graph.cast(meanOfTokens(graph, tokens, kept), floatOf(tokens));
      const normed = graph.tanh(graph.batchNorm(mean, `fusion.match.norm_${name}`));
      const projected = graph.linear(normed, `fusion.match.${name}`);
      return isNamed ? graph.named(projected, `match_${name}`) : projected;
    };
    const product = graph.mul(
      graph.scope('left', () => side('left', left, null)),
      graph.scope('right', () => side('right', right, mask)),
    );
    return graph.linear(product, 'fusion.match.out');
  });
}

/** x + tanh(gate_attn) CrossAttention(norm x, norm tokens), then x + tanh(gate_ff) FeedForward(norm x). */
function gatedCrossAttention(
  graph: GraphBuilder,
  x: Value,
  tokens: Value,
  bias: Value | null,
  key: string,
  heads: number,
): Value {
  const gated = (name: string, value: Value): Value =>
    graph.mul(graph.tanh(graph.parameter(`${key}.${name}`, floatOf(x))), value);
  const q = splitHeads(graph, graph.linear(graph.layerNorm(x, `${key}.norm_q`, BLOCK_NORM.epsilon), `${key}.q`), heads);
  const [k, v] = graph.split(
    graph.linear(graph.layerNorm(tokens, `${key}.norm_kv`, BLOCK_NORM.epsilon), `${key}.kv`),
    2,
    2,
  );
  const joined = attend(graph, q, splitHeads(graph, k, heads, true), splitHeads(graph, v, heads), { bias });
  const attended = graph.add(x, gated('gate_attn', graph.linear(joined, `${key}.out`)));
  const wide = graph.gelu(graph.linear(graph.layerNorm(attended, `${key}.norm_ff`, BLOCK_NORM.epsilon), `${key}.fc1`));
  return graph.add(attended, gated('gate_ff', graph.linear(wide, `${key}.fc2`)));
}

/** Marks tokens with their modality's embedding: row `index` of the table. */
export function tagTokens(graph: GraphBuilder, tokens: Value, index: number): Value {
  return graph.scope('fusion', () =>
    graph.add(tokens, graph.row(graph.parameter('fusion.modality.weight', floatOf(tokens)), index)),
  );
}
