import { HpsError } from '../errors.js';
import type { MediaItem } from '../media/item.js';
import type { PreparedItem, Preparer } from '../media/preparer.js';
import { openPreparer } from '../media/preparer.js';
import type { RemoteStore } from '../media/remote/store.js';
import { openTokenizer, type TextTokenizer } from '../media/text/tokenizer.js';
import type { Windowing } from '../media/windows.js';
import type { ContractInput } from '../onnx/manifest.js';
import type { TensorValue } from '../runtime/value.js';
import type { ScoringContract } from '../samples/contract.js';
import { type ItemInput, resolveItem } from '../samples/resolve.js';
import { padText } from '../scoring/buckets.js';
import type { Sample } from '../scoring/scorer.js';
import { parseWindows, type WindowOptions, windowingOf, wrongUnit } from '../scoring/windows/options.js';
import type { SideName } from './decision.js';
import { describeTokens, type Token } from './tokens.js';

/** The inputs of one item, as the scorer feeds them. */
export interface PreparedSide {
  readonly side: SideName;
  /** One row a value, by the names of the contract. */
  readonly inputs: ReadonlyMap<string, TensorValue>;
  /** Of its text, padding left out; null without a text. */
  readonly tokens: readonly Token[] | null;
  readonly truncated: boolean;
}

export interface PlaceOptions {
  /** As of `ScorerOptions`. */
  readonly mediaRoot?: string | null;
  readonly remote?: RemoteStore;
}

/** Of long items: how they are cut, and which window of each side is meant, from 0. */
export interface WindowPlaces {
  readonly cut: Windowing;
  readonly at: ReadonlyMap<SideName, number>;
  readonly signal?: AbortSignal;
}

/** Turns samples into model inputs, both sides of a pair. */
export class SamplePreparer {
  private constructor(
    private readonly contract: ScoringContract,
    private readonly preparer: Preparer,
    readonly tokenizer: TextTokenizer | null,
    private readonly places: PlaceOptions,
  ) {}

  static async open(
    contract: ScoringContract,
    tokenizerJson: string | null,
    places: PlaceOptions,
  ): Promise<SamplePreparer> {
    const { inputs } = contract;
    const addedTokens = inputs.flatMap(({ preprocess }) =>
      preprocess.kind === 'text' ? (preprocess.addedTokens ?? []) : [],
    );
    const tokenizer = tokenizerJson === null ? null : await openTokenizer(tokenizerJson, { addedTokens });
    return new SamplePreparer(contract, await openPreparer({ inputs, tokenizer: tokenizerJson }), tokenizer, places);
  }

  /**
   * How long items are cut.
   * @param name - of the model, for errors
   * @throws HpsError USAGE for a model that has no such windows, and as `windowingOf`
   */
  cut(windows: WindowOptions, name: string): Windowing {
    const { longestWindow } = this.preparer;
    const parsed = parseWindows(windows);
    const cut = windowingOf(parsed, longestWindow);
    if (cut) return cut;
    throw (
      wrongUnit(parsed, longestWindow, name) ??
      new HpsError('USAGE', `${name}: reads nothing of a length, and has no windows`, { hint: 'Leave `window` out.' })
    );
  }

  /**
   * @param windows - prepares these windows alone, each as the scorer prepares it
   * @throws HpsError as `HPSv3Scorer.scorePair`
   */
  async prepare(sample: Sample, windows?: WindowPlaces): Promise<PreparedSide[]> {
    const { context } = sample;
    const side = (name: SideName, item: ItemInput) => this.side(name, item, context, windows);
    if ('item' in sample) return [await side('item', sample.item)];
    return [await side('left', sample.left), await side('right', sample.right)];
  }

  private async side(
    side: SideName,
    item: ItemInput,
    context: string | undefined,
    windows: WindowPlaces | undefined,
  ): Promise<PreparedSide> {
    const { modality, inputs } = this.contract;
    const readsContext = inputs.some(readsTwoTexts);
    const resolved = await resolveItem(item, { modality, context, readsContext, ...this.places });
    try {
      const prepared = await (windows
        ? this.window(resolved.media, side, windows)
        : this.preparer.prepare(resolved.media));
      const padded = padText(prepared.inputs, inputs);
      return { side, inputs: padded, tokens: this.tokensOf(prepared, padded), truncated: prepared.truncated };
    } finally {
      resolved.release();
    }
  }

  /** One window of an item, which is read up to it. */
  private async window(media: MediaItem, side: SideName, { cut, at, signal }: WindowPlaces): Promise<PreparedItem> {
    const place = at.get(side)!;
    let seen = 0;
    for await (const window of this.preparer.windows(media, cut, signal)) if (seen++ === place) return window;
    throw new RangeError(`no window ${place} of ${seen}`);
  }

  private tokensOf({ tokens }: PreparedItem, inputs: ReadonlyMap<string, TensorValue>): Token[] | null {
    const text = this.contract.inputs.find(({ preprocess }) => preprocess.kind === 'text');
    if (!text || tokens === null || !this.tokenizer) return null;
    const ids = Array.from(inputs.get(text.name)!.data as BigInt64Array, Number);
    return describeTokens(ids.slice(0, tokens), this.tokenizer);
  }
}

const readsTwoTexts = ({ preprocess }: ContractInput): boolean =>
  preprocess.kind === 'text' && (preprocess.pair === true || preprocess.template?.kind === 'chat');
