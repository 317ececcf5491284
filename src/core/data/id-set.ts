/** Start size; doubled when half full. */
const SLOTS = 1 << 12;

/** A set of 64-bit hashes in one typed array: 16 to 32 bytes an id, without an object for each. */
export class IdSet {
  private slots = new BigUint64Array(SLOTS);
  private size = 0;

  /** Adds a hash; false where it was there. */
  add(hash: bigint): boolean {
    const key = hash === 0n ? 1n : hash; // zero marks an empty slot
    const at = this.find(key);
    if (this.slots[at] === key) return false;
    this.slots[at] = key;
    if (++this.size * 2 > this.slots.length) this.grow();
    return true;
  }

  private find(key: bigint): number {
    const mask = this.slots.length - 1;
    let at = Number(key & BigInt(mask));
    while (this.slots[at] !== 0n && this.slots[at] !== key) at = (at + 1) & mask;
    return at;
  }

  private grow(): void {
    const old = this.slots;
    this.slots = new BigUint64Array(old.length * 2);
    for (const key of old) if (key !== 0n) this.slots[this.find(key)] = key;
  }
}
