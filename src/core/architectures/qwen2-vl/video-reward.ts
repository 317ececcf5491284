import type { Checkpoint } from '../../checkpoint/checkpoint.js';
import { HpsError } from '../../errors.js';
import type { GraphBuilder } from '../../onnx/builder.js';
import type { Value } from '../../onnx/graph-core.js';
import type { ContractInput } from '../../onnx/manifest.js';
import { column } from '../blocks/heads.js';
import { architectureOf, type FamilyContext } from '../family.js';
import { OptionReader, type PublishedShape } from '../option-reader.js';
import { CLIP_STATISTICS } from '../picture.js';
import { axisOf } from '../readings.js';
import { BACKBONE_IGNORED, conversation, pixelBudget, rewardStates, textInputs } from './backbone.js';
import { type BackboneOptions, backboneOptions, flatConfig, layoutOf, PUBLISHED_OPTIONS } from './options.js';
import { framesOf } from './vision.js';

// VideoReward of VideoAlign (Liu et al., "Improving Video Generation with Human Feedback", 2025): Qwen2-VL that scores a clip for its
// prompt three times, each at a token of its own. KwaiVGI/VideoAlign, trainer.py (Qwen2VLRewardModelBT), inference.py, vision_process.py.

/** What is judged, in the order of the tokens. */
const DIMENSIONS = [
  { name: 'vq', setting: 'VQ', of: 'visual quality' },
  { name: 'mq', setting: 'MQ', of: 'motion quality' },
  { name: 'ta', setting: 'TA', of: 'text alignment' },
] as const;

const tokenOf = (setting: string): string => `<|${setting}_reward|>`;

interface VideoRewardOptions {
  readonly backbone: BackboneOptions;
  /** Rows of the head: one for all tokens, or one each. */
  readonly outputs: number;
  /** What is taken from each score, and what it is divided by then; null where scores stay as they are. */
  readonly normal: readonly { readonly mean: number; readonly std: number }[] | null;
  readonly frames: { readonly count: number } | { readonly perSecond: number };
  readonly pixels: number;
  readonly template: string | null;
}

/** Of qwen-vl-utils, vision_process.py: the least pixels of a frame, and the least and most frames of a clip. */
const [LEAST_PIXELS, LEAST_FRAMES, MOST_FRAMES] = [128 * 28 * 28, 4, 768];

/** Published without the configuration of its base: that of Qwen/Qwen2-VL-2B-Instruct counts. */
const PUBLISHED: readonly PublishedShape[] = [
  {
    name: 'VideoReward (2B)',
    sizes: { 'the hidden size': 1536, 'the number of layers': 28, 'the width of the vision tower': 1280 },
    options: {
      ...PUBLISHED_OPTIONS,
      'the number of heads': 12,
      'the number of key heads': 2,
      'the token of clips': 151_656,
    },
  },
];

export const videoReward = architectureOf<VideoRewardOptions>({
  id: 'video-reward',
  label: 'VideoReward (Qwen2-VL with three rewards of a clip)',
  exportOptions: { promptTemplate: null, pixelBudget: null },
  computesWide: true,
  parityTolerance: 1e-4,
  recognise: (tensors) => tensors.has('rm_head.weight') && layoutOf(tensors) !== undefined,
  modalities: () => ['video-text'],
  normalizeConfig: flatConfig,

  options(reader, checkpoint, request) {
    const backbone = backboneOptions(reader, PUBLISHED, {
      name: 'the token of clips',
      key: 'video_token_id',
      otherwise: 151_656,
    });
    const { vocab, vision } = backbone;
    const added = checkpoint.beside.json('added_tokens.json');
    for (const [i, { setting }] of DIMENSIONS.entries()) {
      const [told, token] = [added?.[tokenOf(setting)], vocab - DIMENSIONS.length + i];
      if (told !== undefined && told !== token)
        reader.refuse(
          `${tokenOf(setting)} is token ${String(told)} by added_tokens.json, and ${token} by the ${vocab} rows of the tensors`,
        );
    }
    const outputs = axisOf(reader.tensors, 'rm_head.weight', 0)?.value ?? 1;
    if (outputs !== 1 && outputs !== DIMENSIONS.length)
      reader.refuse(`rm_head gives ${outputs} numbers, not one or one for each of ${DIMENSIONS.length} tokens`);
    const settings = settingsOf(checkpoint, reader);
    const { promptTemplate, pixelBudget: pixels } = request.options;
    return {
      backbone,
      outputs,
      ...settings,
      pixels: pixelBudget(pixels, vision.patch.size * vision.patch.merge, settings.pixels),
      template:
        request.mode === 'head'
          ? null
          : conversation({
              template: promptTemplate,
              model: 'VideoReward',
              origin: 'DETAILED_PROMPT_WITH_SPECIAL_TOKEN of prompt_template.py',
              media: '<|video_pad|>',
              rewards: DIMENSIONS.map(({ setting }) => tokenOf(setting)),
            }),
    };
  },

  inputs({ options: { backbone, frames, pixels, template } }) {
    const { patch, channels } = backbone.vision;
    const factor = patch.size * patch.merge;
    const multiple = patch.frames;
    return [
      ...textInputs(backbone, template),
      {
        name: 'pixel_values_videos',
        dtype: 'F32',
        shape: ['patches', channels * patch.frames * patch.size ** 2],
        preprocess: {
          kind: 'video',
          ...('count' in frames
            ? { frames: Math.max(1, Math.round(frames.count / multiple)) * multiple }
            : { frames: MOST_FRAMES, rate: { perSecond: frames.perSecond, least: LEAST_FRAMES, multiple } }),
          sampling: 'ends',
          size: factor,
          color: 'RGB',
          resize: {
            pixels: { factor, min: LEAST_PIXELS, max: pixels },
            kernel: 'bicubic',
            antialias: true,
            arithmetic: 'rounded',
          },
          crop: null,
          scale: 1 / 255,
          ...CLIP_STATISTICS,
          layout: 'patches',
          patch,
        },
      },
      { name: 'video_grid_thw', dtype: 'I64', shape: ['batch', 3], preprocess: { kind: 'image-grid' } },
    ] satisfies ContractInput[];
  },

  encode(graph, { input_ids: ids, attention_mask: mask, pixel_values_videos: patches, video_grid_thw: grid }, context) {
    const { backbone } = context.options;
    const given = { ids, mask, patches, grids: framesOf(graph, grid) };
    const rewards = DIMENSIONS.map((_, i) => backbone.vocab - DIMENSIONS.length + i);
    const states = rewardStates(graph, given, { options: backbone, dtype: context.dtype }, rewards);
    return { embedding: graph.reshape(states, [0, DIMENSIONS.length * backbone.hidden]) };
  },

  embeddingWidth: ({ options }) => DIMENSIONS.length * options.backbone.hidden,

  score(graph, embedding, { options }: FamilyContext<VideoRewardOptions>) {
    return graph.scope('head', () => {
      const scores = rewardsOf(graph, embedding, options);
      const meaning = options.normal ? ', less the mean and over the spread that model_config.json states' : '';
      const overall = {
        name: 'utility_logit',
        value: scores.reduce((sum, score) => graph.add(sum, score)),
        meaning: 'Overall: the sum of the three rewards of the clip for its prompt. Higher is better, without bounds.',
      };
      const each = DIMENSIONS.map(({ name, of }, i) => ({
        name,
        value: scores[i],
        meaning: `Reward of ${of}${meaning}: higher is better, without bounds.`,
      }));
      return [overall, ...each];
    });
  },

  ignored: () => BACKBONE_IGNORED,
});

/** [batch] for each dimension. */
function rewardsOf(graph: GraphBuilder, embedding: Value, { outputs, normal }: VideoRewardOptions): Value[] {
  return graph.split(embedding, 1, DIMENSIONS.length).map((state, i) => {
    const scores = graph.linear(state, 'rm_head', { outputs, bias: false });
    const score = column(graph, scores, outputs === 1 ? 0 : i);
    if (!normal) return score;
    const { mean, std } = normal[i];
    return graph.div(graph.sub(score, graph.scalar(mean, 'F32')), graph.scalar(std, 'F32'));
  });
}

const SETTINGS = 'model_config.json';

/** What model_config.json says of clips and scores: it stands beside the checkpoint, or beside the folder of its step. */
function settingsOf(
  { beside }: Checkpoint,
  problems: OptionReader,
): Pick<VideoRewardOptions, 'normal' | 'frames' | 'pixels'> {
  const found = beside.json(SETTINGS) ?? beside.json(`../${SETTINGS}`);
  if (found === null) {
    throw new HpsError(
      'CONFIG_INVALID',
      `there is no ${SETTINGS}, which says how clips are read and what scores mean`,
      {
        hint: 'Put the one it was published with beside the checkpoint, or beside the folder of its step.',
        details: { file: SETTINGS },
      },
    );
  }
  const reader = new OptionReader(problems.tensors, [{ config: found, origin: SETTINGS }]);
  const sampling = reader.raw('data_config.sample_type') ?? 'uniform';
  if (sampling !== 'uniform')
    problems.refuse(`data_config.sample_type is ${JSON.stringify(sampling)}, uniform is read`);
  if (reader.raw('model_config.use_special_tokens') !== true)
    problems.refuse(
      `model_config.use_special_tokens is not true by ${SETTINGS}, and scores are read at tokens of their own`,
    );
  const pixels = reader.size('the most pixels of a frame', { keys: ['data_config.max_frame_pixels'] });
  const count = reader.raw('data_config.num_frames');
  const frames =
    typeof count === 'number'
      ? { count: reader.number('the number of frames', { keys: ['data_config.num_frames'] }, 1) }
      : { perSecond: reader.number('the frames of a second', { keys: ['data_config.fps'] }, 1e-3) };
  const isNormal = (reader.raw('inference_config') ?? null) !== null;
  const normal = DIMENSIONS.map(({ setting, of }) => ({
    mean: isNormal ? reader.number(`the mean of ${of}`, { keys: [`inference_config.${setting}_mean`] }) : 0,
    std: isNormal ? reader.number(`the spread of ${of}`, { keys: [`inference_config.${setting}_std`] }, 1e-9) : 1,
  }));
  reader.finish();
  return { normal: isNormal ? normal : null, frames, pixels };
}
