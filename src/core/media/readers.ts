import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import type { ContractInput, Preprocess } from '../onnx/manifest.js';
import { isTextual } from '../onnx/manifest-names.js';
import {
  castValue,
  float32Value,
  isValueDtype,
  type ShapedValues,
  shapeKeyOf,
  type TensorValue,
} from '../runtime/value.js';
import { type Patches, patchesOf } from '../tensor/patches.js';
import { formatShape } from '../tensor/shape.js';
import type { FrameContract } from './image/frame.js';
import type { MediaItem, MediaSource } from './item.js';
import { mediaName, readMedia } from './read-media.js';
import { invalidMedia } from './refusal.js';
import { conversationOf, openChatTemplate } from './text/chat.js';
import {
  assertUnicode,
  type EncodedText,
  encodeConversation,
  encodePair,
  encodePrompt,
  encodeText,
} from './text/encode.js';
import { openPromptTemplate } from './text/prompt.js';
import { openTokenizer } from './text/tokenizer.js';
import { textSpans } from './text/windows.js';
import type { LongestWindow, Span, Windowing } from './windows.js';

/** What one part of an item becomes. */
export interface ReadPart {
  readonly inputs: ShapedValues;
  readonly truncated?: boolean;
  readonly tokens?: number;
  readonly samples?: number;
}

/** A part of an item that is scored by itself. */
export interface ReadWindow extends ReadPart {
  readonly span: Span;
  /** Windows of the whole item. */
  readonly count: number;
}

/** Reads the part of an item that one input of the model takes. */
export interface Reader {
  /** @param made - inputs that the readers before it made of the same item */
  read(item: MediaItem, made: ReadonlyMap<string, TensorValue>, signal?: AbortSignal): Promise<ReadPart>;
  /**
   * As `read`, at once, padded to the width that so many tokens have: of a text without a picture. Its inputs may be written over by the
   * next text. It needs no `this`.
   */
  readonly readNow?: (item: MediaItem, widthOf: (tokens: number) => number) => ReadPart;
  /** The part in windows, one after the other; absent where it has no length. */
  readonly windows?: {
    readonly longest: LongestWindow;
    read(item: MediaItem, windowing: Windowing, signal?: AbortSignal): AsyncIterable<ReadWindow> | Iterable<ReadWindow>;
  };
}

type Contract<K extends Preprocess['kind']> = Extract<Preprocess, { kind: K }>;
type InputOf<K extends Preprocess['kind']> = ContractInput & { readonly preprocess: Contract<K> };

const isKind = <K extends Preprocess['kind']>(input: ContractInput, kind: K): input is InputOf<K> =>
  input.preprocess.kind === kind;

/**
 * A reader for each input, a text and its masks and types together, and a picture or clip before a text that has a place for it. Of the
 * code no more is loaded than they need.
 */
export async function openReaders(inputs: readonly ContractInput[], tokenizer: string | null): Promise<Reader[]> {
  const companions = inputs.filter(({ preprocess: { kind } }) => kind !== 'text' && isTextual(kind));
  const grid = inputs.find((input) => isKind(input, 'image-grid'));
  const readers: Reader[] = [];
  for (const input of inputs.toSorted((a, b) => needsPicture(a) - needsPicture(b))) {
    assertBounded(input);
    if (isKind(input, 'image'))
      readers.push(await (input.preprocess.layout === 'patches' ? patchReader(input, grid) : imageReader(input)));
    else if (isKind(input, 'text'))
      readers.push(await textReader(input, { companions, tokenizerJson: tokenizer, grid: grid?.name }));
    else if (isKind(input, 'audio')) readers.push(await audioReader(input));
    else if (isKind(input, 'video')) readers.push(await videoReader(input, grid));
    else if (isKind(input, 'embedding')) throw unkept(input, 'takes embeddings, which are not made from media');
  }
  return readers;
}

const needsPicture = ({ preprocess }: ContractInput): number =>
  Number(preprocess.kind === 'text' && preprocess.picture !== undefined);

async function imageReader(input: InputOf<'image'>): Promise<Reader> {
  assertFrameSize(input, input.preprocess);
  const read = await planesReader(input.preprocess);
  return {
    async read({ image }) {
      const { name, width, height, data } = await read(required(image, 'image'));
      return { inputs: only(input, float32Value([1, 3, height, width], data), name) };
    },
  };
}

/** @param grid - the input that takes the rows and columns of patches; undefined where none does */
async function patchReader(input: InputOf<'image'>, grid: ContractInput | undefined): Promise<Reader> {
  const { patch } = input.preprocess;
  if (!patch) throw unkept(input, 'takes patches, and the contract does not say which');
  const read = await planesReader(input.preprocess);
  return {
    async read({ image }) {
      const { name, data: planes, ...size } = await read(required(image, 'image'));
      return { inputs: patchInputs(patchesOf(planes, size, patch), { input, grid, name }) };
    },
  };
}

/** The values of the inputs that take patches and their grid. */
function patchInputs(
  { data, groups, rows, columns }: Patches,
  { input, grid, name }: { input: ContractInput; grid: ContractInput | undefined; name: string },
): ReadonlyMap<string, TensorValue> {
  const count = groups * rows * columns;
  const values = new Map(only(input, float32Value([count, data.length / count], data), name));
  const places = BigInt64Array.of(BigInt(groups), BigInt(rows), BigInt(columns));
  if (grid) values.set(grid.name, toInput({ dtype: 'I64', shape: [1, 3], data: places }, grid, name));
  return values;
}

interface Planes {
  readonly name: string;
  readonly width: number;
  readonly height: number;
  /** [3, height, width]. */
  readonly data: Float32Array;
}

async function planesReader(contract: Contract<'image'>): Promise<(source: MediaSource) => Promise<Planes>> {
  const { loadSharp, withImage } = await import('./image/decode.js');
  const { fitFrame, normalizeInto } = await import('./image/frame.js');
  await loadSharp();
  const options = { dropAlpha: contract.transparency === 'drop' };
  return async (source) => {
    const name = mediaName(source);
    const bytes = await readMedia(source, LIMITS.imageBytes);
    const frame = await withImage(bytes, name, options, (pixels) => fitFrame(pixels, contract));
    const { width, height } = frame;
    const data = new Float32Array(3 * height * width);
    normalizeInto(data, frame, contract, { channelStride: height * width, offset: 0 });
    return { name, width, height, data };
  };
}

async function audioReader(input: InputOf<'audio'>): Promise<Reader> {
  const { prepareWaveform } = await import('./audio/prepare.js');
  const { waveformWindows } = await import('./audio/windows.js');
  const contract = input.preprocess;
  if (!contract.mono) throw unkept(input, 'takes sound of several channels; one is made here');
  const fixed = input.shape[1];
  const minSamples = Math.max(contract.minSamples, typeof fixed === 'number' ? fixed : 0);
  const padded = { ...contract, minSamples };
  const partOf = (wave: Float32Array, name: string): ReadPart => ({
    inputs: only(input, float32Value([1, wave.length], wave), name),
    samples: wave.length,
  });
  return {
    async read({ audio }) {
      const source = required(audio, 'audio');
      const name = mediaName(source);
      return partOf(prepareWaveform(await readMedia(source, LIMITS.audioBytes), padded, name), name);
    },
    windows: {
      longest: { length: Math.min(contract.maxSamples / contract.sampleRate, LIMITS.audioSeconds), unit: 'seconds' },
      *read({ audio }, windowing) {
        const source = required(audio, 'audio');
        for (const { wave, ...place } of waveformWindows(source, padded, windowing))
          yield { ...partOf(wave, mediaName(source)), ...place };
      },
    },
  };
}

/** @param grid - as of `patchReader` */
async function videoReader(input: InputOf<'video'>, grid: ContractInput | undefined): Promise<Reader> {
  const { prepareClip } = await import('./video/prepare.js');
  const { clipWindows } = await import('./video/windows.js');
  const contract = input.preprocess;
  const { patch } = contract;
  if (contract.layout === 'patches') {
    if (!patch) throw unkept(input, 'takes patches, and the contract does not say which');
    return {
      async read({ video }, _made, signal) {
        const source = required(video, 'video');
        const { shape, data } = await prepareClip(source, contract, signal);
        const [given, height, width] = shape.slice(2);
        const patches = patchesOf(data as Float32Array, { width, height, given }, patch);
        return { inputs: patchInputs(patches, { input, grid, name: mediaName(source) }) };
      },
    };
  }
  assertFrameSize(input, contract);
  return {
    async read({ video }, _made, signal) {
      const source = required(video, 'video');
      return { inputs: only(input, await prepareClip(source, contract, signal), mediaName(source)) };
    },
    windows: {
      longest: { length: LIMITS.videoSeconds, unit: 'seconds' },
      async *read({ video }, windowing, signal) {
        const source = required(video, 'video');
        for await (const { value, ...place } of clipWindows(source, contract, windowing, signal))
          yield { inputs: only(input, value, mediaName(source)), ...place };
      },
    },
  };
}

interface TextSurroundings {
  /** Its mask and types. */
  readonly companions: readonly ContractInput[];
  readonly tokenizerJson: string | null;
  /** Name of the input that counts the patches of the picture beside it. */
  readonly grid: string | undefined;
}

async function textReader(
  input: InputOf<'text'>,
  { companions, tokenizerJson, grid }: TextSurroundings,
): Promise<Reader> {
  const contract = input.preprocess;
  if (tokenizerJson === null) {
    throw unkept(
      input,
      'takes token ids, and the model carries no tokenizer',
      'Give its tokenizer.json by `tokenizer`: `hpsv3 export` puts it into the file.',
    );
  }
  const tokenizer = await openTokenizer(tokenizerJson, { addedTokens: contract.addedTokens });
  const length = input.shape[1];
  if (typeof length === 'number' && contract.maxTokens > length) {
    throw unkept(input, `takes ${length} tokens, and the contract makes up to ${contract.maxTokens}`);
  }
  const around = contract.specialTokens ? tokenizer.prefix.length + tokenizer.suffix.length : 0;
  if (contract.maxTokens <= around) {
    throw unkept(input, `${contract.maxTokens} tokens leave no room beside ${around} special ones`);
  }
  const { pair } = tokenizer;
  if (contract.pair && pair === null)
    throw unkept(input, 'takes two texts in a row, and the tokenizer has no template for them');
  const { template, picture } = contract;
  const chat = template?.kind === 'chat' ? await openChatTemplate(template, tokenizer.specials) : null;
  const prompt = template?.kind === 'prompt' ? openPromptTemplate(template.source, tokenizer.specials) : null;
  const least = Math.max(contract.length ?? 0, typeof length === 'number' ? length : 0);
  const encoded = ({ text, context, messages }: MediaItem, places: number | undefined): EncodedText => {
    if (prompt) return encodePrompt(required(text, 'text'), places, { template: prompt, contract, tokenizer });
    if (chat) {
      const turns = messages ?? conversationOf(required(text, 'text'), context);
      return encodeConversation(turns, chat, contract, tokenizer);
    }
    if (messages)
      throw invalidMedia(
        'conversation',
        'is a list of messages, and this model reads plain text',
        'Give the row a text.',
      );
    const own = required(text, 'text');
    return contract.pair && pair && context !== undefined
      ? encodePair([context, own], contract, tokenizer, pair)
      : encodeText(own, contract, tokenizer);
  };
  const rowOf = (width: number): TextRow => new TextRow([input, ...companions], width, contract.pad);
  const partOf = ({ ids, types, truncated }: EncodedText): ReadPart => ({
    inputs: rowOf(Math.max(ids.length, least)).write(ids, types),
    truncated,
    tokens: ids.length,
  });
  const rows = new Map<number, TextRow>();
  const rowAgain = (width: number): TextRow => {
    const row = rows.get(width) ?? rowOf(width);
    rows.set(width, row);
    return row;
  };
  const readNow: Reader['readNow'] =
    grid === undefined
      ? (item, widthOf) => {
          const { ids, types, truncated } = encoded(item, undefined);
          const row = rowAgain(widthOf(Math.max(ids.length, least)));
          return { inputs: row.write(ids, types), truncated, tokens: ids.length };
        }
      : undefined;
  const read: Reader['read'] = async (item, made) => {
    const patches = grid === undefined ? undefined : made.get(grid)?.data;
    const places =
      picture && patches ? Array.from(patches, Number).reduce((a, b) => a * b, 1) / picture.patches : undefined;
    return partOf(encoded(item, places));
  };
  if (template) return { read, readNow }; // what stands around a text in a template is no part of it
  const windows: Reader['windows'] = {
    longest: { length: contract.maxTokens - around, unit: 'tokens' },
    *read(item, windowing) {
      const text = required(item.text, 'text');
      const count = {
        of: (part: string) => tokenizer.encode(part).length,
        fits: (part: string) => !encoded({ ...item, text: part }, undefined).truncated,
      };
      assertUnicode(text);
      const spans = textSpans(text, windowing, count);
      for (const span of spans) {
        const part = partOf(encoded({ ...item, text: text.slice(span.start, span.end) }, undefined));
        yield { ...part, span, count: spans.length };
      }
    },
  };
  return { read, readNow, windows };
}

/** A text of one width as the inputs of a model, which each text is written into. */
class TextRow {
  private readonly parts: readonly { readonly kind: Preprocess['kind']; readonly tokens: TokenRow }[];
  /** Absent where an input takes another dtype, to which each text is cast. */
  private readonly inputs: ShapedValues | undefined;

  /** @throws HpsError MEDIA_INVALID where an input takes another width */
  constructor(
    private readonly contract: readonly ContractInput[],
    width: number,
    private readonly pad: number,
  ) {
    this.parts = contract.map(({ preprocess: { kind } }) => ({ kind, tokens: new TokenRow(width) }));
    const inputs = this.cast();
    if (contract.every(({ dtype }) => dtype === 'I64'))
      this.inputs = Object.assign(inputs, { shapeKey: shapeKeyOf(inputs) });
  }

  /** @param types - zeros where they are left out */
  write(ids: readonly number[], types: readonly number[] = []): ShapedValues {
    for (const { kind, tokens } of this.parts) {
      if (kind === 'text') tokens.write(ids, this.pad);
      else if (kind === 'text-mask') tokens.mask(ids.length);
      else tokens.write(types, 0);
    }
    return this.inputs ?? this.cast();
  }

  private cast(): Map<string, TensorValue> {
    return new Map(this.contract.map((input, i) => [input.name, toInput(this.parts[i].tokens.value, input, 'text')]));
  }
}

/** Integers of 64 bits that are written without a BigInt of each, which would be an object of its own. */
class TokenRow {
  readonly value: TensorValue;
  private readonly data: BigInt64Array;
  private readonly halves: Int32Array;

  constructor(width: number) {
    this.data = new BigInt64Array(width);
    this.halves = new Int32Array(this.data.buffer);
    this.value = { dtype: 'I64', shape: [1, width], data: this.data };
  }

  /** Numbers, the rest filled. */
  write(numbers: readonly number[], fill: number): void {
    const { data, halves } = this;
    for (let place = 0; place < numbers.length; place++) {
      const number = numbers[place];
      if (number === (number | 0)) {
        halves[2 * place] = number;
        halves[2 * place + 1] = number >> 31;
      } else data[place] = BigInt(number);
    }
    data.fill(BigInt(fill), numbers.length);
  }

  /** One for each token. */
  mask(tokens: number): void {
    this.data.fill(1n, 0, tokens).fill(0n, tokens);
  }
}

/** Where the contract fixes the size of a frame, the model must take that size. */
/** Sizes in a contract may be a stranger's: what they come to for one item is looked at before it is made. */
function assertBounded(input: ContractInput): void {
  const values = valuesOf(input);
  if (values <= LIMITS.inputValues) return;
  throw unkept(input, `takes up to ${values} values for one item, over the limit of ${LIMITS.inputValues}`);
}

function valuesOf({ preprocess, shape }: ContractInput): number {
  const fixed = typeof shape[1] === 'number' ? shape[1] : 0;
  if (preprocess.kind === 'text') return Math.max(preprocess.maxTokens, preprocess.length ?? 0, fixed);
  if (preprocess.kind === 'audio') return Math.max(preprocess.minSamples, preprocess.maxSamples, fixed);
  if (preprocess.kind !== 'image' && preprocess.kind !== 'video') return 0;
  const { resize, crop, pad } = preprocess;
  const shorter = resize.shorterSide ?? 0;
  const sizes = [[shorter, shorter], resize.exact ?? [], crop ?? [], pad?.size ?? []];
  const pixels = Math.max(resize.pixels?.max ?? 0, ...sizes.map(([height = 0, width = 0]) => height * width));
  return 3 * pixels * (preprocess.kind === 'video' ? mostFrames(preprocess) : 1);
}

/** No clip is longer than a limit, so that a rate bounds them too. */
const mostFrames = ({ frames, rate }: Contract<'video'>): number =>
  rate
    ? Math.min(frames, Math.max(rate.least, Math.ceil(rate.perSecond * LIMITS.videoSeconds)) + rate.multiple)
    : frames;

function assertFrameSize(input: ContractInput, { crop, resize }: FrameContract): void {
  const size = crop ?? resize.exact;
  const taken = input.shape.slice(-2);
  if (!size || taken.every((dim, axis) => typeof dim === 'string' || dim === size[axis])) return;
  throw unkept(input, `takes frames of ${taken.join(' x ')}, and the contract makes ${size.join(' x ')}`);
}

function required<T>(part: T | undefined, kind: keyof MediaItem): T {
  if (part !== undefined) return part;
  throw invalidMedia('item', `has no ${kind}, and the model reads one`, `Give the item its ${kind}.`);
}

const only = (input: ContractInput, value: TensorValue, name: string): ReadonlyMap<string, TensorValue> =>
  new Map([[input.name, toInput(value, input, name)]]);

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
