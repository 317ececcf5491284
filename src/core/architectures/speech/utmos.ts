import { meanOfTokens } from '../blocks/pooling.js';
import { bidirectionalLstm } from '../blocks/recurrent.js';
import { architectureOf } from '../family.js';
import { speechScore } from '../labels.js';
import type { PublishedShape } from '../option-reader.js';
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

// UTMOS22 strong (Saeki et al., 2022), as tarepan's SpeechMOS has it: wav2vec 2.0 with fairseq's names, one domain and one judge
// beside every frame, a bidirectional LSTM, two linear layers, the mean over time.

const ENCODER = 'wav2vec2.encoder.';
const NAMES: SpeechNames = {
  filters: 'wav2vec2.feature_extractor.conv_layers.',
  filter: '0',
  filterNorm: '2',
  featureNorm: 'wav2vec2.layer_norm',
  projection: 'wav2vec2.post_extract_proj',
  positions: `${ENCODER}pos_conv.0`,
  encoderNorm: `${ENCODER}layer_norm`,
  layers: `${ENCODER}layers.`,
  block: {
    attention: { q: 'self_attn.q_proj', k: 'self_attn.k_proj', v: 'self_attn.v_proj', out: 'self_attn.out_proj' },
    attentionNorm: 'self_attn_layer_norm',
    up: 'fc1',
    down: 'fc2',
    feedForwardNorm: 'final_layer_norm',
  },
};
const LABEL = 'UTMOS22 strong (wav2vec 2.0 with an LSTM)';
const SAMPLE_RATE = 16_000;
/** The raw score is stretched to the scale of opinions, 1 to 5: constants of the package. */
const SPREAD = 2;
const MIDDLE = 3;

const PUBLISHED: readonly PublishedShape[] = [
  {
    name: 'UTMOS22 strong',
    sizes: { 'the hidden size': 768, 'the number of layers': 12 },
    options: { 'the number of heads': 12 },
  },
];

interface UtmosOptions {
  readonly encoder: SpeechEncoder;
  readonly domain: number;
  readonly judge: number;
  /** Width of the LSTM in one direction. */
  readonly recurrent: number;
  readonly projection: number;
}

export const utmos = architectureOf<UtmosOptions>({
  id: 'utmos22',
  label: LABEL,
  parityTolerance: 1e-4,

  recognise: (tensors) =>
    isSpeechEncoder(tensors, NAMES) && tensors.has('blstm.weight_ih_l0') && tensors.has('domain_emb'),
  modalities: () => ['audio'],

  options(reader) {
    const { tensors } = reader;
    const axis = (name: string, key: string, at: number): number =>
      reader.size(name, { tensor: axisOf(tensors, key, at) });
    const sizes = speechSizes(reader, NAMES);
    reader.lookUp(PUBLISHED);
    const options: UtmosOptions = {
      encoder: {
        ...sizes,
        strides: readStrides(reader, sizes.filters.length),
        heads: reader.size('the number of heads', { keys: ['num_attention_heads', 'encoder_attention_heads', 'a'] }),
        activation: 'gelu',
        norm: { kind: 'layer', epsilon: 1e-5 },
        filterBias: false,
        filterActivation: 'gelu',
        filterNorm: 'group',
        place: 'post',
      },
      domain: axis('the width of the domain', 'domain_emb', 1),
      judge: axis('the width of the judge', 'judge_emb', 1),
      recurrent: axis('the width of the LSTM', 'blstm.weight_hh_l0', 1),
      projection: axis('the width of the projection', 'projection.0.weight', 0),
    };
    reader.assertDivides('the number of heads', 'the hidden size');
    return options;
  },

  inputs: ({ options: { encoder } }) => [speechInput(encoder, { sampleRate: SAMPLE_RATE, standardized: false })],

  encode(graph, { input_values: wave }, { options, dtype }) {
    const { encoder, domain, judge, recurrent, projection } = options;
    const frames = graph.cast(speechStates(graph, wave, NAMES, encoder, dtype).at(-1)!, 'F32');
    const side = graph.concat(
      [
        graph.parameter('domain_emb', 'F32', 'identity', [1, domain]),
        graph.parameter('judge_emb', 'F32', 'identity', [1, judge]),
      ],
      1,
    );
    const told = graph.concat([frames, graph.repeatTokens(side, frames)], 2);
    const read = bidirectionalLstm(graph, told, 'blstm', recurrent);
    const wide = graph.relu(graph.linear(read, 'projection.0', { outputs: projection, bias: true }));
    // The mean before the last layer, which is linear: what the score is made of is then one row.
    return { embedding: meanOfTokens(graph, wide) };
  },

  embeddingWidth: ({ options: { projection } }) => projection,

  score(graph, embedding) {
    return graph.scope('head', () => {
      const raw = graph.at(graph.linear(embedding, 'projection.2', { outputs: 1, bias: true }), 1, 0);
      const scaled = graph.mul(raw, graph.scalar(SPREAD, 'F32'));
      return speechScore(graph.add(scaled, graph.scalar(MIDDLE, 'F32')));
    });
  },

  ignored: () => [{ names: /^wav2vec2\.mask_emb$/, reason: 'it takes the place of frames that training hides' }],
});
