import type { ContractInput } from '../../onnx/manifest.js';
import { column, type LinearStep, linearSteps } from '../blocks/heads.js';
import { firstToken } from '../blocks/pooling.js';
import { architectureOf, type FamilyContext } from '../family.js';
import type { OptionReader, PublishedShape } from '../option-reader.js';
import { CLIP_STATISTICS } from '../picture.js';
import { axisOf } from '../readings.js';
import { BACKBONE_IGNORED, conversation, pixelBudget, rewardStates, textInputs } from './backbone.js';
import { type BackboneOptions, backboneOptions, flatConfig, layoutOf, PUBLISHED_OPTIONS } from './options.js';
import { picturesOf } from './vision.js';

// HPSv3: Qwen2-VL with a head that gives the mean and the spread of a preference score, read at a token of its own.
// transformers 4.57, modeling_qwen2_vl.py; the package hpsv3, model/qwen2vl_trainer.py and dataset/data_collator_qwen.py.

interface Hpsv3Options {
  readonly backbone: BackboneOptions;
  readonly head: readonly LinearStep[];
  /** What a prompt is put into; null where only a head is exported, which reads none. */
  readonly template: string | null;
  /** Pixels of a picture, as near as multiples of merged patches come. */
  readonly pixels: number;
}

const REWARD = '<|Reward|>';
/** The package's own: 256 merged patches of 28 x 28. */
const PIXELS = 256 * 28 * 28;

/** HPSv3-7B is published without a configuration: that of Qwen/Qwen2-VL-7B-Instruct counts. */
const PUBLISHED: readonly PublishedShape[] = [
  {
    name: 'HPSv3-7B',
    sizes: { 'the hidden size': 3584, 'the number of layers': 28, 'the width of the vision tower': 1280 },
    options: {
      ...PUBLISHED_OPTIONS,
      'the number of heads': 28,
      'the number of key heads': 4,
      'the token of pictures': 151_655,
    },
  },
];

export const qwen2Vl = architectureOf<Hpsv3Options>({
  id: 'qwen2-vl',
  label: 'HPSv3 (Qwen2-VL with a reward head)',
  exportOptions: { promptTemplate: null, pixelBudget: null },
  computesWide: true,
  parityTolerance: 1e-4,
  recognise: (tensors) => tensors.has('rm_head.0.weight') && layoutOf(tensors) !== undefined,
  modalities: () => ['image-text'],
  normalizeConfig: flatConfig,

  options(reader, checkpoint, request) {
    const backbone = backboneOptions(reader, PUBLISHED, {
      name: 'the token of pictures',
      key: 'image_token_id',
      otherwise: 151_655,
    });
    const { vocab, vision } = backbone;
    const added = checkpoint.beside.json('added_tokens.json')?.[REWARD];
    if (added !== undefined && added !== vocab - 1)
      reader.refuse(
        `${REWARD} is token ${String(added)} by added_tokens.json, and the last of ${vocab} rows is ${vocab - 1}`,
      );
    const { promptTemplate, pixelBudget: pixels } = request.options;
    return {
      backbone,
      head: headSteps(reader),
      template:
        request.mode === 'head'
          ? null
          : conversation({
              template: promptTemplate,
              model: 'HPSv3',
              origin: 'INSTRUCTION, then prompt_with_special_token',
              media: '<|image_pad|>',
              rewards: [REWARD],
            }),
      pixels: pixelBudget(pixels, vision.patch.size * vision.patch.merge, PIXELS),
    };
  },

  inputs({ options: { backbone, template, pixels } }) {
    const { patch, channels } = backbone.vision;
    return [
      ...textInputs(backbone, template),
      {
        name: 'pixel_values',
        dtype: 'F32',
        shape: ['patches', channels * patch.frames * patch.size ** 2],
        preprocess: {
          kind: 'image',
          color: 'RGB',
          transparency: 'drop',
          resize: {
            pixels: { factor: patch.size * patch.merge, min: pixels, max: pixels },
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

  encode(graph, { input_ids: ids, attention_mask: mask, pixel_values: patches, image_grid_thw: grid }, context) {
    const { backbone } = context.options;
    const given = { ids, mask, patches, grids: picturesOf(graph, grid) };
    const states = rewardStates(graph, given, { options: backbone, dtype: context.dtype }, [backbone.vocab - 1]);
    return { embedding: firstToken(graph, states) };
  },

  embeddingWidth: ({ options }) => options.backbone.hidden,

  score(graph, embedding, { options: { head } }: FamilyContext<Hpsv3Options>) {
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

  ignored: () => BACKBONE_IGNORED,
});

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
