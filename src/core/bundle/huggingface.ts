import { isJsonObject, type JsonObject, type JsonValue } from '../bytes/json.js';
import type { Manifest, Preprocess } from '../onnx/manifest.js';
import type { BundleFile } from './archive.js';

/** Where Transformers.js and optimum look for a graph. */
export const HUB_MODEL_FILE = 'onnx/model.onnx';

/** What is known of a model that is laid out. */
export interface LaidOutModel {
  /** What people call it. */
  readonly name: string;
  readonly manifest: Manifest;
  /** Text of its tokenizer.json; null where it reads none, or carries none. */
  readonly tokenizer: string | null;
}

type TextInput = Extract<Preprocess, { kind: 'text' }>;
type ImageInput = Extract<Preprocess, { kind: 'image' }>;
type AudioInput = Extract<Preprocess, { kind: 'audio' }>;

/** A settings file, or why it cannot be had. */
type Settings = { readonly config: JsonObject } | { readonly missing: string };

/**
 * The files by which @huggingface/transformers and optimum read a model: its configuration, its tokenizer, and what is done to a picture
 * or a recording.
 *
 * The type of the model is `hpsv3`, whatever family its weights are of: the graph gives a utility and no `logits`, so that the class of
 * the family would promise what is not there. Transformers.js runs the graph of a type it does not know as it is, and optimum does where
 * it is given the configuration.
 */
export function huggingFaceFiles({ name, manifest, tokenizer }: LaidOutModel): BundleFile[] {
  const { inputs, outputs, architecture, modality, mode, decision } = manifest;
  const logit = logitOf(manifest);
  const config = {
    model_type: 'hpsv3',
    num_labels: 1,
    id2label: { 0: logit },
    label2id: { [logit]: 0 },
    'transformers.js_config': { dtype: 'fp32' }, // which file is loaded: without it, browsers look for one in 8 bits
    hpsv3: { architecture, modality, mode, decision, inputs, outputs },
  };
  const text = textOf(manifest);
  const media = mediaSettings(manifest);
  return [
    jsonFile('config.json', config as unknown as JsonObject),
    ...(text && tokenizer !== null ? tokenizerFiles(text, tokenizer) : []),
    ...(media && 'config' in media ? [jsonFile('preprocessor_config.json', media.config)] : []),
    { path: 'LOADING.md', content: Buffer.from(loadingText(name, manifest, tokenizer)) },
  ];
}

const jsonFile = (path: string, value: JsonValue): BundleFile => ({
  path,
  content: Buffer.from(`${JSON.stringify(value, null, 2)}\n`),
});

/** The output that decides. */
export const logitOf = ({ mode }: Pick<Manifest, 'mode'>): string => (mode === 'item' ? 'utility_logit' : 'logit');

const preprocessOf = <K extends Preprocess['kind']>({ inputs }: Manifest, kind: K) =>
  inputs.find(({ preprocess }) => preprocess.kind === kind)?.preprocess as Extract<Preprocess, { kind: K }> | undefined;

const textOf = (manifest: Manifest): TextInput | undefined => preprocessOf(manifest, 'text');

/** The tokenizer adds its special tokens by default: one whose model does without them goes without the rule for them. */
function tokenizerFiles({ maxTokens, pad, specialTokens, template }: TextInput, tokenizer: string): BundleFile[] {
  const json = JSON.parse(tokenizer) as JsonObject;
  const config: JsonObject = {
    tokenizer_class: 'PreTrainedTokenizerFast',
    model_max_length: maxTokens,
    padding_side: 'right',
    truncation_side: 'right',
    clean_up_tokenization_spaces: false,
  };
  const padToken = tokenOf(json, pad);
  if (padToken !== undefined) config.pad_token = padToken;
  if (template?.kind === 'chat') config.chat_template = template.source;
  return [
    {
      path: 'tokenizer.json',
      content: Buffer.from(
        specialTokens ? tokenizer : `${JSON.stringify({ ...json, post_processor: null }, null, 2)}\n`,
      ),
    },
    jsonFile('tokenizer_config.json', config),
  ];
}

function tokenOf({ added_tokens: added, model }: JsonObject, id: number): string | undefined {
  const entries = (Array.isArray(added) ? added : []).filter(isJsonObject);
  const found = entries.find((entry) => entry.id === id)?.content;
  if (typeof found === 'string') return found;
  const vocab = isJsonObject(model) ? model.vocab : null;
  if (Array.isArray(vocab)) return Array.isArray(vocab[id]) ? String(vocab[id][0]) : undefined;
  return isJsonObject(vocab) ? Object.keys(vocab).find((token) => vocab[token] === id) : undefined;
}

/** Of PIL.Image.Resampling. */
const RESAMPLE = { nearest: 0, lanczos3: 1, bilinear: 2, bicubic: 3 } as const;

/** What Transformers is told of pictures or recordings; undefined where the model reads neither. */
function mediaSettings(manifest: Manifest): Settings | undefined {
  const image = preprocessOf(manifest, 'image');
  if (image) return imageSettings(image);
  const audio = preprocessOf(manifest, 'audio');
  if (audio) return audioSettings(audio);
  return preprocessOf(manifest, 'video') ? { missing: 'Transformers has no processor that reads clips so' } : undefined;
}

function imageSettings(image: ImageInput): Settings {
  const { resize, crop, scale, mean, std, layout, patch, pad } = image;
  if (pad) return { missing: 'Transformers has no processor that fills pictures up so' };
  const common: JsonObject = {
    do_convert_rgb: true,
    do_rescale: true,
    rescale_factor: scale,
    do_normalize: true,
    image_mean: [...mean],
    image_std: [...std],
    do_resize: true,
    resample: RESAMPLE[resize.kernel],
  };
  if (layout === 'patches' && patch && resize.pixels) {
    return {
      config: {
        image_processor_type: 'Qwen2VLImageProcessor',
        ...common,
        min_pixels: resize.pixels.min,
        max_pixels: resize.pixels.max,
        patch_size: patch.size,
        merge_size: patch.merge,
        temporal_patch_size: patch.frames,
      },
    };
  }
  if (layout !== 'NCHW' || resize.longestSide || resize.pixels)
    return { missing: 'Transformers has no processor that resizes pictures so' };
  const size: JsonObject | null = resize.exact
    ? { height: resize.exact[0], width: resize.exact[1] }
    : resize.shorterSide
      ? { shortest_edge: resize.shorterSide }
      : null;
  return {
    config: {
      image_processor_type: 'CLIPImageProcessor',
      ...common,
      do_resize: size !== null,
      ...(size ? { size } : {}),
      do_center_crop: crop !== null,
      ...(crop ? { crop_size: { height: crop[0], width: crop[1] } } : {}),
    },
  };
}

function audioSettings({ sampleRate, range, normalize, short }: AudioInput): Settings {
  if (range[0] !== -1 || range[1] !== 1 || short)
    return { missing: 'Transformers has no processor that reads sound so' };
  return {
    config: {
      feature_extractor_type: 'Wav2Vec2FeatureExtractor',
      feature_size: 1,
      sampling_rate: sampleRate,
      padding_value: 0,
      do_normalize: normalize === 'standardize',
      return_attention_mask: false,
    },
  };
}

function loadingText(name: string, manifest: Manifest, tokenizer: string | null): string {
  const { inputs, outputs } = manifest;
  const logit = logitOf(manifest);
  const text = textOf(manifest);
  const media = mediaSettings(manifest);
  const limits = [
    `There is no \`logits\`, and so no \`AutoModelForSequenceClassification\` and no \`pipeline\`: what decides is \`${logit}\`.`,
    'There are no PyTorch weights: `transformers` for Python alone does not load it.',
  ];
  if (text && tokenizer === null) limits.push('The model carries no tokenizer: it takes token ids.');
  if (text) {
    limits.push(
      `hpsv3 cuts a text that is too long (${text.maxTokens} tokens) before its last special tokens are added; Transformers.js cuts these off.`,
    );
    if (text.length)
      limits.push(
        `Every text is filled up to ${text.length} tokens: call the tokenizer with \`padding: 'max_length'\`, \`max_length: ${text.length}\`.`,
      );
    if (text.template?.kind === 'prompt')
      limits.push('A text stands in a prompt, which `config.json` has under `hpsv3.inputs`.');
    if (text.template?.kind === 'chat') limits.push('A text stands in the chat template of the tokenizer.');
  }
  if (media && 'missing' in media)
    limits.push(
      `There is no \`preprocessor_config.json\`: ${media.missing}. The steps are in \`config.json\`, under \`hpsv3.inputs\`.`,
    );
  else if (media)
    limits.push(
      'Transformers.js resizes pictures and resamples sound by other kernels than hpsv3, which does it as the model was trained: scores of the same file differ a little. The same tensors give the same score.',
    );
  return `# Loading ${name}

\`onnx/model.onnx\` is the released model, byte for byte. The graph reads ${inputs.map(({ name: input }) => `\`${input}\``).join(', ')} and gives ${outputs.map(({ name: output }) => `\`${output}\``).join(', ')}.

\`\`\`js
import { AutoModel${tokenizer === null ? '' : ', AutoTokenizer'} } from '@huggingface/transformers';
const model = await AutoModel.from_pretrained(FOLDER); // says that it does not know the class hpsv3, and runs the graph as it is
${tokenizer === null ? '' : 'const tokenizer = await AutoTokenizer.from_pretrained(FOLDER);\n'}const { ${logit} } = await model(inputs); // the inputs by their names${tokenizer === null ? '' : ", e.g. { ...tokenizer('a red fox') }"}
\`\`\`

\`\`\`python
from optimum.onnxruntime import ORTModelForCustomTasks
from transformers import PretrainedConfig
# Transformers knows no type hpsv3: without \`config\` it is refused.
model = ORTModelForCustomTasks.from_pretrained(FOLDER, config=PretrainedConfig.from_pretrained(FOLDER))
print(model(**inputs).${logit})
\`\`\`

${limits.map((limit) => `- ${limit}`).join('\n')}
`;
}
