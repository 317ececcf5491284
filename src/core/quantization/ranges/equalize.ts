import type { OnnxModel, TensorProto } from '../../onnx/model.js';
import { tensorOf } from '../../onnx/tensor-data.js';
import { numel } from '../../tensor/shape.js';
import { asFloat32 } from '../../tensor/values.js';
import { type Channels, stretches } from '../channel-layout.js';
import type { ChannelClass } from '../channels.js';
import { fixedInitializers } from '../graph-edit.js';
import type { Gains } from '../schemes/scheme.js';
import { type ChannelRange, isFiniteRange, overallRange } from './range.js';
import type { ChannelScales } from './rescale.js';

/** How far between no change (0) and equal ranges of all channels (1) scales are tried. */
const STRENGTHS = [0.25, 0.5, 0.75, 1];
/** A channel that hardly moved in calibration may move later: its range counts as at least this share of the widest. */
const LEAST_SHARE = 1 / 32;
/** Standard deviations that a channel gets room for, as far as the widest has them: what few rows show of it, more go beyond. */
const ROOM = 4.5;
/** What of the expected error must go before weights are touched, and before a node is added, which takes time at every run. */
const LEAST_GAIN = 0.1;
const LEAST_GAIN_OF_NODE = 0.5;

const U8_STEPS = 255;
const S8_STEPS = 127;
/** The largest value of a channel, and the largest weight of a row, by their root mean squares: as they usually are. */
const VALUE_CREST = 5;
const WEIGHT_CREST = 3.5;

/**
 * Scales for the channels of values that will have 8 bits together: where one channel is ten times as wide as the others, these
 * are left with a tenth of the levels. Cross-layer equalization (Nagel et al. 2019, arXiv:1906.04721, 4.1), by the ranges that
 * activations take, and only as far as the weights that take up the factors do not lose more by it (Xiao et al. 2023,
 * arXiv:2211.10438, 4): of some strengths the one with the least expected error of the products behind.
 * @param rangeOf - by channel, of a value that will have 8 bits
 * @param gains - of these, only those that pay off get scales
 * @returns the classes that change
 */
export async function equalize(
  model: OnnxModel,
  classes: readonly ChannelClass[],
  rangeOf: (value: string) => ChannelRange | undefined,
  gains: Gains,
): Promise<ChannelScales[]> {
  const constants = fixedInitializers(model.graph);
  const equalized: ChannelScales[] = [];
  for (const each of classes) {
    const values = [...each.values.keys()];
    const leastGain = values.some((value) => gains.has(value)) ? LEAST_GAIN_OF_NODE : LEAST_GAIN;
    const ranges = new Map<string, ChannelRange>();
    for (const value of values) {
      const range = rangeOf(value);
      if (range && isFiniteRange(overallRange(range))) ranges.set(value, range);
    }
    const scales = await leastErrorScales(each, ranges, constants, leastGain);
    if (scales) equalized.push({ ...each, scales });
  }
  return equalized;
}

/** @returns null where the error cannot be made smaller by the share `leastGain` */
async function leastErrorScales(
  { channels, sides }: ChannelClass,
  ranges: ReadonlyMap<string, ChannelRange>,
  constants: ReadonlyMap<string, TensorProto>,
  leastGain: number,
): Promise<Float64Array | null> {
  const shares = meanShares([...ranges.values()], channels);
  // If all weights were alike, this is what equal ranges would leave of the error: no need to read them.
  if (shares === null || meanSquare(shares) > 1 - leastGain) return null;
  const products = await productsOf(sides, ranges, constants);
  const read = new Set(products.map(({ range }) => range));
  const others = [...ranges.values()].filter((range) => !read.has(range));
  const error = (scales: Float64Array): number => expectedError(products, others, scales);
  let [best, least]: [Float64Array | null, number] = [null, (1 - leastGain) * error(shares.map(() => 1))];
  for (const strength of STRENGTHS) {
    const scales = shares.map((share) => share ** strength);
    const expected = error(scales);
    if (expected < least) [best, least] = [scales, expected];
  }
  return best;
}

/** Largest magnitudes of the channels. */
const magnitudes = ({ low, high }: ChannelRange): Float64Array => high.map((top, c) => Math.max(top, -low[c]));

/** Geometric mean, over values, of what the range of a channel is of the widest; null where there is no value but 0. */
function meanShares(ranges: readonly ChannelRange[], channels: number): Float64Array | null {
  const logs = new Float64Array(channels);
  let counted = 0;
  for (const range of ranges) {
    const widths = magnitudes(range);
    const widest = widths.reduce((a, b) => Math.max(a, b));
    if (!(widest > 0)) continue;
    counted++;
    const growth = Math.max(1, ROOM / expectedMaximum(range.count));
    for (let c = 0; c < channels; c++)
      logs[c] += Math.log(Math.min(1, Math.max(LEAST_SHARE, (growth * widths[c]) / widest)));
  }
  return counted === 0 ? null : logs.map((log) => Math.exp(log / counted));
}

/** The largest of some normal numbers, in standard deviations, for many of them. */
const expectedMaximum = (count: number): number => Math.sqrt(2 * Math.log(Math.max(2, count)));

const meanSquare = (values: Float64Array): number =>
  values.reduce((sum, value) => sum + value * value, 0) / values.length;

/** A weight that multiplies the channels of a value. */
interface Product {
  readonly range: ChannelRange;
  /** Sums of squared weights, by channel of the input. */
  readonly energies: Float64Array;
  /** Results that a channel goes into, by all places of a kernel. */
  readonly rows: number;
}

async function productsOf(
  sides: ChannelClass['sides'],
  ranges: ReadonlyMap<string, ChannelRange>,
  constants: ReadonlyMap<string, TensorProto>,
): Promise<Product[]> {
  const products: Product[] = [];
  for (const side of sides) {
    const range = ranges.get(side.value);
    const weight = constants.get(side.constant);
    if (side.role === 'writes' || !range || !weight || weight.dims.length < 2) continue;
    const rows = Math.max(1, numel(weight.dims) / side.channels);
    products.push({ range, rows, energies: await channelEnergies(weight, side) });
  }
  return products;
}

/** Squared errors of products by those of their squares, summed: what rounding of inputs, of weights and of other values adds. */
function expectedError(products: readonly Product[], others: readonly ChannelRange[], scales: Float64Array): number {
  let error = 0;
  for (const product of products)
    error += roundingError(product.range, product.energies, scales) + weightError(product, scales);
  // Values that an addition reads go into the same products in the end.
  const energies = meanEnergies(products, scales.length);
  for (const range of others) error += roundingError(range, energies, scales);
  return error;
}

/** Of inputs in 255 steps between their extremes. */
function roundingError(range: ChannelRange, energies: Float64Array, scales: Float64Array): number {
  const { low, high } = overallRange(range, scales);
  const noise = energies.reduce((sum, energy, c) => sum + energy * scales[c] ** 2, 0);
  return ((((high - low) / U8_STEPS) ** 2 / 12) * noise) / signal(range, energies);
}

/** Of weights in 127 steps up to their largest. */
function weightError({ range, energies, rows }: Product, scales: Float64Array): number {
  const largest = magnitudes(range);
  let [top, inputs] = [0, 0];
  for (let c = 0; c < scales.length; c++) {
    top = Math.max(top, WEIGHT_CREST * scales[c] * Math.sqrt(energies[c] / rows));
    inputs += (largest[c] / VALUE_CREST / scales[c]) ** 2;
  }
  return (((top / S8_STEPS) ** 2 / 12) * rows * inputs) / signal(range, energies);
}

/** Mean square of a sum over channels that are independent of each other; never 0. */
function signal(range: ChannelRange, energies: Float64Array): number {
  const largest = magnitudes(range);
  return energies.reduce((sum, energy, c) => sum + energy * (largest[c] / VALUE_CREST) ** 2, Number.MIN_VALUE);
}

function meanEnergies(products: readonly Product[], channels: number): Float64Array {
  const mean = new Float64Array(channels).fill(products.length === 0 ? 1 : 0);
  for (const { energies } of products) {
    const total = energies.reduce((a, b) => a + b) || 1;
    for (let c = 0; c < channels; c++) mean[c] += energies[c] / total;
  }
  return mean;
}

/** Sums of squares by channel, of a weight streamed once. */
async function channelEnergies(weight: TensorProto, layout: Channels): Promise<Float64Array> {
  const energies = new Float64Array(layout.channels);
  let at = 0;
  for await (const chunk of tensorOf(weight).chunks()) {
    const values = asFloat32(chunk);
    if (layout.inner === 1) {
      for (const { channel, from, end } of stretches(at, values.length, layout))
        addSquares(values.subarray(from, end), energies.subarray(channel));
    } else addRuns(values, at, layout, energies);
    at += values.length;
  }
  return energies;
}

function addSquares(values: Float32Array, sums: Float64Array): void {
  for (let i = 0; i < values.length; i++) sums[i] += values[i] * values[i];
}

/** As over `stretches`, which would make an object for the few values of a kernel. */
function addRuns(values: Float32Array, at: number, { channels, inner }: Channels, sums: Float64Array): void {
  let channel = Math.floor(at / inner) % channels;
  for (let from = 0, end = inner - (at % inner); from < values.length; from = end, end += inner) {
    const stop = Math.min(end, values.length);
    let sum = 0;
    for (let i = from; i < stop; i++) sum += values[i] * values[i];
    sums[channel] += sum;
    if (++channel === channels) channel = 0;
  }
}
