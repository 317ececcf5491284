import { availableParallelism } from 'node:os';
import type { AuxScores, PairAuxScores } from '../data/rows.js';
import { HpsError } from '../errors.js';
import type { PreparedItem, Preparer } from '../media/preparer.js';
import { Turnstile } from '../media/turnstile.js';
import type { Span, Windowing } from '../media/windows.js';
import type { ValueInfo } from '../runtime/session.js';
import { floatsOf } from '../runtime/value.js';
import type { ForeignScore } from '../samples/contract.js';
import type { ResolvedItem } from '../samples/resolve.js';
import { meanClass } from './auxiliary.js';
import { encoderRows, padText, widthsOf } from './buckets.js';
import { FeatureCache, type Kept, KeptPromise } from './feature-cache.js';
import type { ScoringModel } from './model.js';
import type { CalibratedBy } from './result.js';
import { byteLength, type JoinedPlaces, JoinedRow, numberOf, ownRow, type Row, shapeKey } from './row.js';
import { Scheduler } from './scheduler.js';
import { type BatchTaken, Stage, type Ticket } from './stage.js';
import { weighted, weightedAux } from './windows/aggregate.js';

/** The inputs and outputs of a model, each with a row for each sample. */
export interface TensorInterface {
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
}

/** What the encoder makes of one item. */
export interface Encoded {
  readonly features: Row;
  readonly truncated: boolean;
}

/** An item in windows, each encoded as if it were an item. */
export interface EncodedWindows {
  readonly windows: readonly Encoded[];
  readonly spans: readonly Span[];
}

/** How an item is encoded in windows. */
export interface EncodeWindowsOptions {
  readonly windowing: Windowing;
  /** Computes, even what is kept. */
  readonly fresh?: boolean;
  /** Ends it between two windows. */
  readonly signal?: AbortSignal;
  /** Receives how many windows are read, of how many. */
  readonly onWindow?: (done: number, count: number) => void;
}

/** What the model says of one item alone. */
export interface Utility {
  readonly logit: number;
  /** tanh of the logit; the logit itself for a model that gives no utility. */
  readonly utility: number;
  /** What the model itself puts beside the utility, on a scale of its own; false where there is none. */
  readonly calibrated: number | false;
  readonly calibratedBy?: CalibratedBy;
  /** Standard deviation that the model itself gives the logit; absent for a model that gives none. */
  readonly sigma?: number;
  /** Absent for a model without auxiliary heads. */
  readonly aux?: AuxScores;
}

/** What the model says of two items. */
export interface Comparison {
  /** Log-odds that `left` is preferred. */
  readonly logit: number;
  /** Of the logits of both sides; absent for a model that gives none. */
  readonly sigmas?: readonly [number, number];
  /** Absent for a model without auxiliary heads. */
  readonly aux?: PairAuxScores;
}

/** What an engine is for, and who follows it. */
export interface EngineOptions {
  readonly batchSize: number;
  readonly adaptive?: boolean;
  /** Windows that may wait for the encoder at a time, of all items together. */
  readonly windowsAhead?: number;
  /** Receives how long each part of the work took. */
  readonly onWork?: (work: Work) => void;
}

/** One piece of work that is over: an item prepared, or a batch run. */
export type Work =
  | { readonly stage: 'decode'; readonly seconds: number }
  | ({ readonly stage: 'encode' | 'head' } & BatchTaken);

/** Items to features, each distinct one once, and features to decisions; both in batches. */
export class Engine {
  readonly scheduler = new Scheduler();
  private readonly encoder: Stage | null;
  private readonly head: Stage | null;
  private readonly cache = new FeatureCache<Encoding | KeptPromise<Encoded>>();
  private readonly windowCache = new FeatureCache<KeptPromise<EncodedWindows>>();
  /** Items that are decoded as streams at a time: each holds a program, and the windows that overlap. */
  private readonly streams = new Turnstile(availableParallelism());
  private readonly waiting: Turnstile;
  /** Padded length of a text. */
  private readonly widthOf: (tokens: number) => number;
  private readonly places: JoinedPlaces;
  /** Of the pair that was joined last: most have the same shapes. */
  private joined = { left: '', right: '', key: '' };

  constructor(
    private readonly model: ScoringModel,
    private readonly preparer: Preparer,
    private readonly options: EngineOptions,
  ) {
    const { batchSize, adaptive, onWork, windowsAhead = 2 * batchSize } = options;
    this.waiting = new Turnstile(windowsAhead);
    const { encoder, head, mixesRows, busyPositions } = model;
    const { inputs, mode } = model.contract;
    this.widthOf = widthsOf(inputs);
    const names = ['embedding', ...inputs.map(({ name }) => name)];
    this.places = new Map(
      (['left', 'right'] as const).flatMap((prefix, side) =>
        names.map((name) => [`${prefix}_${name}`, { side: side as 0 | 1, name }] as const),
      ),
    );
    const most = mixesRows ? 1 : batchSize;
    const rowsOf = (row: Row): number => encoderRows(row, inputs, { most, busyPositions });
    const of = (stage: 'encode' | 'head') => (taken: BatchTaken) => onWork?.({ stage, ...taken });
    const fixed = encoder && fixedRows(encoder.inputs[0].shape[0]);
    this.encoder =
      encoder &&
      new Stage(
        encoder,
        {
          rowsOf: fixed ? () => fixed : rowsOf,
          ...(mode === 'item' ? {} : { names: new Map(names.map((name) => [name, `left_${name}`])), gives: EMBEDDING }),
          adaptive: adaptive && !fixed,
          onBatch: of('encode'),
        },
        this.scheduler,
      );
    const lefts = inputs.map((input) => ({ ...input, name: `left_${input.name}` }));
    const headRows = (row: Row): number => (encoder ? most : encoderRows(row, lefts, { most, busyPositions }));
    this.head = head && new Stage(head, { rowsOf: headRows, adaptive, onBatch: of('head') }, this.scheduler);
  }

  /**
   * @param fresh - computes, even what is kept
   * @throws HpsError as `Preparer.prepare` and `Session.run`
   */
  async encode({ media, key }: ResolvedItem, fresh = false): Promise<Encoded> {
    // Without an encoder the features are the inputs themselves: large, and cheap to make again.
    if (!this.encoder) return this.inputsOf(media);
    if (fresh) return this.encodeMedia(media);
    const kept = this.cache.get(
      key,
      () => new KeptPromise(this.encodeMedia(media), ({ features }) => byteLength(features), ownEncoded),
    ) as KeptPromise<Encoded>;
    return kept.value;
  }

  /** Whether it has `encodeNow`: its items are texts, which go into a batch at once. */
  get encodesNow(): boolean {
    return this.encoder !== null && this.preparer.prepareNow !== undefined;
  }

  /**
   * As `encode`, of an engine that `encodesNow`: in as few steps as can be, for they take as long as a small model does.
   * @throws HpsError as `Preparer.prepare`
   */
  encodeNow({ media, key }: ResolvedItem, fresh = false): Encoding {
    const compute = (): Encoding => {
      const { inputs, truncated } = this.prepareNow(media);
      return new Encoding(this.encoder!.add(inputs), truncated);
    };
    return fresh ? compute() : (this.cache.get(key, compute) as Encoding);
  }

  private prepareNow(media: ResolvedItem['media']): PreparedItem {
    const start = performance.now();
    const prepared = this.preparer.prepareNow!(media, this.widthOf);
    this.options.onWork?.({ stage: 'decode', seconds: (performance.now() - start) / 1000 });
    return prepared;
  }

  /** What stands for the features of an item where there is no encoder. */
  private async inputsOf(media: ResolvedItem['media']): Promise<Encoded> {
    if (!this.preparer.prepareNow) return this.encodeMedia(media);
    const { inputs, truncated } = this.prepareNow(media);
    return { features: ownRow(inputs), truncated }; // the next text is written over this one
  }

  private async encodeMedia(media: ResolvedItem['media']): Promise<Encoded> {
    const start = performance.now();
    const prepared = await this.scheduler.during(() => this.preparer.prepare(media));
    this.options.onWork?.({ stage: 'decode', seconds: (performance.now() - start) / 1000 });
    return { features: await this.featuresOf(prepared), truncated: prepared.truncated };
  }

  /**
   * What the encoder makes of each window of an item, which is read as a stream.
   * @throws HpsError as `Preparer.windows` and `Session.run`; ONNX_UNSUPPORTED for a pair file that cannot be cut at its embeddings;
   *   the signal's reason when it aborts
   */
  async encodeWindows({ media, key }: ResolvedItem, options: EncodeWindowsOptions): Promise<EncodedWindows> {
    if (!this.encoder) {
      const { file } = this.model;
      throw new HpsError(
        'ONNX_UNSUPPORTED',
        `${file}: has no embeddings inside, so windows of long items would have to be kept whole`,
        {
          hint: 'Export the checkpoint with hpsv3, in mode item or pair.',
          details: { file },
        },
      );
    }
    const { windowing, fresh, signal } = options;
    const compute = () => this.streams.run(() => this.streamWindows(media, options));
    if (fresh) return compute();
    const shared = `${key} ${JSON.stringify(windowing)}`;
    for (;;) {
      try {
        const computed = () => compute().catch((error) => endOf(signal, error));
        return await this.windowCache.get(shared, () => new KeptPromise(computed(), windowBytes, ownWindows)).value;
      } catch (error) {
        if (!(error instanceof Left)) throw error;
        signal?.throwIfAborted(); // else somebody has left who asked for the same item before
      }
    }
  }

  private async streamWindows(
    media: ResolvedItem['media'],
    { windowing, signal, onWindow }: EncodeWindowsOptions,
  ): Promise<EncodedWindows> {
    signal?.throwIfAborted();
    const spans: Span[] = [];
    const encoded: Promise<Encoded>[] = [];
    const stream = this.preparer.windows(media, windowing, signal);
    let hasFailed = false;
    /** Whether there was a window. */
    const takeNext = async (): Promise<boolean> => {
      const leave = await this.waiting.enter();
      try {
        const start = performance.now();
        const { done, value } = await this.scheduler.during(() => stream.next());
        if (done) {
          leave();
          return false;
        }
        this.options.onWork?.({ stage: 'decode', seconds: (performance.now() - start) / 1000 });
        spans.push(value.span);
        onWindow?.(spans.length, value.count);
        const features = this.featuresOf(value).finally(leave);
        features.catch(() => (hasFailed = true)); // reported below
        encoded.push(features.then((row) => ({ features: row, truncated: value.truncated })));
        return true;
      } catch (error) {
        leave();
        throw error;
      }
    };
    try {
      while (!hasFailed && (await takeNext()));
      return { windows: await Promise.all(encoded), spans };
    } finally {
      for (const one of encoded) one.catch(() => undefined);
      await stream.return(undefined);
    }
  }

  async compare(left: Encoded, right: Encoded): Promise<Comparison> {
    if (!this.head) return this.difference(left, right);
    const ticket = this.head.add(this.join(left.features, right.features));
    await ticket.done;
    return comparisonOf(ticket.outputs);
  }

  /** Of a model without a head for pairs. */
  private difference(left: Encoded, right: Encoded): Comparison {
    const [ofLeft, ofRight] = [this.utilityOf(left), this.utilityOf(right)];
    const sigmas = ofLeft.sigma !== undefined && ofRight.sigma !== undefined;
    return {
      logit: finite(ofLeft.logit - ofRight.logit),
      ...(sigmas ? { sigmas: [ofLeft.sigma, ofRight.sigma] } : {}),
      ...(ofLeft.aux && ofRight.aux ? { aux: { left: ofLeft.aux, right: ofRight.aux } } : {}),
    };
  }

  async utility(item: Encoded): Promise<Utility> {
    if (!this.head) return this.utilityOf(item);
    const outputs = await this.head.run(this.join(item.features, item.features));
    const logit = finite(scalar(outputs, 'left_utility_logit'));
    // A pair head is trained with utilities between -1 and 1; other models give scores of any range, of which tanh says nothing.
    const isBounded = this.model.contract.decision === 'pair-head';
    return {
      logit,
      utility: isBounded ? Math.tanh(logit) : logit,
      calibrated: false,
      ...(outputs.has('left_sigma') ? { sigma: finite(scalar(outputs, 'left_sigma')) } : {}),
    };
  }

  /**
   * The utility of an item from those of its windows: its logit is their weighted mean, and what else there is follows from it as
   * from the logit of an item.
   */
  combine(utilities: readonly Utility[], weights: readonly number[]): Utility {
    if (utilities.length === 1) return utilities[0];
    const mean = (of: (utility: Utility) => number): number => weighted(utilities.map(of), weights);
    const logit = mean((one) => one.logit);
    const isUnbounded = utilities.every((one) => one.logit === one.utility);
    const isLinear = isUnbounded || this.model.contract.score?.range !== undefined;
    const [{ calibrated, calibratedBy, sigma }] = utilities;
    const aux = weightedAux(
      utilities.map((one) => one.aux),
      weights,
    );
    return {
      logit,
      utility: isLinear ? mean((one) => one.utility) : Math.tanh(logit),
      calibrated: calibrated === false ? false : mean((one) => one.calibrated as number),
      ...(calibratedBy ? { calibratedBy } : {}),
      ...(sigma === undefined ? {} : { sigma: mean((one) => one.sigma!) }), // as if it erred alike in all of them
      ...(aux ? { aux } : {}),
    };
  }

  /**
   * The pooled latents of an item.
   * @throws HpsError ONNX_UNSUPPORTED for a model that has none
   */
  embedding({ features }: Encoded): Float32Array {
    const value = features.get('embedding');
    if (value) return floatsOf(value).slice(); // whoever has it may keep it
    throw new HpsError('ONNX_UNSUPPORTED', `${this.model.file}: has no output embedding`, {
      hint: 'Embed with a model that hpsv3 exported in mode item or pair.',
      details: { file: this.model.file },
    });
  }

  /** Keeps half as much of items seen before. */
  halveCaches(): void {
    this.cache.halve();
    this.windowCache.halve();
  }

  async close(): Promise<void> {
    await Promise.all([this.preparer.close(), this.model.close()]);
  }

  /** What the model itself reads, of one row, and what it gives. */
  get tensors(): TensorInterface {
    const { encoder, head, contract } = this.model;
    const read = (encoder ?? head)!.inputs;
    const isSplit = encoder !== null && contract.mode !== 'item';
    const right = read.map((info) => ({ ...info, name: info.name.replace(/^left_/, 'right_') }));
    return { inputs: isSplit ? [...read, ...right] : read, outputs: (head ?? encoder)!.outputs };
  }

  /** What the model gives for a row of its own inputs, text padded as in every other row. */
  async runTensors(row: Row): Promise<Row> {
    if (!this.encoder) return this.head!.run(row);
    const { inputs, mode } = this.model.contract;
    if (mode === 'item') return this.encoder.run(padText(row, inputs));
    const sides = ['left_', 'right_'].map((side) =>
      this.encodeRow(padText(new Map(inputs.map(({ name }) => [name, row.get(`${side}${name}`)!])), inputs)),
    );
    const [left, right] = await Promise.all(sides);
    return this.head!.run(this.join(left, right));
  }

  private featuresOf({ inputs }: PreparedItem): Promise<Row> {
    return this.encodeRow(padText(inputs, this.model.contract.inputs));
  }

  /** @param row - padded */
  private encodeRow(row: Row): Promise<Row> {
    return this.encoder ? this.encoder.run(row) : Promise.resolve(row);
  }

  private join(left: Row, right: Row): Row {
    const { joined } = this;
    const [ofLeft, ofRight] = [shapeKey(left), shapeKey(right)];
    if (joined.left !== ofLeft || joined.right !== ofRight)
      this.joined = { left: ofLeft, right: ofRight, key: `${ofLeft}| ${ofRight}` };
    return new JoinedRow([left, right], this.places, this.joined.key);
  }

  private utilityOf({ features }: Encoded): Utility {
    const { score } = this.model.contract;
    if (score) return foreignUtility(features, score);
    const calibrated = features.get('calibrated');
    const logit = finite(scalar(features, 'utility_logit'));
    return {
      logit,
      utility: features.has('utility') ? finite(scalar(features, 'utility')) : logit,
      ...(calibrated
        ? { calibrated: finite(floatsOf(calibrated)[0]), calibratedBy: 'checkpoint' }
        : { calibrated: false }),
      ...(features.has('sigma') ? { sigma: finite(scalar(features, 'sigma')) } : {}),
      ...(this.model.auxiliary.length > 0 ? { aux: this.auxOf(features) } : {}),
    };
  }

  private auxOf(features: Row): AuxScores {
    return Object.fromEntries(
      this.model.auxiliary.map((head) => [head, finite(meanClass(floatsOf(features.get(head)!)))]),
    );
  }
}

/** Windows that nobody waits for any more. */
class Left extends Error {}

/** @throws Left where the signal says so, whatever came of it; else the error */
function endOf(signal: AbortSignal | undefined, error: unknown): never {
  throw signal?.aborted ? new Left() : error;
}

/** A model of another tool may have its batch size built in. */
const fixedRows = (dim: number | string): number | undefined => (typeof dim === 'number' && dim > 0 ? dim : undefined);

function foreignUtility(features: Row, { output, column, range }: ForeignScore): Utility {
  const logit = finite(scalar(features, output, column));
  if (!range) return { logit, utility: Math.tanh(logit), calibrated: false };
  const [low, high] = range;
  return { logit, utility: (2 * (logit - low)) / (high - low) - 1, calibrated: logit, calibratedBy: 'contract' };
}

function scalar(row: Row, output: string, column = 0): number {
  const number = numberOf(row, output, column);
  if (number !== undefined) return number;
  throw new HpsError('ONNX_UNSUPPORTED', `the model has no output ${output} with a column ${column} for each row`, {
    hint: 'See its outputs with `hpsv3 inspect`; a contract names one of them.',
    details: { output, column, outputs: [...row.keys()] },
  });
}

function finite(value: number): number {
  if (Number.isFinite(value)) return value;
  throw new HpsError('SCORE_NONFINITE', `the model gives ${value}`, {
    hint: 'Verify the model with `hpsv3 verify`; a float16 file may overflow on this input.',
  });
}

/** What the encoder of a pair file, which is its left side, gives. */
const EMBEDDING: ReadonlyMap<string, string> = new Map([['left_embedding', 'embedding']]);

function comparisonOf(outputs: Row): Comparison {
  const logit = finite(scalar(outputs, 'pair_logit'));
  if (!outputs.has('left_sigma')) return { logit };
  const sigma = (side: string): number => finite(scalar(outputs, `${side}_sigma`));
  return { logit, sigmas: [sigma('left'), sigma('right')] };
}

/** What the encoder makes of a text, once its batch has run. */
export class Encoding implements Kept {
  private isShared = false;
  private made: Encoded | undefined;

  constructor(
    /** Let go with its batch where the features have memory of their own. */
    private ticket: Ticket | null,
    private readonly truncated: boolean,
  ) {}

  /** Resolves when it is there, or has failed. */
  get done(): Promise<void> {
    return this.ticket?.done ?? DONE;
  }

  /** @throws HpsError as `Session.run` */
  get encoded(): Encoded {
    if (this.made) return this.made;
    const encoded = { features: this.ticket!.outputs, truncated: this.truncated };
    if (!this.isShared) return encoded;
    this.made = ownEncoded(encoded);
    this.ticket = null;
    return this.made;
  }

  get bytes(): number | null | undefined {
    if (this.ticket?.isDone === false) return undefined;
    try {
      return byteLength(this.encoded.features);
    } catch {
      return null;
    }
  }

  share(): void {
    this.isShared = true;
  }
}

const DONE = Promise.resolve();

/** The same with memory of its own. */
const ownEncoded = ({ features, truncated }: Encoded): Encoded => ({ features: ownRow(features), truncated });

const ownWindows = ({ windows, spans }: EncodedWindows): EncodedWindows => ({
  windows: windows.map(ownEncoded),
  spans,
});

const windowBytes = ({ windows }: EncodedWindows): number =>
  windows.reduce((sum, { features }) => sum + byteLength(features), 0);
