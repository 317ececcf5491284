import type { JsonObject } from '../../bytes/json.js';
import type { Checkpoint } from '../../checkpoint/checkpoint.js';
import { ACTIVATION_NAMES, type ActivationName } from '../blocks/activations.js';
import { column, linearSteps } from '../blocks/heads.js';
import { meanOfTokens, weightedSum } from '../blocks/pooling.js';
import { architectureOf } from '../family.js';
import { labelIndex, speechScore } from '../labels.js';
import { type OptionReader, valueAt } from '../option-reader.js';
import { axisOf } from '../readings.js';
import {
  isSpeechEncoder,
  readStrides,
  type SpeechEncoder,
  type SpeechNames,
  speechInput,
  speechSizes,
  speechStates,
} from './encoder.js';

// wav2vec 2.0 with a classifier or a regressor: transformers 4.57, Wav2Vec2ForSequenceClassification.

const ENCODER = 'wav2vec2.encoder.';
const NAMES: SpeechNames = {
  filters: 'wav2vec2.feature_extractor.conv_layers.',
  filter: 'conv',
  filterNorm: 'layer_norm',
  featureNorm: 'wav2vec2.feature_projection.layer_norm',
  projection: 'wav2vec2.feature_projection.projection',
  positions: `${ENCODER}pos_conv_embed.conv`,
  encoderNorm: `${ENCODER}layer_norm`,
  layers: `${ENCODER}layers.`,
  block: {
    attention: { q: 'attention.q_proj', k: 'attention.k_proj', v: 'attention.v_proj', out: 'attention.out_proj' },
    attentionNorm: 'layer_norm',
    up: 'feed_forward.intermediate_dense',
    down: 'feed_forward.output_dense',
    feedForwardNorm: 'final_layer_norm',
  },
};
const LABEL = 'wav2vec 2.0 with a classifier or regressor';

interface Wav2Vec2Options {
  readonly encoder: SpeechEncoder;
  /** Whether the score is of a weighted sum of all states, not of the last. */
  readonly weighted: boolean;
  readonly projection: number;
  readonly labels: number;
  readonly label: number;
  readonly sound: { readonly sampleRate: number; readonly standardized: boolean };
  /** Whether a preprocessor_config.json said how recordings are prepared. */
  readonly isStated: boolean;
}

/** What Wav2Vec2FeatureExtractor does to recordings, by preprocessor_config.json or the defaults of its class. */
function soundOf(config: JsonObject | null, reader: OptionReader): Wav2Vec2Options['sound'] {
  const sampleRate = valueAt(config, 'sampling_rate') ?? 16_000;
  const standardized = valueAt(config, 'do_normalize') ?? true;
  if (!Number.isSafeInteger(sampleRate) || (sampleRate as number) < 1000 || (sampleRate as number) > 192_000)
    reader.refuse(
      `sampling_rate must be a rate from 1000 to 192000, not ${JSON.stringify(sampleRate)} (preprocessor_config.json)`,
    );
  return { sampleRate: Number(sampleRate), standardized: standardized !== false };
}

function readEncoder(reader: OptionReader): SpeechEncoder {
  const sizes = speechSizes(reader, NAMES);
  const activation = (name: string, key: string): ActivationName =>
    reader.choice(name, ACTIVATION_NAMES, { keys: [key], otherwise: 'gelu' });
  const encoder: SpeechEncoder = {
    ...sizes,
    strides: readStrides(reader, sizes.filters.length),
    heads: reader.size('the number of heads', { keys: ['num_attention_heads'], otherwise: 12 }),
    activation: activation('the activation', 'hidden_act'),
    norm: {
      kind: 'layer',
      epsilon: reader.number('the epsilon of the norms', { keys: ['layer_norm_eps'], otherwise: 1e-5 }, 0),
    },
    filterBias: reader.flag('whether the convolutions have biases', { keys: ['conv_bias'], otherwise: false }),
    filterActivation: activation('the activation of the convolutions', 'feat_extract_activation'),
    filterNorm: reader.choice('the norm of the convolutions', ['group', 'layer'], {
      keys: ['feat_extract_norm'],
      otherwise: 'group',
    }),
    place: reader.flag('whether norms stand before the blocks', { keys: ['do_stable_layer_norm'], otherwise: false })
      ? 'pre'
      : 'post',
  };
  reader.assertDivides('the number of heads', 'the hidden size');
  return encoder;
}

export const wav2vec2 = architectureOf<Wav2Vec2Options>({
  id: 'wav2vec2',
  label: LABEL,
  exportOptions: { outputLabel: null },
  parityTolerance: 1e-4,

  recognise: (tensors) => isSpeechEncoder(tensors, NAMES) && tensors.has('classifier.weight'),
  modalities: () => ['audio'],

  options(reader, checkpoint: Checkpoint, request) {
    const { tensors } = reader;
    reader.assertModelType(LABEL, ['wav2vec2']);
    if (reader.raw('add_adapter') === true) reader.refuse('an adapter after the encoder (add_adapter) is not read');
    const preprocessor = checkpoint.beside.json('preprocessor_config.json');
    const labels = axisOf(tensors, 'classifier.weight', 0)?.value ?? 1;
    return {
      encoder: readEncoder(reader),
      weighted: reader.flag('whether all states are weighted', { keys: ['use_weighted_layer_sum'], otherwise: false }),
      projection: reader.size('the width of the projector', {
        tensor: axisOf(tensors, 'projector.weight', 0),
        keys: ['classifier_proj_size'],
      }),
      labels,
      label: labelIndex(reader, labels, request.options.outputLabel),
      sound: soundOf(preprocessor, reader),
      isStated: preprocessor !== null,
    };
  },

  inputs: ({ options: { encoder, sound } }) => [speechInput(encoder, sound)],

  encode(graph, { input_values: wave }, { options: { encoder, weighted }, dtype }) {
    const states = speechStates(graph, wave, NAMES, encoder, dtype);
    const read = weighted ? weightedSum(graph, states, 'layer_weights') : states[states.length - 1];
    // The mean before the projector: both are linear, and the embedding is then what the head is trained on.
    return { embedding: meanOfTokens(graph, read) };
  },

  embeddingWidth: ({ options: { encoder } }) => encoder.width,

  score(graph, embedding, { options: { projection, labels, label } }) {
    const scores = graph.scope('head', () =>
      linearSteps(graph, embedding, [
        { key: 'projector', outputs: projection, bias: true },
        { key: 'classifier', outputs: labels, bias: true },
      ]),
    );
    return speechScore(column(graph, scores, label));
  },

  ignored: ({ options: { weighted } }) => [
    { names: /^wav2vec2\.masked_spec_embed$/, reason: 'it takes the place of frames that training hides' },
    ...(weighted ? [] : [{ names: /^layer_weights$/, reason: 'the score is of the last state alone' }]),
  ],

  warnings: ({ options: { isStated, sound } }) =>
    isStated
      ? []
      : [
          `No preprocessor_config.json: recordings are taken at ${sound.sampleRate} Hz and brought to zero mean and unit variance, as the feature extractor does by default.`,
        ],
});
