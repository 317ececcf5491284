import type { Checkpoint } from '../../checkpoint/checkpoint.js';
import { HpsError } from '../../errors.js';
import { type Modality, partsOf } from '../../modality.js';
import type { GraphBuilder } from '../../onnx/builder.js';
import type { Value } from '../../onnx/graph-core.js';
import type { ContractInput, ContractOutput } from '../../onnx/manifest.js';
import { TOKENIZER_KEY } from '../../onnx/manifest-names.js';
import type { ArchitectureExporter, ExportRequest } from '../architecture.js';
import { exampleInputs } from '../example-inputs.js';
import { checkTensors } from '../tensor-check.js';
import { type Dimensions, dimensionsOf, readDimensions, TOWER_PREFIX, TOWERS, type Tower } from './dimensions.js';
import { type HeadOutput, itemOutputs, pairOutputs } from './head.js';
import { initialTensors } from './init.js';
import { AUDIO_POSITIONS, parametersOf } from './parameters.js';
import { audioTokens, fuse, imageTokens, maskBias, matchTokens, tagTokens, textTokens, videoTokens } from './towers.js';

/** Most useful first: what `export` takes when it is not told. */
const PREFERENCE: readonly Modality[] = ['image-text', 'image', 'text', 'video-text', 'audio-text', 'video', 'audio'];

/** The table of words of the text tower. */
const WORDS = 'text.bert.embeddings.word_embeddings.weight';
const SAMPLE_RATE = 16_000;
const MAX_AUDIO_SECONDS = 30;
/** torchvision's ImageNet statistics. */
const IMAGENET = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] } satisfies {
  mean: [number, number, number];
  std: [number, number, number];
};

const towersOf: (modality: Modality) => readonly Tower[] = partsOf;

const presentTowers = (checkpoint: Checkpoint): Tower[] =>
  TOWERS.filter((tower) => [...checkpoint.tensors.keys()].some((name) => name.startsWith(TOWER_PREFIX[tower])));

export const hpsv3Exporter: ArchitectureExporter = {
  modalities(checkpoint) {
    const present = presentTowers(checkpoint);
    return PREFERENCE.filter((modality) => towersOf(modality).every((tower) => present.includes(tower)));
  },

  buildGraph(checkpoint, graph, request) {
    const modality = request.mode === 'head' ? null : chooseModality(checkpoint, request.modality);
    const towers = modality ? towersOf(modality) : [];
    const dimensions = checkedDimensions(checkpoint, towers, request);
    const shape = { dimensions, towers, dtype: request.dtype };

    const contract =
      request.mode === 'item'
        ? itemGraph(graph, shape)
        : request.mode === 'pair'
          ? pairGraph(graph, shape)
          : headGraph(graph, dimensions);
    return {
      modality,
      mode: request.mode,
      decision: request.mode === 'item' ? 'utility-difference' : 'pair-head',
      ...contract,
      ignored: ignoredTensors(checkpoint, graph, towers, request.mode),
    };
  },

  initialModel(config, seed) {
    const tensors = initialTensors(config, seed);
    return { tensors, vocabSize: tensors.find(({ name }) => name === WORDS)?.shape[0] ?? null };
  },

  exampleInputs: ({ inputs }, seed) => exampleInputs(inputs, { rows: 3, seed }),
  parityTolerance: 1e-5,
};

function chooseModality(checkpoint: Checkpoint, wanted: Modality | undefined): Modality {
  const available = hpsv3Exporter.modalities(checkpoint);
  const modality = wanted ?? available[0];
  if (modality && available.includes(modality)) return modality;
  const absent = modality ? towersOf(modality).filter((tower) => !presentTowers(checkpoint).includes(tower)) : [];
  const reason = absent.map((tower) => `no tensors ${TOWER_PREFIX[tower]}*`).join(' and ') || 'no encoder at all';
  throw new HpsError(
    'MODALITY_MISSING',
    `the checkpoint cannot be exported for ${modality ?? 'any modality'}: it has ${reason}`,
    {
      hint:
        available.length > 0
          ? `Choose \`modality\` ${available.join('|')}.`
          : 'Export its head alone with `mode` head.',
      details: { modality: modality ?? null, available },
    },
  );
}

/** Sizes of the parts this export uses, after all their tensors were checked against them. */
function checkedDimensions(checkpoint: Checkpoint, towers: readonly Tower[], request: ExportRequest): Dimensions {
  const parts = request.mode === 'head' ? (['head'] as const) : ([...towers, 'fusion', 'head'] as const);
  const dimensions = readDimensions(checkpoint.tensors, parts, [
    { config: request.config, origin: request.configOrigin },
    ...checkpoint.configs,
  ]);
  const elsewhere = [
    ...TOWERS.filter((tower) => !towers.includes(tower)).map((tower) => TOWER_PREFIX[tower]),
    ...(request.mode === 'head' ? ['fusion.'] : []),
  ];
  const expected = parametersOf(dimensions, parts);
  const counters = new Set(expected.filter(({ init }) => init === 'counter').map(({ name }) => name));
  // Counters of training steps: old checkpoints lack them, and nothing reads them.
  const required = expected.filter(({ init }) => init !== 'counter');
  checkTensors(
    checkpoint.tensors,
    required,
    (name) => counters.has(name) || elsewhere.some((prefix) => name.startsWith(prefix)),
  );
  const unused = dimensions.text_layers === 0 ? 'text_intermediate' : undefined; // the width of layers that are not there
  const unknown = parts.flatMap(dimensionsOf).filter((name) => name !== unused && Number.isNaN(dimensions[name]));
  if (unknown.length > 0) {
    throw new HpsError(
      'SHAPE_MISMATCH',
      `the checkpoint's tensors do not fit together: no ${unknown.join(', ')} explains their shapes`,
      {
        hint: 'A table of positions must cover a square grid; see the shapes with `hpsv3 inspect`.',
        details: { unknown },
      },
    );
  }
  return dimensions;
}

interface GraphShape {
  readonly dimensions: Dimensions;
  readonly towers: readonly Tower[];
  readonly dtype: 'F32' | 'F16';
}

type Signature = { inputs: ContractInput[]; outputs: ContractOutput[] };

/** Inputs of the given towers (names prefixed with the side in a pair) and the embedding [batch, D] they are encoded to. */
function encode(
  graph: GraphBuilder,
  shape: GraphShape,
  side: '' | 'left_' | 'right_',
): { inputs: ContractInput[]; embedding: Value } {
  const { dimensions: d, towers, dtype } = shape;
  const inputs: ContractInput[] = [];
  const input = (
    name: string,
    dtype: 'F32' | 'I64',
    dims: (number | string)[],
    preprocess: ContractInput['preprocess'],
  ): Value => {
    inputs.push({ name: `${side}${name}`, dtype, shape: dims, preprocess });
    return graph.input(`${side}${name}`, dtype, dims);
  };
  const frames = { scale: 1 / 255, color: 'RGB' as const, ...IMAGENET };
  const centreCrop = (size: number) => ({
    resize: { shorterSide: size, kernel: 'bicubic' as const, antialias: true },
    crop: [size, size] as [number, number],
  });

  const parts: Value[] = [];
  let textMask: Value | null = null;
  let textBias: Value | null = null;
  for (const tower of towers) {
    let tokens: Value;
    if (tower === 'image') {
      const dims = ['batch', 3, d.image_size, d.image_size];
      const pixels = input('pixel_values', 'F32', dims, {
        kind: 'image',
        ...centreCrop(d.image_size),
        ...frames,
        layout: 'NCHW',
      });
      tokens = imageTokens(graph, d, graph.cast(pixels, dtype));
    } else if (tower === 'text') {
      const dims = ['batch', `${side}tokens`];
      const ids = input('input_ids', 'I64', dims, {
        kind: 'text',
        maxTokens: d.text_positions,
        tokenizer: TOKENIZER_KEY,
        vocabSize: d.vocab_size,
        pad: 0,
        specialTokens: true,
      });
      textMask = input('attention_mask', 'I64', dims, { kind: 'text-mask' });
      textBias = maskBias(graph, textMask);
      tokens = textTokens(graph, d, ids, textBias, dtype);
    } else if (tower === 'audio') {
      const waveform = input('waveform', 'F32', ['batch', `${side}samples`], {
        kind: 'audio',
        sampleRate: SAMPLE_RATE,
        mono: true,
        minSamples: 8 * d.hop + d.n_fft,
        maxSamples: Math.min(
          MAX_AUDIO_SECONDS * SAMPLE_RATE,
          (AUDIO_POSITIONS * 2 ** d.audio_channels.length - 1) * d.hop + d.n_fft,
        ),
        range: [-1, 1],
      });
      tokens = audioTokens(graph, d, waveform, dtype);
    } else {
      const dims = ['batch', 3, d.video_frames, d.video_size, d.video_size];
      const clip = { kind: 'video' as const, frames: d.video_frames, sampling: 'even' as const, size: d.video_size };
      const video = input('frames', 'F32', dims, { ...clip, ...centreCrop(d.video_size), ...frames, layout: 'NCFHW' });
      tokens = videoTokens(graph, d, graph.cast(video, dtype));
    }
    parts.push(tagTokens(graph, tokens, TOWERS.indexOf(tower)));
  }
  // Where text joins another modality, whose tokens all count, its bias is padded with zeros for them: text is always last.
  const bias = textBias && parts.length > 1 ? graph.padLastAxisLike(textBias, parts[0], 1) : textBias;
  const tokens = parts.length > 1 ? graph.concat(parts, 1) : parts[0];
  const fused = fuse(graph, d, tokens, bias);
  const embedding =
    d.fusion_match && textMask && parts.length > 1
      ? graph.add(fused, matchTokens(graph, parts[0], parts[1], { mask: textMask, isNamed: side === '' }))
      : fused;
  return { inputs, embedding: graph.cast(embedding, 'F32') };
}

function emit(graph: GraphBuilder, outputs: readonly HeadOutput[]): ContractOutput[] {
  return outputs.map(({ name, value, meaning, range }) => {
    graph.output(name, value);
    return { name, dtype: value.dtype, shape: [...value.shape], meaning, range };
  });
}

function itemGraph(graph: GraphBuilder, shape: GraphShape): Signature {
  const { inputs, embedding } = encode(graph, shape, '');
  return { inputs, outputs: emit(graph, itemOutputs(graph, embedding)) };
}

function pairGraph(graph: GraphBuilder, shape: GraphShape): Signature {
  const left = graph.scope('left', () => encode(graph, shape, 'left_'));
  const right = graph.scope('right', () => encode(graph, shape, 'right_'));
  // Named, so that the encoder and the head can be cut apart here.
  const outputs = pairOutputs(
    graph,
    graph.named(left.embedding, 'left_embedding'),
    graph.named(right.embedding, 'right_embedding'),
  );
  return { inputs: [...left.inputs, ...right.inputs], outputs: emit(graph, outputs) };
}

function headGraph(graph: GraphBuilder, { hidden_dim }: Dimensions): Signature {
  const inputs = ['left', 'right'].map((name): ContractInput => {
    return {
      name,
      dtype: 'F32',
      shape: ['batch', hidden_dim],
      preprocess: { kind: 'embedding', encoder: null, normalize: 'none' },
    };
  });
  const [left, right] = inputs.map((input) => graph.input(input.name, 'F32', input.shape));
  return { inputs, outputs: emit(graph, pairOutputs(graph, left, right)) };
}

function ignoredTensors(
  checkpoint: Checkpoint,
  graph: GraphBuilder,
  towers: readonly Tower[],
  mode: string,
): { name: string; reason: string }[] {
  const reasonFor = (name: string): string => {
    if (name.endsWith('.num_batches_tracked')) return 'a counter of training steps; inference does not read it';
    const tower = TOWERS.find((candidate) => name.startsWith(TOWER_PREFIX[candidate]));
    if (tower && !towers.includes(tower))
      return mode === 'head' ? 'mode head has no encoder' : `modality ${tower} is not exported`;
    return `not computed in mode ${mode}`;
  };
  return [...checkpoint.tensors.keys()]
    .filter((name) => !graph.parametersUsed.has(name))
    .map((name) => ({ name, reason: reasonFor(name) }));
}
