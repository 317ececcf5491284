import { scoresOf } from '../../gate/decisions.js';
import type { Probes } from '../../gate/probes.js';
import { range } from '../../gate/rows.js';
import { intOf, type NodeProto } from '../../onnx/model.js';
import { type ModelProcess, withModelProcess } from '../../runtime/child.js';
import { numel } from '../../tensor/shape.js';
import { fixedInitializers } from '../graph-edit.js';
import type { Calibration } from '../ranges/calibrate.js';
import { selectProbes } from '../rows.js';
import { nodeLabel } from '../schemes/scheme.js';
import { ACTIVATIONS } from '../schemes/static-plan.js';
import type { QuantizationSource } from '../source.js';
import { type Candidate, type CandidateOptions, makeCandidate } from './candidate.js';
import { type Layer, layersOf, named } from './sensitivity.js';
import { candidateOutputs, floatOutputs } from './trial.js';

/**
 * Shares of the products of a model that may stay float, which is about what it costs of the speed, and what of the noise must go for
 * it, or nothing stays float: the noise of layers may cancel out, so that keeping one of two alone gains nothing.
 */
const BUDGETS = [
  { products: 1 / 8, left: 0.9 },
  { products: 1 / 4, left: 0.5 },
];
/** A layer stays float where its share of the noise is at least so many times its share of the products. */
const LEAST_CONTRAST = 2;
/** Noise that decides nothing, as a share of the spread of scores. */
const LEAST_NOISE = 1e-3;

const MOST_ROWS = 32;
const LEAST_ROWS = 8;
/** Products that measuring may take: some seconds. */
const MOST_WORK = 2e11;

/** What a layer quantized alone does to the scores, and what it takes to compute it. */
interface NoisyLayer extends Layer {
  /** Mean square of what it moves scores by. */
  readonly noise: number;
  /** Multiplications for one row. */
  readonly products: number;
}

/**
 * The candidate with the few layers in float that make most of the noise: each is quantized alone, and those with the most noise for
 * the least products stay float, as far as that costs little speed. Rounding adds noise of its own in each layer, so that their squares
 * add up, and rows that ranges were chosen by tell it as well as others. A model too large to be run so often stays as it is.
 */
export async function sparedOfNoise(
  source: QuantizationSource,
  candidate: Candidate,
  options: CandidateOptions,
): Promise<Candidate> {
  const { calibration } = candidate;
  const layers = layersOf(source, candidate);
  if (calibration === null || layers.length < 2) return candidate;
  const products = productsOf(calibration, layers);
  const total = sum(products);
  const affordable = Math.floor(MOST_WORK / Math.max(1, total * layers.length));
  if (total === 0 || affordable < LEAST_ROWS) return candidate;
  const fixed = { ...options, calibration };
  return withModelProcess(options.child, async (child) => {
    const { calibrationRows: rows } = options;
    const scores = new NoisyScores(source, child, selectProbes(rows, spread(rows.rows, affordable)), options.threads);
    const whole = await scores.noiseOf(candidate);
    if (!(whole > LEAST_NOISE ** 2 * (await scores.variance()))) return candidate;
    const measured: NoisyLayer[] = [];
    for (const [i, layer] of layers.entries()) {
      const others = layers.filter((other) => other !== layer).flatMap(({ nodes }) => nodes);
      const alone = await makeCandidate(source, { ...fixed, excludeNamed: named(others, 'not tried now') });
      measured.push({ ...layer, noise: await scores.noiseOf(alone), products: products[i] });
      options.onBatch?.();
    }
    for (const { products: most, left } of BUDGETS) {
      const kept = noisiest(measured, most);
      if (kept.length === 0) continue;
      const spared = await makeCandidate(source, { ...fixed, excludeNamed: reasonsFor(kept, measured) });
      if ((await scores.noiseOf(spared)) <= left ** 2 * whole) return spared;
    }
    return candidate;
  });
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

/** Up to so many rows, evenly over all. */
function spread(rows: number, affordable: number): number[] {
  const count = Math.min(rows, MOST_ROWS, affordable);
  return range(count).map((i) => Math.floor((i * rows) / count));
}

const isProduct = ({ opType }: NodeProto): boolean => ['Conv', 'MatMul', 'Gemm'].includes(opType);

/** Multiplications of each layer for one row. */
function productsOf({ model: { graph }, elements }: Calibration, layers: readonly Layer[]): number[] {
  const weights = fixedInitializers(graph);
  const sizes = new Map(elements);
  // What is calibrated of a convolution may be what its activation makes of it: as many elements.
  for (const { opType, input, output } of graph.node)
    if (ACTIVATIONS.has(opType) && !sizes.has(input[0]) && sizes.has(output[0]))
      sizes.set(input[0], sizes.get(output[0])!);
  const products = new Map<string, number>();
  for (const node of graph.node.filter(isProduct)) {
    const dims = weights.get(node.input[1])?.dims;
    if (dims !== undefined) products.set(nodeLabel(node), productsOfNode(node, dims, sizes));
  }
  return layers.map(({ nodes }) => sum(nodes.map((node) => products.get(node) ?? 0)));
}

function productsOfNode(node: NodeProto, dims: readonly number[], sizes: ReadonlyMap<string, number>): number {
  if (node.opType === 'Conv') return (sizes.get(node.output[0]) ?? 0) * numel(dims.slice(1));
  const results = node.opType === 'Gemm' && intOf(node, 'transB', 0) === 1 ? dims[0] : dims[dims.length - 1];
  return (sizes.get(node.input[0]) ?? 0) * results;
}

/** Those with the most noise for their products first, as long as their share of all products lasts. */
function noisiest(layers: readonly NoisyLayer[], share: number): NoisyLayer[] {
  const { noise, products } = totalsOf(layers);
  const contrast = (layer: NoisyLayer): number => layer.noise / noise / (layer.products / products);
  let left = share * products;
  return layers
    .filter((layer) => layer.products > 0 && contrast(layer) >= LEAST_CONTRAST)
    .sort((a, b) => contrast(b) - contrast(a))
    .filter((layer) => {
      if (layer.products > left) return false;
      left -= layer.products;
      return true;
    });
}

const totalsOf = (layers: readonly NoisyLayer[]) => ({
  noise: sum(layers.map((layer) => layer.noise)),
  products: sum(layers.map((layer) => layer.products)),
});

function reasonsFor(kept: readonly NoisyLayer[], layers: readonly NoisyLayer[]): Map<string, string> {
  const { noise, products } = totalsOf(layers);
  const percent = (share: number): string => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
  return new Map(
    kept.flatMap((layer) => {
      const why = `makes ${percent(layer.noise / noise)} of the noise of the scores with ${percent(layer.products / products)} of the products`;
      return layer.nodes.map((node) => [node, why] as const);
    }),
  );
}

/** How far quantized models move the scores of fixed rows. */
class NoisyScores {
  private expected: Float64Array | undefined;

  constructor(
    private readonly source: QuantizationSource,
    private readonly child: ModelProcess,
    private readonly rows: Probes,
    private readonly threads: number | undefined,
  ) {}

  /** Mean square, of so few digits that processors agree on it. */
  async noiseOf(candidate: Candidate): Promise<number> {
    const expected = await this.float();
    const { source, child, rows, threads } = this;
    const [outputs] = await candidateOutputs(source, candidate, [rows], child, threads);
    const { values } = scoresOf(outputs);
    const squares = values.reduce((total, value, i) => total + (value - expected[i]) ** 2, 0);
    return Number((squares / expected.length).toPrecision(DIGITS));
  }

  async variance(): Promise<number> {
    const values = await this.float();
    const mean = sum([...values]) / values.length;
    return values.reduce((total, value) => total + (value - mean) ** 2, 0) / values.length;
  }

  private async float(): Promise<Float64Array> {
    const { source, child, rows, threads } = this;
    this.expected ??= scoresOf(await floatOutputs(source, rows, child, threads)).values;
    return this.expected;
  }
}

const DIGITS = 2;
