import { sha256Hex } from '../bytes/hash.js';
import { HpsError } from '../errors.js';
import type { ContractInput } from '../onnx/manifest.js';
import type { ShapedValues, TensorValue } from '../runtime/value.js';
import type { MediaItem } from './item.js';
import { openReaders, type Reader } from './readers.js';
import type { LongestWindow, Span, Windowing } from './windows.js';

/** One item as model inputs. */
export interface PreparedItem {
  /** By the names of the contract; each value has one row. */
  readonly inputs: ShapedValues;
  /** Whether the end of the item was left out: a text longer than `maxTokens`. */
  readonly truncated: boolean;
  /** Length of the text in tokens, padding not counted; null without a text. */
  readonly tokens: number | null;
  /** Length of the sound in samples; null without a sound. */
  readonly samples: number | null;
}

/** A part of an item as model inputs. */
export interface PreparedWindow extends PreparedItem {
  readonly span: Span;
  /** Windows of the whole item. */
  readonly count: number;
}

/** Turns items into the inputs of one model. Holds no file and no thread. */
export interface Preparer {
  /** The longest window of an item that is read; null for a model of things without a length. */
  readonly longestWindow: LongestWindow | null;
  /**
   * The windows of an item, in their order; each is prepared when it is asked for.
   * @throws HpsError as `prepare`; MEDIA_INVALID for too many windows, INPUTS_INVALID where it reads nothing of a length
   */
  windows(item: MediaItem, windowing: Windowing, signal?: AbortSignal): AsyncGenerator<PreparedWindow>;
  /** As `prepare`, at once, padded and to be used at once as of `Reader.readNow`: of a model that reads text alone. It needs no `this`. */
  readonly prepareNow?: (item: MediaItem, widthOf: (tokens: number) => number) => PreparedItem;
  /** @throws HpsError MEDIA_INVALID, FILE_NOT_FOUND, FILE_UNREADABLE or BACKEND_UNAVAILABLE; the signal's reason when it aborts */
  prepare(item: MediaItem, signal?: AbortSignal): Promise<PreparedItem>;
  /** Two preparers with the same hash make the same inputs of the same item. */
  readonly contractSha256: string;
  close(): Promise<void>;
}

export interface PreparerOptions {
  /** Inputs of one side of a model, without `left_` and `right_`. */
  readonly inputs: readonly ContractInput[];
  /** The tokenizer.json of a model that reads text. */
  readonly tokenizer: string | null;
}

/** Raised when the same contract comes to mean other inputs, so that scores made before and after are told apart. */
const RULES = 'hpsv3/media@1';

/**
 * A preparer for the inputs of one side of a model, from plain data: a worker thread can be given the options.
 * @throws HpsError INPUTS_INVALID where the contract cannot be kept (embeddings, no tokenizer, a fixed size that the preprocessing misses)
 */
export async function openPreparer({ inputs, tokenizer }: PreparerOptions): Promise<Preparer> {
  const readers = await openReaders(inputs, tokenizer);
  const long = readers.find(({ windows }) => windows?.longest.unit === 'seconds') ?? onlyOne(readers);
  return {
    contractSha256: contractHash(inputs, tokenizer),
    longestWindow: long?.windows?.longest ?? null,
    prepare: (item, signal) => prepareBy(readers, item, signal),
    prepareNow: readers.length === 1 && readers[0].readNow ? nowBy(readers[0].readNow) : undefined,
    async *windows(item, windowing, signal) {
      if (long?.windows?.longest.unit !== windowing.unit) {
        throw new HpsError('INPUTS_INVALID', `the model reads nothing that is cut into windows of ${windowing.unit}`, {
          hint: 'Leave `window` out.',
        });
      }
      const others = readers.filter((reader) => reader !== long);
      const whole = others.length === 0 ? null : await prepareBy(others, item, signal);
      for await (const { span, count, ...part } of long.windows.read(item, windowing, signal)) {
        signal?.throwIfAborted();
        yield {
          inputs: whole ? new Map([...whole.inputs, ...part.inputs]) : part.inputs,
          truncated: (part.truncated ?? false) || (whole?.truncated ?? false),
          tokens: part.tokens ?? whole?.tokens ?? null,
          samples: part.samples ?? whole?.samples ?? null,
          span,
          count,
        };
      }
    },
    close: async () => {},
  };
}

const nowBy =
  (readNow: NonNullable<Reader['readNow']>): Preparer['prepareNow'] =>
  (item, widthOf) => {
    const { inputs, truncated = false, tokens = null, samples = null } = readNow(item, widthOf);
    return { inputs, truncated, tokens, samples };
  };

/** A text beside a picture is about all of it, and is not cut. */
const onlyOne = (readers: readonly Reader[]): Reader | undefined => (readers.length === 1 ? readers[0] : undefined);

async function prepareBy(readers: readonly Reader[], item: MediaItem, signal?: AbortSignal): Promise<PreparedItem> {
  const values = new Map<string, TensorValue>();
  let truncated = false;
  let tokens: number | null = null;
  let samples: number | null = null;
  for (const reader of readers) {
    signal?.throwIfAborted();
    const part = await reader.read(item, values, signal);
    for (const [name, value] of part.inputs) values.set(name, value);
    truncated ||= part.truncated ?? false;
    tokens ??= part.tokens ?? null;
    samples ??= part.samples ?? null;
  }
  return { inputs: values, truncated, tokens, samples };
}

function contractHash(inputs: readonly ContractInput[], tokenizer: string | null): string {
  const contract = { rules: RULES, inputs, tokenizer: tokenizer === null ? null : sha256Hex(Buffer.from(tokenizer)) };
  return sha256Hex(Buffer.from(JSON.stringify(sortKeys(contract))));
}

/** The same value with the keys of its objects in order: equal contracts have equal JSON. */
function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, item]) => [key, sortKeys(item)]));
}
