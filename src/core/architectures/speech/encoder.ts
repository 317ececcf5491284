import type { GraphBuilder } from '../../onnx/builder.js';
import type { Value } from '../../onnx/graph-core.js';
import type { ContractInput } from '../../onnx/manifest.js';
import { ACTIVATIONS, type ActivationName } from '../blocks/activations.js';
import type { AttentionNames } from '../blocks/attention.js';
import { normalize } from '../blocks/norms.js';
import { stack, type Tower, transformerBlock } from '../blocks/transformer.js';
import type { OptionReader } from '../option-reader.js';
import { axisOf, modulesOf } from '../readings.js';

// The encoder of wav2vec 2.0 (Baevski et al., 2020): convolutions over the wave, a convolution for positions, transformer blocks.
// transformers 4.57, modeling_wav2vec2.py, and fairseq, wav2vec2.py, name its parts differently.

/** State-dict keys of the parts. */
export interface SpeechNames {
  /** Prefix of the convolutions, their number aside, and what stands after it. */
  readonly filters: string;
  readonly filter: string;
  readonly filterNorm: string;
  readonly featureNorm: string;
  readonly projection: string;
  readonly positions: string;
  readonly encoderNorm: string;
  /** Prefix of the blocks, their number aside. */
  readonly layers: string;
  readonly block: {
    readonly attention: AttentionNames;
    readonly attentionNorm: string;
    readonly up: string;
    readonly down: string;
    readonly feedForwardNorm: string;
  };
}

/** What the tensors tell of an encoder. */
interface SpeechSizes extends Pick<Tower, 'width' | 'layers' | 'inner'> {
  readonly filters: readonly { readonly channels: number; readonly kernel: number }[];
  /** Name of the direction of the positional convolution's weight, which comes apart in its length and this. */
  readonly direction: string;
  readonly positionKernel: number;
  readonly positionGroups: number;
}

export interface SpeechEncoder extends SpeechSizes, Tower {
  readonly strides: readonly number[];
  readonly filterBias: boolean;
  readonly filterActivation: ActivationName;
  /** `group`: each channel of the first convolution, over time; `layer`: the channels of every convolution. */
  readonly filterNorm: 'group' | 'layer';
  /** `pre` is transformers' do_stable_layer_norm. */
  readonly place: 'pre' | 'post';
}

/** PyTorch's default, which the norms of the convolutions have whatever a configuration says of the others. */
const FILTER_EPSILON = 1e-5;
/** Strides of the published encoders: 20 ms a frame at 16 kHz. */
const STRIDES: readonly number[] = [5, 2, 2, 2, 2, 2, 2];
/** Attention takes memory by the square of the length. */
const MAX_SECONDS = 30;

/** Names of weight and length of a convolution under weight norm, of torch's older form and its newer one. */
const WEIGHT_NORM = [
  { length: '.weight_g', direction: '.weight_v' },
  { length: '.parametrizations.weight.original0', direction: '.parametrizations.weight.original1' },
] as const;

const weightNormOf = (tensors: OptionReader['tensors'], key: string) =>
  WEIGHT_NORM.find(({ direction }) => tensors.has(key + direction)) ?? WEIGHT_NORM[0];

/** Whether there is such an encoder: by its first convolution and its positions. */
export const isSpeechEncoder = (tensors: OptionReader['tensors'], names: SpeechNames): boolean =>
  tensors.get(`${names.filters}0.${names.filter}.weight`)?.shape.length === 3 &&
  tensors.has(names.positions + weightNormOf(tensors, names.positions).direction);

/** The sizes that the tensors show, held against what configurations of transformers call them. */
export function speechSizes(reader: OptionReader, names: SpeechNames): SpeechSizes {
  const { tensors } = reader;
  const size = (name: string, key: string, axis: number, configKey: string): number =>
    reader.size(name, { tensor: axisOf(tensors, key, axis), keys: [configKey] });
  const depth = reader.size('the number of convolutions', {
    tensor: modulesOf(tensors, names.filters),
    keys: ['num_feat_extract_layers'],
  });
  const filters = Array.from({ length: depth }, (_, i) => {
    const shape = tensors.get(`${names.filters}${i}.${names.filter}.weight`)?.shape ?? [];
    return { channels: shape[0] ?? Number.NaN, kernel: shape[2] ?? Number.NaN };
  });
  assertList(
    reader,
    'conv_dim',
    filters.map(({ channels }) => channels),
    'channels',
  );
  assertList(
    reader,
    'conv_kernel',
    filters.map(({ kernel }) => kernel),
    'kernels',
  );
  const direction = names.positions + weightNormOf(tensors, names.positions).direction;
  const width = size('the hidden size', `${names.projection}.weight`, 0, 'hidden_size');
  const grouped = axisOf(tensors, direction, 1);
  return {
    filters,
    width,
    direction,
    positionKernel: size('the kernel of the positions', direction, 2, 'num_conv_pos_embeddings'),
    positionGroups: reader.size('the groups of the positions', {
      tensor: grouped && { value: width / grouped.value, from: grouped.from },
      keys: ['num_conv_pos_embedding_groups'],
    }),
    layers: reader.size('the number of layers', {
      tensor: modulesOf(tensors, names.layers),
      keys: ['num_hidden_layers'],
    }),
    inner: size('the width of the feed-forward', `${names.layers}0.${names.block.up}.weight`, 0, 'intermediate_size'),
  };
}

function assertList(reader: OptionReader, key: string, shown: readonly number[], what: string): void {
  const said = reader.raw(key);
  if (said !== undefined && JSON.stringify(said) !== JSON.stringify(shown))
    reader.refuse(`the convolutions have ${what} [${shown.join(', ')}], but ${key} is ${JSON.stringify(said)}`);
}

/** The strides of the convolutions, which no tensor shows. */
export function readStrides(reader: OptionReader, count: number): readonly number[] {
  const said = reader.raw('conv_stride') ?? (count === STRIDES.length ? STRIDES : null);
  const isStride = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) > 0;
  if (Array.isArray(said) && said.length === count && said.every(isStride)) return said;
  reader.refuse(
    said === null
      ? `nothing tells the strides of its ${count} convolutions: conv_stride is missing`
      : `conv_stride must be ${count} positive integers, one a convolution, not ${JSON.stringify(said)}`,
  );
  return Array.from({ length: count }, () => 1);
}

/** Samples that one frame is made of: the shortest recording. */
const receptiveField = ({ filters, strides }: SpeechEncoder): number =>
  filters.reduceRight((samples, { kernel }, i) => (samples - 1) * strides[i] + kernel, 1);

/** The recording: `input_values` [batch, samples]. */
export const speechInput = (
  encoder: SpeechEncoder,
  { sampleRate, standardized }: { readonly sampleRate: number; readonly standardized: boolean },
): ContractInput => ({
  name: 'input_values',
  dtype: 'F32',
  shape: ['batch', 'samples'],
  preprocess: {
    kind: 'audio',
    sampleRate,
    mono: true,
    minSamples: receptiveField(encoder),
    maxSamples: MAX_SECONDS * sampleRate,
    range: [-1, 1],
    ...(standardized ? { normalize: 'standardize' as const } : {}),
  },
});

/** States [batch, frames, width]: what the blocks read, then what each gives; the last is the encoder's output. */
export function speechStates(
  graph: GraphBuilder,
  wave: Value,
  names: SpeechNames,
  encoder: SpeechEncoder,
  dtype: 'F32' | 'F16',
): Value[] {
  const { width, norm, place, heads, inner, activation } = encoder;
  return graph.scope('speech', () => {
    const features = filtered(graph, graph.unsqueeze(graph.cast(wave, dtype), [1]), names, encoder);
    const projected = graph.linear(normalize(graph, features, names.featureNorm, norm), names.projection, {
      outputs: width,
      bias: true,
    });
    const placed = graph.add(projected, positions(graph, projected, names, encoder));
    const states = [place === 'post' ? normalize(graph, placed, names.encoderNorm, norm) : placed];
    const last = stack(graph, states[0], { count: encoder.layers, scope: 'layers' }, (x, i) => {
      const { attention, attentionNorm, up, down, feedForwardNorm } = names.block;
      const out = transformerBlock(graph, x, `${names.layers}${i}.`, {
        place,
        norm,
        norms: { attention: attentionNorm, feedForward: feedForwardNorm },
        attention: { names: attention, heads, biases: { qkv: true, out: true }, bias: null },
        feedForward: { names: { up, down }, activation, inner, bias: true },
      });
      states.push(out);
      return out;
    });
    // transformers' hidden_states have the last norm in their last member.
    if (place === 'pre') states[states.length - 1] = normalize(graph, last, names.encoderNorm, norm);
    return states;
  });
}

/** wave [batch, 1, samples] -> features [batch, frames, channels]. */
function filtered(graph: GraphBuilder, wave: Value, names: SpeechNames, encoder: SpeechEncoder): Value {
  const { filters, strides, filterBias, filterNorm, filterActivation } = encoder;
  const turn = (x: Value): Value => graph.transpose(x, [0, 2, 1]);
  return filters.reduce((x, { channels, kernel }, i) => {
    const key = `${names.filters}${i}.`;
    return graph.scope(`filters.${i}`, () => {
      const shape = [channels, x.shape[1] as number, kernel];
      const options = { strides: [strides[i]], pads: [0], shape, bias: filterBias };
      const map = graph.convolution(x, key + names.filter, options);
      const normed =
        filterNorm === 'layer'
          ? turn(graph.layerNorm(turn(map), key + names.filterNorm, FILTER_EPSILON))
          : i === 0
            ? graph.instanceNorm(map, key + names.filterNorm, FILTER_EPSILON)
            : map;
      const active = ACTIVATIONS[filterActivation](graph, normed);
      return i + 1 < filters.length ? active : turn(active);
    });
  }, wave);
}

/** What a convolution over neighbouring frames tells of a frame's place; its weight is length times direction, by taps. */
function positions(
  graph: GraphBuilder,
  x: Value,
  names: SpeechNames,
  { width, positionKernel, positionGroups, filterActivation, direction }: SpeechEncoder,
): Value {
  return graph.scope('positions', () => {
    const dtype = x.dtype === 'F16' ? 'F16' : 'F32';
    const v = graph.parameter(direction, 'F32', 'identity', [width, width / positionGroups, positionKernel]);
    const { length } = WEIGHT_NORM.find((each) => direction.endsWith(each.direction))!;
    const g = graph.parameter(names.positions + length, 'F32', 'identity', [1, 1, positionKernel]);
    const norm = graph.reduceL2(graph.reduceL2(v, 1, true), 0, true);
    const weight = graph.cast(graph.mul(v, graph.div(g, norm)), dtype);
    const bias = graph.parameter(`${names.positions}.bias`, dtype, 'identity', [width]);
    // Half a kernel before and after; of an even kernel the last frame is left out, which is one frame less of padding.
    const half = Math.floor(positionKernel / 2);
    const map = graph.conv(graph.transpose(x, [0, 2, 1]), weight, bias, {
      strides: [1],
      pads: [half],
      padsAfter: [positionKernel - 1 - half],
      groups: positionGroups,
    });
    return graph.transpose(ACTIVATIONS[filterActivation](graph, map), [0, 2, 1]);
  });
}
