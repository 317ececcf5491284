import { Random } from '../bytes/random.js';
import type { PooledTest } from './permutation.js';

/** Vectors as rows of one array, with the cluster that each is of. */
export interface ClusteredVectors {
  readonly values: Float64Array;
  readonly columns: number;
  readonly cluster: Int32Array;
  readonly clusters: number;
}

/**
 * Two samples of vectors: the energy distance, E|X - Y| twice less E|X - X'| less E|Y - Y'|. Distances are taken once and summed by
 * cluster, so that a deal of clusters costs the square of their number.
 *
 * @see Székely and Rizzo (2013)
 */
export class EnergyTest implements PooledTest {
  readonly statistics = 1;
  readonly sizes: Int32Array;
  readonly referenceClusters: number;
  /** Mean distance of two vectors of the reference: the scale of the energy distance. */
  readonly spread: number;
  /** Sums of distances between the vectors of two clusters, [clusters, clusters]. */
  private readonly sums: Float64Array;

  constructor(reference: ClusteredVectors, window: ClusteredVectors) {
    const { columns } = reference;
    const clusters = reference.clusters + window.clusters;
    this.referenceClusters = reference.clusters;
    this.sizes = new Int32Array(clusters);
    this.sums = new Float64Array(clusters * clusters);
    const rows = reference.cluster.length + window.cluster.length;
    const all = new Float64Array(rows * columns);
    all.set(reference.values);
    all.set(window.values, reference.values.length);
    const clusterOf = (row: number): number => {
      const beyond = row - reference.cluster.length;
      return beyond < 0 ? reference.cluster[row] : reference.clusters + window.cluster[beyond];
    };
    for (let i = 0; i < rows; i++) {
      const own = clusterOf(i);
      this.sizes[own]++;
      for (let j = 0; j < i; j++) {
        let squares = 0;
        for (let k = 0; k < columns; k++) squares += (all[i * columns + k] - all[j * columns + k]) ** 2;
        const other = clusterOf(j);
        const distance = Math.sqrt(squares);
        this.sums[own * clusters + other] += distance;
        this.sums[other * clusters + own] += distance;
      }
    }
    let total = 0;
    for (let i = 0; i < reference.clusters; i++) {
      for (let j = 0; j < reference.clusters; j++) total += this.sums[i * clusters + j];
    }
    this.spread = total / reference.cluster.length ** 2 || 1;
  }

  measure(isWindow: Uint8Array, into: Float64Array): void {
    const { sizes, sums } = this;
    const clusters = sizes.length;
    let inWindow = 0;
    let inReference = 0;
    let [within, between, apart] = [0, 0, 0];
    for (let i = 0; i < clusters; i++) {
      const own = isWindow[i];
      if (own === 1) inWindow += sizes[i];
      else inReference += sizes[i];
      let [same, other] = [0, 0];
      for (let j = 0; j < clusters; j++) {
        if (isWindow[j] === own) same += sums[i * clusters + j];
        else other += sums[i * clusters + j];
      }
      if (own === 1) within += same;
      else between += same;
      apart += other;
    }
    const defined = inWindow > 0 && inReference > 0;
    into[0] = defined
      ? Math.max(0, apart / (inWindow * inReference) - within / inWindow ** 2 - between / inReference ** 2)
      : 0;
  }
}

/** Numbers an embedding is kept as: distances between many stay what they were to a tenth or so (Johnson and Lindenstrauss). */
export const SKETCH_COLUMNS = 32;

/** Projects embeddings to few random directions, the same ones for the same length of embedding: no content can be read from them. */
export class EmbeddingSketch {
  private readonly directions: Float64Array;

  constructor(readonly length: number) {
    const random = new Random(`drift/embedding/${length}`);
    const scale = 1 / Math.sqrt(SKETCH_COLUMNS);
    this.directions = Float64Array.from({ length: length * SKETCH_COLUMNS }, () => scale * random.normal());
  }

  of(embedding: ArrayLike<number>): number[] {
    const sketch = new Array<number>(SKETCH_COLUMNS).fill(0);
    for (let i = 0; i < this.length; i++) {
      for (let k = 0; k < SKETCH_COLUMNS; k++) sketch[k] += embedding[i] * this.directions[i * SKETCH_COLUMNS + k];
    }
    return sketch;
  }
}
