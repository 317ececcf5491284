import { randomInt } from 'node:crypto';
import { HpsError } from '../errors.js';

/** Offsets are 32-bit integers, which V8 indexes with directly. */
const MAX_ARENA_BYTES = 2 ** 31 - 1;

/**
 * Gives every distinct byte string a code: 0, 1, 2, … in order of first sight. Strings are looked up as the bytes they
 * have in the file, so that a million ids cost no million JavaScript strings.
 */
export class Interner {
  private arena: Buffer = Buffer.allocUnsafeSlow(4096);
  private ends = new Int32Array(256);
  private hashes = new Int32Array(256);
  /** Open addressing: code + 1, or 0 where free. At most half full. */
  private slots = new Int32Array(512);
  /** A secret start, so that a file cannot be written to collide. Codes do not depend on it. */
  private readonly seed = randomInt(2 ** 32) | 0;
  private count = 0;
  /** The last code given: rows of one prompt, and values of one group, often follow each other. */
  private latest = 0;

  get size(): number {
    return this.count;
  }

  /** The code of `bytes[start, end)`, which is added where it is new. */
  codeOf(bytes: Uint8Array, start: number, end: number): number {
    if (this.count > 0 && this.equals(this.latest, bytes, start, end)) return this.latest;
    const hash = this.hash(bytes, start, end);
    const slot = this.slotOf(hash, bytes, start, end);
    const found = this.slots[slot] - 1;
    this.latest = found >= 0 ? found : this.add(slot, hash, bytes, start, end);
    return this.latest;
  }

  /** The code of `bytes[start, end)`, or -1. */
  find(bytes: Uint8Array, start: number, end: number): number {
    return this.slots[this.slotOf(this.hash(bytes, start, end), bytes, start, end)] - 1;
  }

  /** As `codeOf`, for text. */
  codeOfText(text: string): number {
    const bytes = Buffer.from(text, 'utf8');
    return this.codeOf(bytes, 0, bytes.byteLength);
  }

  /** As `find`, for text. */
  findText(text: string): number {
    const bytes = Buffer.from(text, 'utf8');
    return this.find(bytes, 0, bytes.byteLength);
  }

  /** The text a code stands for. */
  textOf(code: number): string {
    return this.arena.toString('utf8', this.startOf(code), this.ends[code]);
  }

  /** The code that another interner has for this one's string `code`, or -1. No text is made. */
  findIn(other: Interner, code: number): number {
    return other.find(this.arena, this.startOf(code), this.ends[code]);
  }

  /** All texts, by code. */
  texts(): string[] {
    return Array.from({ length: this.count }, (_, code) => this.textOf(code));
  }

  private startOf(code: number): number {
    return code === 0 ? 0 : this.ends[code - 1];
  }

  /** MurmurHash3 (x86, 32 bits): https://github.com/aappleby/smhasher */
  private hash(bytes: Uint8Array, start: number, end: number): number {
    let hash = this.seed;
    let at = start;
    for (; at + 4 <= end; at += 4) {
      hash ^= scramble(bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24));
      hash = (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64) | 0;
    }
    let tail = 0;
    for (let shift = 0; at < end; at++, shift += 8) tail |= bytes[at] << shift;
    hash ^= scramble(tail) ^ (end - start);
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    return hash ^ (hash >>> 16);
  }

  /** Where the string is, or where it would go. */
  private slotOf(hash: number, bytes: Uint8Array, start: number, end: number): number {
    const mask = this.slots.length - 1;
    let slot = hash & mask;
    for (; this.slots[slot] !== 0; slot = (slot + 1) & mask) {
      const code = this.slots[slot] - 1;
      if (this.hashes[code] === hash && this.equals(code, bytes, start, end)) break;
    }
    return slot;
  }

  /** Whether `code` stands for `bytes[start, end)`. */
  equals(code: number, bytes: Uint8Array, start: number, end: number): boolean {
    const first = this.startOf(code);
    if (this.ends[code] - first !== end - start) return false;
    for (let at = start, own = first; at < end; at++, own++) if (this.arena[own] !== bytes[at]) return false;
    return true;
  }

  private add(slot: number, hash: number, bytes: Uint8Array, start: number, end: number): number {
    const code = this.count++;
    const first = this.startOf(code);
    const last = first + end - start;
    if (last > MAX_ARENA_BYTES) {
      throw new HpsError('DATA_INVALID', 'the distinct names of one column take more than 2 GiB', {
        hint: 'Split the file, or use shorter ids.',
      });
    }
    if (last > this.arena.byteLength) this.arena = grownBuffer(this.arena, last);
    for (let at = start, own = first; at < end; at++, own++) this.arena[own] = bytes[at];
    if (code === this.ends.length) {
      this.ends = grown(this.ends, new Int32Array(2 * code));
      this.hashes = grown(this.hashes, new Int32Array(2 * code));
    }
    this.ends[code] = last;
    this.hashes[code] = hash;
    this.slots[slot] = code + 1;
    if (2 * this.count > this.slots.length) this.rehash();
    return code;
  }

  private rehash(): void {
    this.slots = new Int32Array(2 * this.slots.length);
    const mask = this.slots.length - 1;
    for (let code = 0; code < this.count; code++) {
      let slot = this.hashes[code] & mask;
      while (this.slots[slot] !== 0) slot = (slot + 1) & mask;
      this.slots[slot] = code + 1;
    }
  }
}

function grownBuffer(buffer: Buffer, needed: number): Buffer {
  const larger = Buffer.allocUnsafeSlow(Math.max(needed, Math.min(2 * buffer.byteLength, MAX_ARENA_BYTES)));
  larger.set(buffer);
  return larger;
}

function grown(array: Int32Array, target: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  target.set(array);
  return target;
}

function scramble(word: number): number {
  const mixed = Math.imul(word, 0xcc9e2d51);
  return Math.imul((mixed << 15) | (mixed >>> 17), 0x1b873593);
}
