import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Auxiliary, AuxScores, Percentile } from '../data/rows.js';
import type { WindowRule } from '../data/score-windows.js';
import { HpsError } from '../errors.js';
import type { RemoteOptions, RemoteStore } from '../media/remote/store.js';
import type { Windowing } from '../media/windows.js';
import type { ContractInput } from '../onnx/manifest.js';
import type { OptimizationLevel } from '../runtime/session.js';
import type { ContractFile, ScoringContract } from '../samples/contract.js';
import {
  type ItemInput,
  type ResolvedItem,
  type ResolveOptions,
  resolveItem,
  resolveText,
} from '../samples/resolve.js';
import type { RowGroups, ScoringCalibrator } from './calibration.js';
import type {
  Comparison,
  Encoded,
  EncodedWindows,
  Encoding,
  Engine,
  TensorInterface,
  Utility,
  Work,
} from './engine.js';
import { type InOrderOptions, inOrder, manyInOrder } from './in-order.js';
import { type Mark, marksOf } from './marks.js';
import type { RuntimeInfo, ScoringModel } from './model.js';
import type { ScorerParts } from './open-scorer.js';
import { type ItemScore, type PairScore, pairScore, type Score, type ScoreFacts, withFacts } from './result.js';
import type { Row } from './row.js';
import { curveOf, meetings, weighted, weightedPairAux, weightsOf } from './windows/aggregate.js';
import { ruleOf, type WindowOptions } from './windows/options.js';

export interface ScorerOptions {
  /** `cpu` (the default), `webgpu`, `cuda`, `cuda:1`, or `auto`. */
  readonly device?: string;
  /**
   * Most rows of a batch, 1 by default: a batch that is not full is filled up, so that no score depends on its neighbours, and a
   * single score then costs as much as a whole batch. Raise it for `scoreBatch`. Where fewer rows of a shape keep the processor as
   * busy, batches of that shape have fewer.
   */
  readonly batchSize?: number;
  /**
   * Runs what there is as soon as there is room, and a batch that is not full in the smallest size that was seen to give the same bits
   * as a full one, on this machine and for rows of its shape: for samples that come one at a time from several sides. It changes no
   * score.
   */
  readonly adaptive?: boolean;
  /**
   * Most batches that are computed side by side, each in a session of its own with a copy of the weights; the cores by default.
   * Scores do not depend on it.
   */
  readonly threads?: number;
  /** Bytes of memory to keep to: of sessions side by side no more are opened than have room in half of it. It changes no score. */
  readonly maxMemory?: number;
  /** `all` by default. */
  readonly optimization?: OptimizationLevel;
  /**
   * Runs a model that does not fit into memory in segments of so many bytes of weights: each is loaded, run on a batch and let go, so
   * that every batch reads all weights. Without it such a model is refused.
   */
  readonly segmentBytes?: number;
  /** Path of a calibrator file, instead of the calibrator the model carries. */
  readonly calibrator?: string;
  /** Answers `undecided` for pairs under the margin that the calibrator was fitted to keep a risk by. */
  readonly abstain?: boolean;
  /** Conditions on what auxiliary heads say, as `toxicity>0.5`: results have those that hold as `marks`. */
  readonly marks?: readonly string[];
  /**
   * Scores video, sound and text of any length in windows, of which the model reads one at a time. Without it what is longer than the
   * model reads is refused, or of a text cut off.
   */
  readonly windows?: WindowOptions;
  /** Windows are meant for whichever of several models takes their unit: of the others items are scored whole, which is said. */
  readonly isOneOfSeveral?: boolean;
  /** Receives how many windows of an item are read, of how many; what it throws ends the item. */
  readonly onWindow?: (done: number, count: number) => void;
  /** What the inputs of a model without manifest mean: the content of a contract file. */
  readonly contract?: ContractFile;
  /** Paths of items are taken from here and must not lead out of it; without it they are the caller's own; null refuses them all. */
  readonly mediaRoot?: string | null;
  /** Holds files that were read before their turn: `batch` with `preload`. */
  readonly ahead?: { contentOf(name: string): Uint8Array | undefined };
  /** Hosts and buckets from which `https://` and `s3://` addresses in items are fetched; without it they are refused. */
  readonly remote?: RemoteOptions | RemoteStore;
  /** Receives what is worth knowing, one sentence each: a device that is missing, a model without calibrator. */
  readonly onWarning?: (warning: string) => void;
  /** Receives how long each part of the work took, for metrics. */
  readonly onWork?: (work: Work) => void;
}

export interface ScoreOptions extends RowGroups {
  /** Text of the item, where the model reads text beside another part. */
  readonly context?: string;
  /** Computes the score anew, though its items may have been seen before: for checks of the machine itself. */
  readonly fresh?: boolean;
  /** Ends an item in windows between two of them; what is scored whole is soon over. */
  readonly signal?: AbortSignal;
}

/** Two items of one prompt. */
export interface PairSample extends ScoreOptions {
  readonly left: ItemInput;
  readonly right: ItemInput;
}

/** One item. */
export interface ItemSample extends ScoreOptions {
  readonly item: ItemInput;
}

export type Sample = PairSample | ItemSample;

/** What an encoder makes of one item. */
export interface Latents {
  readonly embedding: Float32Array;
  /** Present where the end of a text was left out. */
  readonly truncated?: true;
}

/** What came of one sample of many: a score, or why there is none. */
export type Outcome<S, T = Score> =
  | { readonly sample: S; readonly result: T; readonly error?: undefined }
  | { readonly sample: S; readonly result?: undefined; readonly error: HpsError };

const MAX_BATCH_SIZE = 4096;

/**
 * Scores images, texts, recordings and clips with a model that `hpsv3 export` wrote. Inference and decoding run in threads
 * of their own; the event loop stays free.
 *
 * A score depends on its own sample alone: not on the batch, the order or the neighbours.
 *
 * @example
 * const scorer = await HPSv3Scorer.load('model.onnx', { device: 'auto' });
 * const { winner, score } = await scorer.scorePair({ left: 'a.jpg', right: 'b.jpg', context: 'a red fox' });
 * await scorer.close();
 */
export class HPSv3Scorer {
  private readonly model: ScoringModel;
  private readonly engine: Engine;
  private readonly calibrator: ScoringCalibrator | null;
  private readonly margin: number | null;
  private readonly marks: readonly Mark[];
  private readonly places: Pick<ResolveOptions, 'mediaRoot' | 'remote' | 'ahead'>;
  private readonly ownRemote: RemoteStore | null;
  private readonly windowing: ScorerParts['windowing'];
  private readonly readsContext: boolean;
  /** Whether its items are texts that go into a batch without a wait. */
  private readonly encodesNow: boolean;
  private readonly onWarning: ScorerOptions['onWarning'];
  private readonly onWindow: ScorerOptions['onWindow'];
  private toldOfFileName = false;
  /** Samples that may be under way at once: what fills its batches, and no more than the memory for them holds. */
  get window(): number {
    return this.windowRows;
  }

  private windowRows: number;
  /** A batch that is not full is filled up: fewer rows would take as much. */
  private readonly leastWindow: number;
  /** Hash of how media become inputs; scores with different ones are not comparable. */
  readonly preprocessingSha256: string;

  private constructor(parts: ScorerParts, { batchSize = 1, mediaRoot, ahead, onWarning, onWindow }: ScorerOptions) {
    this.onWarning = onWarning;
    this.onWindow = onWindow;
    this.windowing = parts.windowing;
    this.model = parts.model;
    this.readsContext = parts.model.contract.inputs.some(readsTwoTexts);
    this.engine = parts.engine;
    this.encodesNow = parts.model.contract.modality === 'text' && parts.engine.encodesNow;
    this.calibrator = parts.calibrator;
    this.margin = parts.margin;
    this.marks = parts.marks;
    this.places = { mediaRoot, remote: parts.remote, ahead };
    this.ownRemote = parts.ownRemote;
    this.windowRows = parts.window;
    this.leastWindow = Math.min(parts.window, batchSize);
    this.preprocessingSha256 = parts.preprocessingSha256;
  }

  /**
   * @throws HpsError FILE_NOT_FOUND, ONNX_CORRUPT, ONNX_UNSAFE or ONNX_UNSUPPORTED for the model; BACKEND_UNAVAILABLE for a
   *   device that is not there; CONFIG_INVALID for a contract; MODELS_INCOMPARABLE for a calibrator of another decision; USAGE for
   *   `abstain` without a calibrator that says when, and for marks of heads that the model lacks
   */
  static async load(path: string, options: ScorerOptions = {}): Promise<HPSv3Scorer> {
    const { batchSize = 1 } = options;
    if (!(Number.isInteger(batchSize) && batchSize >= 1 && batchSize <= MAX_BATCH_SIZE)) {
      throw new RangeError(`batchSize must be an integer from 1 to ${MAX_BATCH_SIZE}, not ${batchSize}`);
    }
    const { openScorer } = await import('./open-scorer.js'); // reading models takes most of the code: only where one is opened
    const parts = await openScorer(path, { ...options, batchSize });
    return new HPSv3Scorer(parts, options);
  }

  /** sha256 of the model file. */
  get sha256(): string {
    return this.model.sha256;
  }

  get modality(): ScoringContract['modality'] {
    return this.model.contract.modality;
  }

  /** What pairs are decided by. */
  get decision(): ScoringContract['decision'] {
    return this.model.contract.decision;
  }

  /** Whether pairs under the calibrator's margin are left undecided. */
  get abstains(): boolean {
    return this.margin !== null;
  }

  /** The auxiliary heads that its results have scores of. */
  get auxiliary(): readonly Auxiliary[] {
    return this.model.auxiliary;
  }

  /** The conditions that results are marked by. */
  get markedBy(): readonly string[] {
    return this.marks.map(({ text }) => text);
  }

  /** What decides the digits of its scores beside the model and the samples. */
  get runtime(): RuntimeInfo {
    return this.model.runtime;
  }

  /** Sessions that run side by side now; there are more once there is work for them. */
  get sessions(): number {
    return (this.model.encoder ?? this.model.head)!.sessions;
  }

  /** Tasks that the calibrator has curves for; null where it has the same for all. */
  get tasks(): readonly string[] | null {
    return this.calibrator?.tasks ?? null;
  }

  /** How its items are cut, as `windows` of its scores has it; null where they are scored whole. */
  get windowRule(): Pick<WindowRule, 'window' | 'stride' | 'aggregate' | 'sharpness'> | null {
    if (!this.windowing) return null;
    const { unit: _, ...rule } = ruleOf(this.windowing.cut, this.windowing.aggregation);
    return rule;
  }

  /** sha256 of the calibrator file; null without one. */
  get calibratorSha256(): string | null {
    return this.calibrator?.sha256 ?? null;
  }

  /**
   * Which of two items is preferred, and how surely.
   * @throws HpsError MEDIA_INVALID, DATA_INVALID, FILE_NOT_FOUND or FILE_UNREADABLE for an item; REMOTE_REFUSED,
   *   REMOTE_FAILED, ACCESS_DENIED or CREDENTIALS_INVALID for one that is fetched; BACKEND_UNAVAILABLE where nothing decodes
   *   its video; SCORE_NONFINITE
   */
  async scorePair(sample: PairSample): Promise<PairScore> {
    if (this.windowing) return this.scorePairInWindows(sample, this.windowing);
    const sides = this.encodesNow ? await this.encodeTexts(sample) : await this.encodeSides(sample);
    return this.pairScore(await this.engine.compare(sides[0], sides[1]), sides, sample);
  }

  /** Where both sides fail it is the left one that is reported, whichever fails first. */
  private async encodeSides(sample: PairSample): Promise<Sides> {
    const right = this.encode(sample.right, sample);
    right.catch(() => undefined);
    return [await this.encode(sample.left, sample), await right];
  }

  private async encodeTexts(sample: PairSample): Promise<Sides> {
    const left = this.encodeNow(sample.left, sample);
    const right = this.encodeNow(sample.right, sample);
    await left.done;
    await right.done;
    return [left.encoded, right.encoded];
  }

  /** @param moments - what auxiliary heads say of parts of both items, which are marked as the whole is */
  private pairScore(
    compared: Comparison,
    encoded: readonly Encoded[],
    sample: PairSample,
    moments: readonly AuxScores[] = [],
  ): PairScore {
    const calibrated = this.calibrator?.apply('pair', compared.logit, sample) ?? null;
    const items = compared.aux ? [compared.aux.left, compared.aux.right] : [];
    const percentile = this.calibrator?.place('pair', compared.logit);
    const facts = this.facts(encoded, [...items, ...moments], sample, percentile);
    return pairScore(compared, calibrated, facts, this.margin);
  }

  /**
   * How good one item is on its own.
   * @throws HpsError as `scorePair`
   */
  async score(item: ItemInput, options: ScoreOptions = {}): Promise<ItemScore> {
    if (this.windowing) return this.scoreInWindows(item, options, this.windowing);
    const encoded = await this.encode(item, options);
    return this.itemScore(await this.engine.utility(encoded), [encoded], options);
  }

  /** @param moments - as in `pairScore` */
  private itemScore(
    utility: Utility,
    encoded: readonly Encoded[],
    options: ScoreOptions,
    moments: readonly AuxScores[] = [],
  ): ItemScore {
    const { logit, utility: score, sigma, aux, ...stated } = utility;
    const applied = this.calibrator?.apply('absolute', logit, options);
    const calibrated = applied ? ({ calibrated: applied.value, calibratedBy: 'calibrator' } as const) : stated;
    const spread = sigma === undefined ? {} : { mu: logit, sigma };
    const percentile = this.calibrator?.place('absolute', logit);
    const items = aux ? [aux, ...moments] : [];
    const own = { score, logit, ...calibrated, ...(percentile && { percentile }), ...spread, ...(aux && { aux }) };
    return withFacts(own, this.facts(encoded, items, options));
  }

  private async scoreInWindows(item: ItemInput, options: ScoreOptions, windowing: Windows): Promise<ItemScore> {
    const read = await this.read(item, options, windowing);
    const whole = this.engine.combine(read.utilities, read.weights);
    const score = this.itemScore(whole, read.windows, options, momentsOf(read));
    const interval = await this.interval(read.logits, read.weights, windowing);
    return { ...score, windows: { ...ruleOf(windowing.cut, windowing.aggregation), ...curveOf(read.curve), interval } };
  }

  private async scorePairInWindows(sample: PairSample, windowing: Windows): Promise<PairScore> {
    const rightRead = this.read(sample.right, sample, windowing);
    rightRead.catch(() => undefined); // as in `scorePair`
    const [left, right] = [await this.read(sample.left, sample, windowing), await rightRead];
    const met = meetings(left.weights, right.weights);
    const compared = await Promise.all(
      met.map((each) => this.engine.compare(left.windows[each.left], right.windows[each.right])),
    );
    const logits = compared.map(({ logit }) => logit);
    const weights = met.map(({ weight }) => weight);
    const logit = weighted(logits, weights);
    const isSpread = compared.every(({ sigmas }) => sigmas !== undefined);
    const sigma = (side: 0 | 1): number =>
      weighted(
        compared.map(({ sigmas }) => sigmas![side]),
        weights,
      );
    const aux = weightedPairAux(
      compared.map((each) => each.aux),
      weights,
    );
    const spread = isSpread ? { sigmas: [sigma(0), sigma(1)] as const } : {};
    const score = this.pairScore(
      { logit, ...spread, ...(aux && { aux }) },
      [...left.windows, ...right.windows],
      sample,
      [...momentsOf(left), ...momentsOf(right)],
    );
    const interval = await this.interval(logits, weights, windowing);
    const curves = { left: curveOf(left.curve), right: curveOf(right.curve) };
    return { ...score, windows: { ...ruleOf(windowing.cut, windowing.aggregation), ...curves, interval } };
  }

  /** The windows of an item, what the model says of each, and how much each counts. */
  private async read(item: ItemInput, options: ScoreOptions, { cut, aggregation }: Windows) {
    const { windows, spans } = await this.encodeWindows(item, options, cut);
    const utilities = await Promise.all(windows.map((window) => this.engine.utility(window)));
    const logits = utilities.map(({ logit }) => logit);
    const curve = spans.map(({ start, end }, i) => ({ start: rounded(start), end: rounded(end), logit: logits[i] }));
    return { windows, utilities, logits, curve, weights: weightsOf(aggregation, logits) };
  }

  private async interval(logits: readonly number[], weights: readonly number[], { cut, aggregation }: Windows) {
    // The others hang on single windows, of which nothing shows how they might have been.
    if (aggregation.aggregate !== 'mean') return null;
    const { intervalOf } = await import('./windows/interval.js'); // statistics that nothing else here needs
    return intervalOf(logits, weights, Math.ceil(cut.window / cut.stride));
  }

  /**
   * Scores of many samples, in their order. It reads no further ahead than its memory allows, whatever their number.
   * A sample that cannot be scored has an `error`; what concerns the model itself is thrown.
   */
  scoreBatch<S extends Sample>(samples: AsyncIterable<S> | Iterable<S>): AsyncGenerator<Outcome<S>> {
    return HPSv3Scorer.each([this], samples, (sample) => this.scoreSample(sample));
  }

  /** A pair or an item, as `scorePair` and `score`. */
  scoreSample(sample: Sample): Promise<Score> {
    return 'item' in sample ? this.score(sample.item, sample) : this.scorePair(sample);
  }

  /** The pooled latents of many items, in their order; errors as in `scoreBatch`. */
  embed<S extends ItemSample>(samples: AsyncIterable<S> | Iterable<S>): AsyncGenerator<Outcome<S, Float32Array>> {
    return HPSv3Scorer.each([this], samples, (sample) => this.embedSample(sample));
  }

  /** As `latentsOf`, the embedding alone. */
  async embedSample(sample: ItemSample): Promise<Float32Array> {
    return (await this.latentsOf(sample)).embedding;
  }

  /**
   * The pooled latents of one item; of one in windows their weighted mean.
   * @throws HpsError as `scorePair`; ONNX_UNSUPPORTED for a model that has none
   */
  async latentsOf(sample: ItemSample): Promise<Latents> {
    if (!this.windowing) {
      const encoded = await this.encode(sample.item, sample);
      return { embedding: this.engine.embedding(encoded), ...endLeftOut([encoded]) };
    }
    const { windows, weights } = await this.read(sample.item, sample, this.windowing);
    const embeddings = windows.map((window) => this.engine.embedding(window));
    const embedding = embeddings[0].map((_, at) =>
      weighted(
        embeddings.map((each) => each[at]),
        weights,
      ),
    );
    return { embedding, ...endLeftOut(windows) };
  }

  /** The model's own inputs and outputs: for programs that prepare media themselves. */
  get tensors(): TensorInterface {
    return this.engine.tensors;
  }

  /**
   * What the model gives for one row of its own inputs, [1, …] each; computed in the same batches as scores, and so to the same bits.
   * @param row - one value for each of `tensors.inputs`, of its dtype and a shape that fits
   */
  runTensors(row: Row): Promise<Row> {
    return this.engine.runTensors(row);
  }

  /**
   * What `scoreBatch` and `embed` do, with samples that may go to different scorers.
   * @param scorers - all that `compute` may use
   */
  static each<S, T>(
    scorers: readonly HPSv3Scorer[],
    samples: AsyncIterable<S> | Iterable<S>,
    compute: (sample: S) => Promise<T>,
  ): AsyncGenerator<Outcome<S, T>> {
    return inOrder(samples, HPSv3Scorer.orderOf(scorers, compute));
  }

  /** As `each`, of samples that come several at a time; so do the outcomes, those that are there. */
  static eachOfMany<S, T>(
    scorers: readonly HPSv3Scorer[],
    samples: AsyncIterable<readonly S[]>,
    compute: (sample: S) => Promise<T>,
  ): AsyncGenerator<Outcome<S, T>[]> {
    return manyInOrder(samples, HPSv3Scorer.orderOf(scorers, compute));
  }

  private static orderOf<S, T>(
    scorers: readonly HPSv3Scorer[],
    compute: (sample: S) => Promise<T>,
  ): InOrderOptions<S, T, Outcome<S, T>> {
    return {
      get limit() {
        return Math.max(...scorers.map((scorer) => scorer.window));
      },
      schedulers: scorers.map(({ engine }) => engine.scheduler),
      work: compute,
      succeeded: (sample, result) => ({ sample, result }),
      failed: (sample, error) => (isOfSample(error) ? { sample, error } : undefined),
    };
  }

  /**
   * Lets half as many samples be under way at once, if they still fill a batch, and keeps half as much of items seen before: where
   * memory runs short. It changes no score.
   * @returns `window`
   */
  halveWindow(): number {
    this.windowRows = Math.max(this.leastWindow, Math.floor(this.windowRows / 2));
    this.engine.halveCaches();
    return this.windowRows;
  }

  /** Ends the threads and frees the model. */
  async close(): Promise<void> {
    await Promise.all([this.engine.close(), this.ownRemote?.close()]);
  }

  private async encode(item: ItemInput, options: ScoreOptions): Promise<Encoded> {
    if (!this.encodesNow) return this.withResolved(item, options, (one) => this.engine.encode(one, options.fresh));
    const encoding = this.encodeNow(item, options);
    await encoding.done;
    return encoding.encoded;
  }

  private encodeNow(item: ItemInput, options: ScoreOptions): Encoding {
    return this.engine.encodeNow(this.resolvedText(item, options), options.fresh);
  }

  private encodeWindows(item: ItemInput, options: ScoreOptions, windowing: Windowing): Promise<EncodedWindows> {
    const { onWindow } = this;
    const { fresh, signal } = options;
    return this.withResolved(item, options, (resolved) =>
      this.engine.encodeWindows(resolved, { windowing, fresh, signal, onWindow }),
    );
  }

  /** Gives `use` the content of an item, and lets it go afterwards. */
  private async withResolved<T>(
    item: ItemInput,
    { context }: ScoreOptions,
    use: (resolved: ResolvedItem) => Promise<T>,
  ): Promise<T> {
    const { modality, places, engine, readsContext } = this;
    const resolved =
      modality === 'text'
        ? this.resolvedText(item, { context })
        : await engine.scheduler.during(() => resolveItem(item, { modality, context, readsContext, ...places }));
    try {
      return await use(resolved);
    } finally {
      resolved.release();
    }
  }

  /** A text, which nothing has to be fetched for. */
  private resolvedText(item: ItemInput, { context }: ScoreOptions): ResolvedItem {
    this.tellOfFileName(item);
    return resolveText(item, { context, readsContext: this.readsContext });
  }

  /** Says once that a text is the name of a file: somebody may have meant what is in it. */
  private tellOfFileName(item: ItemInput): void {
    const text = typeof item === 'string' ? item : item.text;
    const { mediaRoot } = this.places;
    if (this.toldOfFileName || mediaRoot === null) return;
    if (
      text === undefined ||
      text.length > LONGEST_FILE_NAME ||
      !FILE_NAME.test(text) ||
      !existsSync(resolve(mediaRoot ?? '.', text))
    )
      return;
    this.toldOfFileName = true;
    this.onWarning?.(`"${text}" is the name of a file, and is scored as a text: the model reads no files.`);
  }

  private facts(
    encoded: readonly Encoded[],
    aux: readonly AuxScores[],
    { task }: RowGroups,
    percentile?: Percentile,
  ): ScoreFacts {
    const marks = this.marks.length === 0 ? [] : marksOf(this.marks, aux);
    return {
      percentile,
      model: this.model.sha256,
      task,
      marks: marks.length > 0 ? marks : undefined,
      truncated: isCut(encoded) || undefined,
    };
  }
}

type Sides = readonly [Encoded, Encoded];

type Windows = NonNullable<ScorerParts['windowing']>;

const isCut = (encoded: readonly Encoded[]): boolean => encoded.some(({ truncated }) => truncated);

const endLeftOut = (encoded: readonly Encoded[]): Pick<Latents, 'truncated'> =>
  isCut(encoded) ? { truncated: true } : {};

/** A mean may hide what one window shows. */
const momentsOf = ({ utilities }: { readonly utilities: readonly Utility[] }): AuxScores[] =>
  utilities.flatMap(({ aux }) => aux ?? []);

/** Times to the microsecond: sums of strides are no longer. */
const rounded = (place: number): number => Number(place.toFixed(6));

/** In one line, with an ending. */
const FILE_NAME = /^[^\0\n]+\.[A-Za-z0-9]{2,5}$/;
const LONGEST_FILE_NAME = 206;

const readsTwoTexts = ({ preprocess }: ContractInput): boolean =>
  preprocess.kind === 'text' && (preprocess.pair === true || preprocess.template?.kind === 'chat');

/** Failures of one sample; any other concerns the model or the machine, and with it every sample. */
const OF_SAMPLE: ReadonlySet<string> = new Set([
  'ACCESS_DENIED',
  'BACKEND_UNAVAILABLE',
  'DATA_INVALID',
  'FILE_NOT_FOUND',
  'FILE_UNREADABLE',
  'INPUTS_INVALID',
  'MEDIA_INVALID',
  'REMOTE_FAILED',
  'REMOTE_REFUSED',
  'SCORE_NONFINITE',
]);

const isOfSample = (error: unknown): error is HpsError => error instanceof HpsError && OF_SAMPLE.has(error.code);
