import { Random } from '../../bytes/random.js';
import { AUXILIARY, type Auxiliary } from '../../data/rows.js';
import type { ContractInput } from '../../onnx/manifest.js';
import { isTextual } from '../../onnx/manifest-names.js';
import { float32Value, type TensorValue } from '../../runtime/value.js';
import { BRANCHES, MASK, MIXING } from '../graph/loss-model.js';
import { TARGETS } from '../graph/losses.js';
import { dropRates } from '../graph/residual.js';
import type { TrainingConfig } from './config.js';
import { StratifiedCycle } from './cycle.js';
import type { AbsoluteExample, BatchShape, PairExample, StreamData, TrainingItem } from './dataset.js';
import { type Unpacker, unpackerOf } from './packed.js';

/** Data inputs of a batch of items, filled row by row. The arrays are used again for every batch. */
export class ItemBatch {
  readonly feeds = new Map<string, TensorValue>();
  private readonly writers: ((item: TrainingItem, row: number) => void)[] = [];

  constructor(
    inputs: readonly ContractInput[],
    readonly rows: number,
    { tokens, samples }: BatchShape,
  ) {
    const textInput = inputs.find(({ preprocess }) => preprocess.kind === 'text');
    for (const { name, shape, preprocess } of inputs) {
      if (isTextual(preprocess.kind)) {
        const data = new BigInt64Array(rows * tokens);
        this.feeds.set(name, { dtype: 'I64', shape: [rows, tokens], data });
        const pad = preprocess.kind === 'text' ? BigInt(preprocess.pad) : 0n;
        this.writers.push((item, row) => {
          const isMask = preprocess.kind === 'text-mask';
          const values = item.packed.get(isMask ? textInput!.name : name)!;
          for (let i = 0; i < tokens; i++) {
            data[row * tokens + i] = i >= values.length ? pad : isMask ? 1n : BigInt(values[i]);
          }
        });
      } else {
        const tail = preprocess.kind === 'audio' ? [samples] : (shape.slice(1) as number[]);
        const length = tail.reduce((a, b) => a * b, 1);
        const data = new Float32Array(rows * length);
        const unpacker: Unpacker = unpackerOf(preprocess);
        this.feeds.set(name, float32Value([rows, ...tail], data));
        this.writers.push((item, row) => unpacker.unpack(item.packed.get(name)!, data, row, length));
      }
    }
  }

  set(row: number, item: TrainingItem): void {
    for (const write of this.writers) write(item, row);
  }
}

export interface BatchOptions {
  readonly config: TrainingConfig;
  readonly seed: number;
  /** Pairs of a batch. */
  readonly pairs: number;
  /** Length of an embedding. */
  readonly width: number;
  /** Residual branches that may be left out. */
  readonly branches: number;
  /** Classes of each auxiliary head the model has, and the weight of each class. */
  readonly classWeights: ReadonlyMap<Auxiliary, Float32Array>;
  readonly items: readonly TrainingItem[];
  readonly inputs: readonly ContractInput[];
  /** Token id that stands for a hidden token; null where the model reads no text. */
  readonly maskToken: number | null;
}

/**
 * Batches of one stream: pairs, and scored items two to a pair's place. The t-th batch depends on the seed and t alone:
 * examples, sides, masks and mixing are all drawn from them.
 */
export class BatchSource {
  readonly feeds: ReadonlyMap<string, TensorValue>;
  private readonly batch: ItemBatch;
  private readonly pairCycle: StratifiedCycle | null;
  private readonly absoluteCycle: StratifiedCycle | null;
  private readonly absolutePlaces: number;
  private readonly pairTarget: Float32Array;
  private readonly score: Float32Array;
  private readonly scoreWeight: Float32Array;
  private readonly classTargets: ReadonlyMap<Auxiliary, Float32Array>;
  private readonly mixing: Float32Array | null;
  private readonly mask: Float32Array | null;
  private readonly branches: Float32Array | null;

  constructor(
    private readonly stream: StreamData,
    private readonly options: BatchOptions,
  ) {
    const { pairs, config, seed, width } = options;
    const { modality, shape } = stream;
    const label = `${seed}/${modality}/${shape.tokens}/${shape.samples}`;
    const cycle = (name: string, examples: readonly { readonly stratum: string }[]): StratifiedCycle | null =>
      examples.length === 0
        ? null
        : new StratifiedCycle(
            examples.map(({ stratum }) => stratum),
            `${name}/${label}`,
          );
    this.pairCycle = cycle('pairs', stream.pairs);
    this.absoluteCycle = cycle('absolutes', stream.absolutes);
    this.absolutePlaces = this.placesOfAbsolutes();
    this.batch = new ItemBatch(options.inputs, 2 * pairs, shape);
    const feeds = new Map(this.batch.feeds);
    const own = (name: string, dims: number[]): Float32Array => {
      const data = new Float32Array(dims.reduce((a, b) => a * b, 1));
      feeds.set(name, float32Value(dims, data));
      return data;
    };
    this.pairTarget = own(TARGETS.pair, [pairs, 3]);
    this.score = own(TARGETS.score, [2 * pairs]);
    this.scoreWeight = own(TARGETS.scoreWeight, [2 * pairs]);
    this.classTargets = new Map(
      Array.from(options.classWeights, ([name, weights]) => [
        name,
        own(TARGETS.class(name), [2 * pairs, weights.length]),
      ]),
    );
    this.mixing = config.mixup > 0 ? own(MIXING, [2 * pairs, 2 * pairs]) : null;
    this.mask = config.dropout > 0 ? own(MASK, [2 * pairs, width]) : null;
    this.branches = options.branches > 0 ? own(BRANCHES, [options.branches]) : null;
    this.feeds = feeds;
  }

  private placesOfAbsolutes(): number {
    const { pairs, config } = this.options;
    if (!this.absoluteCycle) return 0;
    if (!this.pairCycle) return pairs;
    return Math.min(pairs - 1, Math.round(pairs * config.absolute_share));
  }

  /** Fills the feeds with the t-th batch, t from 0. */
  fill(turn: number): void {
    const { pairs, seed } = this.options;
    const { modality, shape } = this.stream;
    const random = new Random(`batch/${seed}/${modality}/${shape.tokens}/${shape.samples}/${turn}`);
    for (const target of [this.pairTarget, this.score, this.scoreWeight, ...this.classTargets.values()]) target.fill(0);
    const pairPlaces = pairs - this.absolutePlaces;
    for (let place = 0; place < pairPlaces; place++) {
      const example = this.stream.pairs[this.pairCycle!.at(turn * pairPlaces + place)];
      this.placePair(place, example, 1 / pairPlaces, random);
    }
    const first = 2 * this.absolutePlaces * turn;
    for (let i = 0; i < 2 * this.absolutePlaces; i++) {
      const example = this.stream.absolutes[this.absoluteCycle!.at(first + i)];
      this.placeAbsolute(pairPlaces + (i >> 1) + (i % 2) * pairs, example, random);
    }
    if (this.absolutePlaces > 0) this.normalize(2 * this.absolutePlaces);
    if (this.mixing) this.mix(pairPlaces, random);
    if (this.mask) this.drop(this.mask, random);
    if (this.branches) this.dropBranches(this.branches, random);
  }

  private placePair(place: number, { left, right, votes }: PairExample, weight: number, random: Random): void {
    const swapped = this.options.config.swap && random.uniform() < 0.5;
    this.placeItem(place, swapped ? right : left, random);
    this.placeItem(place + this.options.pairs, swapped ? left : right, random);
    this.pairTarget[3 * place] = weight * votes[swapped ? 1 : 0];
    this.pairTarget[3 * place + 1] = weight * votes[swapped ? 0 : 1];
    this.pairTarget[3 * place + 2] = weight * votes[2];
  }

  private placeAbsolute(row: number, { item, score, aux }: AbsoluteExample, random: Random): void {
    this.placeItem(row, item, random);
    if (score !== undefined) {
      this.score[row] = score;
      this.scoreWeight[row] = 1;
    }
    for (const name of AUXILIARY) {
      const weights = this.options.classWeights.get(name);
      const label = aux[name];
      if (weights && label !== undefined) this.classTargets.get(name)![row * weights.length + label] = weights[label];
    }
  }

  private placeItem(row: number, index: number, random: Random): void {
    const item = this.options.items[index];
    const { token_mask: share } = this.options.config;
    this.batch.set(row, share > 0 && item.tokens > 0 ? this.hideTokens(item, share, random) : item);
  }

  /** The item with a share of its tokens hidden, the special ones at both ends excepted. */
  private hideTokens(item: TrainingItem, share: number, random: Random): TrainingItem {
    const mask = this.options.maskToken;
    if (mask === null) return item;
    const packed = new Map(item.packed);
    for (const { name, preprocess } of this.options.inputs) {
      if (preprocess.kind !== 'text') continue;
      const ids = (packed.get(name) as Uint32Array).slice();
      for (let i = 1; i < ids.length - 1; i++) if (random.uniform() < share) ids[i] = mask;
      packed.set(name, ids);
    }
    return { ...item, packed };
  }

  /** Each loss becomes a mean over the items that have its label. */
  private normalize(items: number): void {
    for (let i = 0; i < this.scoreWeight.length; i++) this.scoreWeight[i] /= items;
    for (const target of this.classTargets.values()) for (let i = 0; i < target.length; i++) target[i] /= items;
  }

  /** Embeddings and labels of each example mixed with those of another of its kind, one lambda a batch (Zhang et al., 2018). */
  private mix(pairPlaces: number, random: Random): void {
    const { pairs, config } = this.options;
    const rows = 2 * pairs;
    const mixing = this.mixing!;
    const lambda = beta(config.mixup, random);
    const partner = [...random.permutation(pairPlaces), ...shifted(random.permutation(pairs - pairPlaces), pairPlaces)];
    mixing.fill(0);
    for (let row = 0; row < rows; row++) {
      const other = partner[row % pairs] + (row < pairs ? 0 : pairs);
      mixing[row * rows + row] += lambda;
      mixing[row * rows + other] += 1 - lambda;
    }
    const sides = Array.from({ length: rows }, (_, row) => partner[row % pairs] + (row < pairs ? 0 : pairs));
    mixRows(this.pairTarget, 3, lambda, partner);
    mixRows(this.scoreWeight, 1, lambda, sides, this.score);
    for (const target of this.classTargets.values()) mixRows(target, target.length / rows, lambda, sides);
  }

  private drop(mask: Float32Array, random: Random): void {
    const { dropout } = this.options.config;
    const kept = 1 / (1 - dropout);
    for (let i = 0; i < mask.length; i++) mask[i] = random.uniform() < dropout ? 0 : kept;
  }

  /** A branch is left out of the whole batch or kept, at the scale that keeps its mean. */
  private dropBranches(scales: Float32Array, random: Random): void {
    for (const [i, rate] of dropRates(scales.length, this.options.config.stochastic_depth).entries())
      scales[i] = random.uniform() < rate ? 0 : 1 / (1 - rate);
  }
}

const shifted = (order: readonly number[], by: number): number[] => order.map((i) => i + by);

/** Row i becomes lambda row i + (1 - lambda) row partner[i]; `values` are averaged by those weights. */
function mixRows(
  weights: Float32Array,
  width: number,
  lambda: number,
  partner: readonly number[],
  values?: Float32Array,
): void {
  const before = weights.slice();
  const oldValues = values?.slice();
  for (const [row, other] of partner.entries()) {
    for (let i = 0; i < width; i++) {
      const own = lambda * before[row * width + i];
      const from = (1 - lambda) * before[other * width + i];
      weights[row * width + i] = own + from;
      if (values && oldValues && own + from > 0)
        values[row] = (own * oldValues[row] + from * oldValues[other]) / (own + from);
    }
  }
}

/** A draw from Beta(a, a) as a ratio of gamma draws. */
function beta(a: number, random: Random): number {
  const x = gamma(a, random);
  const y = gamma(a, random);
  return x + y > 0 ? x / (x + y) : 0.5;
}

/** A draw from Gamma(a, 1) (Marsaglia and Tsang, 2000; below 1 by their boost). */
function gamma(a: number, random: Random): number {
  if (a < 1) return gamma(a + 1, random) * (1 - random.uniform()) ** (1 / a);
  const d = a - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = random.normal();
    const v = (1 + c * x) ** 3;
    if (v > 0 && Math.log(1 - random.uniform()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return d * v;
  }
}

/** Weight of each class, the inverse of its frequency, so that a mean over labels has all classes equal; at most 10. */
export function classWeights(labels: readonly number[], classes: number): Float32Array {
  const counts = new Float64Array(classes);
  for (const label of labels) if (label < classes) counts[label]++;
  const seen = counts.reduce((n, count) => n + Number(count > 0), 0);
  return Float32Array.from(counts, (count) => (count === 0 ? 0 : Math.min(10, labels.length / (seen * count))));
}
