import { basename } from 'node:path';
import { stringify } from 'yaml';
import { withAtomicOutput } from '../../bytes/output.js';
import { filled } from '../../defaults.js';
import { HpsError } from '../../errors.js';
import { MANIFEST_KEY } from '../../onnx/manifest-names.js';
import { metadataOf, type OnnxModel, type ValueInfoProto } from '../../onnx/model.js';
import { openOnnx } from '../../onnx/read.js';
import { dataTypeName } from '../../onnx/tensor-data.js';
import type { Run } from '../../run.js';

export interface DraftContractOptions extends Run {
  readonly model: string;
  /** YAML file for the draft; without it the draft is in the report alone. */
  readonly out?: string;
  /** Replace `out`. */
  readonly force?: boolean;
}

export const DRAFT_CONTRACT_DEFAULTS = { force: false } as const satisfies Partial<DraftContractOptions>;

export interface DraftContractReport {
  readonly model: string;
  /** Base name; null where it was not written. */
  readonly out: string | null;
  /** The contract as YAML, with a comment wherever the graph does not say and a person must. */
  readonly contract: string;
  /** What to look at before it is used, one sentence each. */
  readonly questions: readonly string[];
}

/**
 * A first draft of the contract of a model of another tool, from its graph: shapes and types are the graph's, what they mean is
 * guessed from names and ranks, and every guess is marked.
 *
 * @throws HpsError as `openOnnx`; USAGE for a model that says itself what its inputs mean; ONNX_UNSUPPORTED for one without an input
 *   or output that could be anything
 */
export async function draftContract(given: DraftContractOptions): Promise<DraftContractReport> {
  const { model: path, out, force } = filled(given, DRAFT_CONTRACT_DEFAULTS);
  const { model, close } = openOnnx(path);
  const file = basename(path);
  try {
    if (metadataOf(model, MANIFEST_KEY) !== undefined) {
      throw new HpsError('USAGE', `${file}: carries a manifest, and needs no contract`, {
        hint: 'Use it as it is: `hpsv3 inspect` shows what it reads.',
        details: { file },
      });
    }
    const { contract, questions } = draftOf(model, file);
    const report = { model: file, contract, questions };
    if (out === undefined) return { ...report, out: null };
    return await withAtomicOutput(out, { force, inputs: [path] }, async (output) => {
      const { name } = await output.writeFile(output.name, contract);
      return { ...report, out: name };
    });
  } finally {
    close();
  }
}

interface GraphValue {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly (number | string)[];
}

interface DraftedInput {
  readonly kind: string;
  readonly preprocess: Record<string, unknown>;
  readonly questions: readonly string[];
}

function draftOf(model: OnnxModel, file: string): { contract: string; questions: string[] } {
  const weights = new Set(model.graph.initializer.map(({ name }) => name));
  const inputs = model.graph.input.filter(({ name }) => !weights.has(name)).map(graphValue);
  const outputs = model.graph.output.map(graphValue);
  const drafted = inputs.map((input) => ({ input, draft: draftInput(input) }));
  const score = outputs.find(({ dtype, shape }) => dtype.startsWith('F') && shape.length >= 1 && shape.length <= 2);
  if (drafted.length === 0 || !score) {
    throw new HpsError(
      'ONNX_UNSUPPORTED',
      `${file}: has no ${score ? 'input' : 'output of numbers, one row an item'}`,
      {
        hint: 'A contract is for a model with media or text in, and a score for each row out.',
        details: { file, outputs: outputs.map(({ name }) => name) },
      },
    );
  }
  const columns = score.shape.length === 2 ? score.shape[1] : 1;
  const kinds = [
    ...new Set(drafted.map(({ draft }) => draft.kind).filter((kind) => kind !== 'text-mask' && kind !== 'text-types')),
  ];
  const modality =
    kinds.length === 2 && kinds.includes('text') ? `${kinds.find((kind) => kind !== 'text')}-text` : kinds[0];
  const scoreQuestions = [
    ...(typeof columns === 'number' && columns > 1
      ? [`${score.name} has ${columns} columns: which of them, from 0, is the score?`]
      : []),
    ...(outputs.length > 1 ? [`Is the score in ${score.name}? There are also ${names(outputs, score)}.`] : []),
    'From which to which value can the score be? Write it as range: [lowest, highest]; without it tanh of the value is the utility.',
  ];
  const document = {
    modality,
    inputs: drafted.map(({ input, draft }) => ({ ...input, preprocess: draft.preprocess })),
    score: { output: score.name, column: 0 },
  };
  const questions = [
    ...drafted.flatMap(({ input, draft }) => draft.questions.map((one) => `${input.name}: ${one}`)),
    ...scoreQuestions,
  ];
  const head = [
    `# What ${file} reads, and where its score is: a draft from its graph. Names, dtypes and shapes are the graph's; the rest is guessed.`,
    '# Look at each question, correct what is wrong, and delete the comments:',
    ...questions.map((question) => `#  - ${question}`),
  ];
  return {
    contract: `${head.join('\n')}\n${stringify(document, { lineWidth: 0, collectionStyle: 'any' })}`,
    questions,
  };
}

const names = (outputs: readonly GraphValue[], but: GraphValue): string =>
  outputs
    .filter((one) => one !== but)
    .map(({ name }) => name)
    .join(', ');

function graphValue({ name, type }: ValueInfoProto): GraphValue {
  const tensor = type?.tensorType;
  const dims = tensor?.shape?.dim ?? [];
  const shape = dims.map(({ dimValue, dimParam }, axis) =>
    axis === 0 ? 'batch' : (dimValue ?? (dimParam || `axis${axis}`)),
  );
  const onnx = dataTypeName(tensor?.elemType ?? 0);
  return { name, dtype: DTYPES_OF_ONNX[onnx] ?? onnx, shape };
}

/** As manifests spell them. */
const DTYPES_OF_ONNX: Readonly<Record<string, string>> = {
  FLOAT: 'F32',
  FLOAT16: 'F16',
  DOUBLE: 'F64',
  INT32: 'I32',
  INT64: 'I64',
};

const IMAGENET = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };

function draftInput({ name, dtype, shape }: GraphValue): DraftedInput {
  const isWhole = dtype.startsWith('I');
  if (isWhole && /mask/i.test(name)) return { kind: 'text-mask', preprocess: { kind: 'text-mask' }, questions: [] };
  if (isWhole && /type/i.test(name)) return { kind: 'text-types', preprocess: { kind: 'text-types' }, questions: [] };
  if (isWhole) return textInput(shape[1]);
  if (shape.length >= 4) return pictureInput(shape);
  if (typeof shape[1] === 'number' && shape[1] < 4096 && !/wav|audio|speech|sound|input_values/i.test(name)) {
    return {
      kind: 'embedding',
      preprocess: { kind: 'embedding', encoder: null, normalize: 'none' },
      questions: ['Taken for an embedding. Whose encoder makes it, and is it brought to length 1 (normalize: l2)?'],
    };
  }
  return audioInput(shape.at(-1)!);
}

function textInput(length: number | string | undefined): DraftedInput {
  const fixed = typeof length === 'number';
  return {
    kind: 'text',
    preprocess: {
      kind: 'text',
      maxTokens: fixed ? length : 512,
      tokenizer: 'hpsv3.tokenizer',
      vocabSize: 30_522,
      pad: 0,
      specialTokens: true,
      ...(fixed ? { length } : {}),
    },
    questions: [
      'How many tokens are in the vocabulary (vocabSize), which id fills up (pad), and how many tokens are read at most (maxTokens)?',
      'Where is its tokenizer.json? Put it into the model with `hpsv3 contract embed`.',
    ],
  };
}

function pictureInput(shape: readonly (number | string)[]): DraftedInput {
  const [height, width] = shape.slice(-2).map((size) => (typeof size === 'number' ? size : 224));
  const frames = {
    color: 'RGB',
    resize: { exact: [height, width], kernel: 'bilinear', antialias: true },
    crop: null,
    scale: 1 / 255,
    ...IMAGENET,
  };
  const questions = [
    'How are pictures resized (exact: [height, width], or shorterSide with a crop), and by which kernel?',
    'What are scale, mean and std of the training? These are those of ImageNet.',
    ...(shape[1] === 3 || shape.length === 5
      ? []
      : [`Its second axis is ${shape[1]}, not 3 channels: only NCHW can be prepared.`]),
  ];
  if (shape.length === 4) return { kind: 'image', preprocess: { kind: 'image', ...frames, layout: 'NCHW' }, questions };
  const count = typeof shape[2] === 'number' ? shape[2] : 8;
  return {
    kind: 'video',
    preprocess: { kind: 'video', frames: count, sampling: 'even', size: height, ...frames, layout: 'NCFHW' },
    questions,
  };
}

function audioInput(length: number | string): DraftedInput {
  const fixed = typeof length === 'number';
  return {
    kind: 'audio',
    preprocess: {
      kind: 'audio',
      sampleRate: 16_000,
      mono: true,
      minSamples: fixed ? length : 1600,
      maxSamples: fixed ? length : 480_000,
      range: [-1, 1],
      ...(fixed ? { short: 'repeat' } : {}),
    },
    questions: [
      'At which sampleRate was it trained?',
      ...(fixed
        ? [`A recording shorter than ${length} samples is repeated (short: repeat); delete that for silence after it.`]
        : ['How many samples are read at least and at most (minSamples, maxSamples)?']),
    ],
  };
}
