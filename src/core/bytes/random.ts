import { createHash } from 'node:crypto';

/**
 * A seeded source of numbers: sfc32 (Chris Doty-Humphrey, PractRand), its 128 bits of state the first half of the
 * SHA-256 of the seed's text. The same seed gives the same numbers on every machine and in every version: reports name it.
 * Not for secrets.
 */
export class Random {
  private a: number;
  private b: number;
  private c: number;
  private counter: number;

  constructor(seed: string) {
    const digest = createHash('sha256').update(seed).digest();
    this.a = digest.readUInt32LE(0);
    this.b = digest.readUInt32LE(4);
    this.c = digest.readUInt32LE(8);
    this.counter = digest.readUInt32LE(12);
  }

  /** An integer in [0, 2^32). */
  uint32(): number {
    const result = (this.a + this.b + this.counter) >>> 0;
    this.counter = (this.counter + 1) >>> 0;
    this.a = this.b ^ (this.b >>> 9);
    this.b = (this.c + (this.c << 3)) >>> 0;
    this.c = (((this.c << 21) | (this.c >>> 11)) + result) >>> 0;
    return result;
  }

  /** A number in [low, high), of 32 random bits. */
  uniform(low = 0, high = 1): number {
    return low + (high - low) * (this.uint32() / 2 ** 32);
  }

  /** An integer in [low, high). The bias of the remainder is under 2^-32 times the range. */
  integer(low: number, high: number): number {
    return Math.floor(this.uniform(low, high));
  }

  /**
   * Replaces `counts` by how often each of its places comes in as many draws with replacement: the numbers that `integer` would give,
   * at a fifth of the time, since the state stays in registers.
   */
  countDraws(counts: Float64Array): void {
    const n = counts.length;
    let [a, b, c, counter] = [this.a | 0, this.b | 0, this.c | 0, this.counter | 0];
    counts.fill(0);
    for (let i = 0; i < n; i++) {
      const result = (((a + b) | 0) + counter) | 0;
      counter = (counter + 1) | 0;
      a = b ^ (b >>> 9);
      b = (c + (c << 3)) | 0;
      c = (((c << 21) | (c >>> 11)) + result) | 0;
      counts[Math.floor(n * ((result >>> 0) / 2 ** 32))]++;
    }
    [this.a, this.b, this.c, this.counter] = [a >>> 0, b >>> 0, c >>> 0, counter >>> 0];
  }

  /** A draw from Normal(0, 1), by Box and Muller. */
  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.uniform())) * Math.cos(2 * Math.PI * this.uniform());
  }

  /** The numbers 0 to n - 1 in random order. */
  permutation(n: number): number[] {
    const order = Array.from({ length: n }, (_, i) => i);
    this.shuffle(order);
    return order;
  }

  /** Puts values in random order (Fisher and Yates). */
  shuffle(values: number[] | Int32Array): void {
    for (let i = values.length - 1; i > 0; i--) {
      const j = this.integer(0, i + 1);
      const value = values[i];
      values[i] = values[j];
      values[j] = value;
    }
  }
}
