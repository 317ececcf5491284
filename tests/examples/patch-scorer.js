import {
  architectureOf,
  axisOf,
  centreCropped,
  column,
  linearSteps,
  modulesOf,
  normalize,
  patchEmbedding,
  patchesOf,
  stack,
  transformerBlock,
} from 'hpsv3/graph';

const LAYERS = 'encoder.layers.';
const NORM = { kind: 'layer', epsilon: 1e-5 };

/** Pictures scored by a transformer over patches, in the names of torch.nn.TransformerEncoder with norm_first. */
export default architectureOf({
  id: 'patch-scorer',
  label: 'transformer over the patches of a picture, their mean scored',
  recognise: (tensors) =>
    tensors.has('patches.weight') && tensors.has(`${LAYERS}0.self_attn.in_proj_weight`) && tensors.has('score.weight'),
  modalities: () => ['image'],

  // Sizes come from the tensors; what they cannot tell comes from config.json. Where both say a thing they must agree.
  options(reader) {
    const { tensors } = reader;
    const options = {
      width: reader.size('width', { tensor: axisOf(tensors, 'patches.weight', 0), keys: ['width'] }),
      patchSize: reader.size('patch size', { tensor: axisOf(tensors, 'patches.weight', 2), keys: ['patch_size'] }),
      layers: reader.size('layers', { tensor: modulesOf(tensors, LAYERS), keys: ['layers'] }),
      inner: reader.size('inner width', { tensor: axisOf(tensors, `${LAYERS}0.linear1.weight`, 0) }),
      heads: reader.size('heads', { keys: ['heads'] }),
      imageSize: reader.size('picture size', { keys: ['image_size'] }),
    };
    reader.assertDivides('heads', 'width');
    return options;
  },

  inputs: ({ options: { imageSize } }) => [
    {
      name: 'pixel_values',
      dtype: 'F32',
      shape: ['batch', 3, imageSize, imageSize],
      preprocess: centreCropped(imageSize),
    },
  ],

  encode(graph, { pixel_values }, { options, dtype }) {
    const { width, patchSize, imageSize, layers, heads, inner } = options;
    const patches = patchEmbedding(graph, graph.cast(pixel_values, dtype), {
      key: 'patches',
      width,
      patchSize,
      bias: true,
    });
    const places = graph.parameter('positions', dtype, 'identity', [patchesOf(imageSize, patchSize) ** 2, width]);
    const tokens = stack(graph, graph.add(patches, places), { count: layers, scope: 'layers' }, (x, i) =>
      transformerBlock(graph, x, `${LAYERS}${i}.`, {
        place: 'pre',
        norm: NORM,
        norms: { attention: 'norm1', feedForward: 'norm2' },
        attention: {
          names: { qkv: 'self_attn.in_proj', out: 'self_attn.out_proj' },
          heads,
          biases: { qkv: true, out: true },
          bias: null,
        },
        feedForward: { names: { up: 'linear1', down: 'linear2' }, activation: 'gelu', inner },
      }),
    );
    return { embedding: graph.reduceMean(normalize(graph, tokens, 'norm', NORM), 1, false) };
  },

  embeddingWidth: ({ options: { width } }) => width,

  score: (graph, embedding) => [
    {
      name: 'utility_logit',
      value: column(graph, linearSteps(graph, embedding, [{ key: 'score', outputs: 1, bias: true }]), 0),
      meaning: 'How much the picture is liked.',
    },
  ],

  ignored: () => [],
  parityTolerance: 1e-5,
});
