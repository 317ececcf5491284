import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import type { ContractInput, Preprocess } from '../onnx/manifest.js';
import { castValue, float32Value, isValueDtype, type TensorValue } from '../runtime/value.js';
import { formatShape } from '../tensor/shape.js';
import { decodeImage } from './image/decode.js';
import { fitFrame, normalizeInto } from './image/frame.js';
import type { MediaItem } from './item.js';
import { mediaName, readMedia } from './read-media.js';
import { invalidMedia } from './refusal.js';
import { encodeText } from './text/encode.js';
import { openTokenizer } from './text/tokenizer.js';

/** What one part of an item becomes. */
export interface ReadPart {
  readonly inputs: ReadonlyMap<string, TensorValue>;
  readonly truncated?: boolean;
  readonly tokens?: number;
  readonly samples?: number;
}

/** Reads the part of an item that one input of the model takes. */
export type Reader = (item: MediaItem, signal?: AbortSignal) => Promise<ReadPart>;

type Contract<K extends Preprocess['kind']> = Extract<Preprocess, { kind: K }>;
type InputOf<K extends Preprocess['kind']> = ContractInput & { readonly preprocess: Contract<K> };

const isKind = <K extends Preprocess['kind']>(input: ContractInput, kind: K): input is InputOf<K> =>
  input.preprocess.kind === kind;

/** A reader for each input, a text and its masks together. */
export async function openReaders(inputs: readonly ContractInput[], tokenizer: string | null): Promise<Reader[]> {
  const masks = inputs.filter((input) => input.preprocess.kind === 'text-mask');
  const readers: Reader[] = [];
  for (const input of inputs) {
    if (isKind(input, 'image')) readers.push(imageReader(input));
    else if (isKind(input, 'text')) readers.push(await textReader(input, masks, tokenizer));
    else if (!isKind(input, 'text-mask'))
      throw unkept(input, `takes ${input.preprocess.kind}, which is not read from media`);
  }
  return readers;
}

function imageReader(input: InputOf<'image'>): Reader {
  const contract = input.preprocess;
  return async ({ image }) => {
    const source = required(image, 'image');
    const name = mediaName(source);
    const frame = fitFrame(await decodeImage(await readMedia(source, LIMITS.imageBytes), name), contract);
    const plane = frame.width * frame.height;
    const data = new Float32Array(3 * plane);
    normalizeInto(data, frame, contract, { channelStride: plane, offset: 0 });
    const value = float32Value([1, 3, frame.height, frame.width], data);
    return { inputs: new Map([[input.name, toInput(value, input, name)]]) };
  };
}

async function textReader(
  input: InputOf<'text'>,
  masks: readonly ContractInput[],
  tokenizerJson: string | null,
): Promise<Reader> {
  const contract = input.preprocess;
  if (tokenizerJson === null) {
    throw unkept(
      input,
      'takes token ids, and the model carries no tokenizer',
      'Export it with --tokenizer tokenizer.json.',
    );
  }
  const tokenizer = await openTokenizer(tokenizerJson);
  const length = input.shape[1];
  return async ({ text }) => {
    const { ids, truncated } = encodeText(required(text, 'text'), contract, tokenizer);
    const width = typeof length === 'number' ? length : ids.length;
    const row = (values: readonly number[], fill: number): TensorValue => {
      const data = new BigInt64Array(Math.max(width, values.length)).fill(BigInt(fill));
      data.set(values.map(BigInt));
      return { dtype: 'I64', shape: [1, data.length], data };
    };
    const values = new Map([[input.name, toInput(row(ids, contract.pad), input, 'text')]]);
    for (const mask of masks)
      values.set(
        mask.name,
        toInput(
          row(
            ids.map(() => 1),
            0,
          ),
          mask,
          'text',
        ),
      );
    return { inputs: values, truncated, tokens: ids.length };
  };
}

function required<T>(part: T | undefined, kind: keyof MediaItem): T {
  if (part !== undefined) return part;
  throw invalidMedia('item', `has no ${kind}, and the model reads one`, `Give the item an ${kind}.`);
}

/** The value in the dtype of the input, its shape checked. */
function toInput(value: TensorValue, input: ContractInput, name: string): TensorValue {
  const fits =
    input.shape.length === value.shape.length &&
    input.shape.every((dim, axis) => axis === 0 || typeof dim === 'string' || dim === value.shape[axis]);
  if (!fits) {
    const shapes = `${formatShape(value.shape)}, input ${input.name} takes [${input.shape.join(', ')}]`;
    throw invalidMedia(name, `becomes ${shapes}`, 'Make its size one that the model takes, or correct the contract.');
  }
  return isValueDtype(input.dtype) ? castValue(value, input.dtype) : value;
}

function unkept(
  { name }: ContractInput,
  rule: string,
  hint = 'Use `hpsv3 inspect` to see what the model takes.',
): HpsError {
  return new HpsError('INPUTS_INVALID', `input ${name}: ${rule}`, { hint, details: { input: name, rule } });
}
