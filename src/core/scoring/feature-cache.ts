/** Memory of what is kept: some 2,700 embeddings of 1024 numbers. Rows that share an item usually stand together. */
const CACHE_BYTES = 16 * 1024 * 1024;
/** What an entry takes beside its numbers: key, promise, map, and the objects around the numbers (measured). */
const ENTRY_BYTES = 2048;

/** And so many at most, however small they are: more would cost more to keep than to make again. */
const MOST_ENTRIES = 1024;

interface Entry<T> {
  value: Promise<T>;
  bytes: number;
  /** Whether it has been asked for again, and so has memory of its own. */
  isShared: boolean;
}

export interface FeatureCacheOptions<T> {
  readonly sizeOf: (value: T) => number;
  /** The same without the memory of its neighbours: those that are asked for once leave together, the others stay. */
  readonly own?: (value: T) => T;
  readonly limitBytes?: number;
}

/**
 * What was computed for the items used last, by their content. A computation that is still under way is shared too, so
 * that an item in many pairs is encoded once.
 */
export class FeatureCache<T> {
  private readonly entries = new Map<string, Entry<T>>();
  private bytes = 0;
  /** Entries that are no longer under way. */
  private kept = 0;

  private readonly sizeOf: (value: T) => number;
  private readonly own: ((value: T) => T) | undefined;
  private limitBytes: number;

  constructor({ sizeOf, own, limitBytes = CACHE_BYTES }: FeatureCacheOptions<T>) {
    this.sizeOf = sizeOf;
    this.own = own;
    this.limitBytes = limitBytes;
  }

  /** The value of `key`; computed where it is not kept. A failure is not kept. */
  get(key: string, compute: () => Promise<T>): Promise<T> {
    const kept = this.entries.get(key);
    if (kept) {
      this.entries.delete(key); // the order of a Map is that of insertion: last used, last dropped
      this.entries.set(key, kept);
      if (this.own && !kept.isShared) kept.value = kept.value.then(this.own);
      kept.isShared = true;
      return kept.value;
    }
    const entry: Entry<T> = { value: compute(), bytes: 0, isShared: false };
    this.entries.set(key, entry);
    entry.value.then(
      (value) => this.weigh(entry, this.sizeOf(value) + ENTRY_BYTES),
      () => this.entries.delete(key),
    );
    return entry.value;
  }

  /** Keeps half as much from here on. */
  halve(): void {
    this.limitBytes /= 2;
    this.drop();
  }

  private weigh(entry: Entry<T>, bytes: number): void {
    entry.bytes = bytes;
    this.bytes += bytes;
    this.kept++;
    this.drop();
  }

  private drop(): void {
    for (const [key, { bytes: freed }] of this.entries) {
      if (this.bytes <= this.limitBytes && this.kept <= MOST_ENTRIES) return;
      if (freed === 0) continue; // still under way
      this.entries.delete(key);
      this.bytes -= freed;
      this.kept--;
    }
  }
}
