import type { TensorValue } from '../runtime/value.js';
import type { BatchOutputs, Row } from './row.js';

/** Values that must be seen equal: two computations that round differently do not agree in so many by chance. */
const EVIDENCE = 64;
/** Shapes whose sizes are remembered; rows of further ones run in full batches. */
const MAX_SHAPES = 256;

interface Proof {
  /** Sizes below a full batch that have not been seen to differ, with the values in which they agreed. */
  readonly agreed: Map<number, number>;
}

/** A batch that has run in its full size. */
interface FullBatch {
  readonly rows: number;
  readonly full: number;
  readonly outputs: BatchOutputs;
}

/**
 * Which sizes of a batch give, bit for bit, what a full one gives. Kernels may add in another order for another number of rows, and
 * which do depends on the model, the shape, the runtime and the processor: so it is seen rather than believed, for each shape, on
 * the rows that come first. Until then, and where a size once differs, batches are full.
 */
export class ProvenSizes {
  private readonly proofs = new Map<string, Proof>();

  /** The smallest proven size that holds `rows` rows of a shape; `full` where there is none. */
  sizeFor(shape: string, rows: number, full: number): number {
    const proof = this.proofs.get(shape);
    const fits = (size: number): boolean => size >= rows && (proof?.agreed.get(size) ?? 0) >= EVIDENCE;
    return candidates(full).find(fits) ?? full;
  }

  /**
   * Compares the sizes that are not yet proven with a full batch that has run.
   * @param run - runs the first `count` rows of that batch in one of another size
   */
  async prove(
    shape: string,
    { rows, full, outputs: expected }: FullBatch,
    run: (count: number, size: number) => Promise<FullBatch['outputs']>,
  ): Promise<void> {
    const proof = this.proofOf(shape, full);
    if (!proof) return;
    for (const [size, evidence] of [...proof.agreed]) {
      if (evidence >= EVIDENCE) continue;
      const count = Math.min(rows, size);
      const actual = await run(count, size);
      const values = Array.from({ length: count }, (_, i) => equalValues(expected.row(i), actual.row(i)));
      if (values.includes(null)) proof.agreed.delete(size);
      else if (proof.agreed.has(size))
        proof.agreed.set(size, evidence + (values as number[]).reduce((sum, count) => sum + count, 0));
    }
  }

  private proofOf(shape: string, full: number): Proof | undefined {
    if (!this.proofs.has(shape) && this.proofs.size < MAX_SHAPES) {
      this.proofs.set(shape, { agreed: new Map(candidates(full).map((size) => [size, 0])) });
    }
    return this.proofs.get(shape);
  }
}

/** Powers of two below a full batch. */
const candidates = (full: number): number[] => Array.from({ length: Math.ceil(Math.log2(full)) }, (_, i) => 2 ** i);

/** How many values two rows have in common; null where a bit differs. */
function equalValues(a: Row, b: Row): number | null {
  let count = 0;
  for (const [name, value] of a) {
    const other = b.get(name);
    if (!other || Buffer.compare(bytesOf(value), bytesOf(other)) !== 0) return null;
    count += value.data.length;
  }
  return count;
}

const bytesOf = ({ data }: TensorValue): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
