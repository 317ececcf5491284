/** Memory of what is kept: some 2,700 embeddings of 1024 numbers. Rows that share an item usually stand together. */
const CACHE_BYTES = 16 * 1024 * 1024;
/** What an entry takes beside its numbers: key, and the objects around the numbers (measured). */
const ENTRY_BYTES = 2048;

/** And so many at most, however small they are: more would cost more to keep than to make again. */
const MOST_ENTRIES = 1024;

/** Something that is computed, or will be. */
export interface Kept {
  /** What it takes, once it is there; undefined while it is under way, null where it has failed. */
  readonly bytes: number | null | undefined;
  /** Called when it is asked for again, so that it may stay longer than what was computed with it. */
  share(): void;
}

interface Entry<T> {
  readonly key: string;
  readonly value: T;
  /** Zero while it is under way. */
  bytes: number;
}

/**
 * What was computed for the items used last, by their content. A computation that is still under way is shared too, so
 * that an item in many pairs is encoded once.
 */
export class FeatureCache<T extends Kept> {
  private readonly entries = new Map<string, Entry<T>>();
  /** In the order in which they began. */
  private underWay: Entry<T>[] = [];
  private bytes = 0;
  /** Entries that are no longer under way. */
  private kept = 0;

  constructor(private limitBytes = CACHE_BYTES) {}

  /** The value of `key`; computed where it is not kept. A failure is not kept. */
  get(key: string, compute: () => T): T {
    this.weigh();
    const known = this.entries.get(key);
    if (known && known.value.bytes !== null) {
      this.entries.delete(key); // the order of a Map is that of insertion: last used, last dropped
      this.entries.set(key, known);
      known.value.share();
      return known.value;
    }
    const entry: Entry<T> = { key, value: compute(), bytes: 0 };
    this.entries.set(key, entry);
    this.underWay.push(entry);
    return entry.value;
  }

  /** Keeps half as much from here on. */
  halve(): void {
    this.limitBytes /= 2;
    this.weigh();
    this.drop();
  }

  /** Looks at what has been computed since. */
  private weigh(): void {
    let over = 0;
    for (; over < this.underWay.length; over++) {
      const entry = this.underWay[over];
      const { bytes } = entry.value;
      if (bytes === undefined) break;
      if (bytes !== null) {
        entry.bytes = bytes + ENTRY_BYTES;
        this.bytes += entry.bytes;
        this.kept++;
      } else if (this.entries.get(entry.key) === entry) this.entries.delete(entry.key);
    }
    if (over === 0) return;
    this.underWay.splice(0, over);
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

/** What a promise brings, to be kept. */
export class KeptPromise<T> implements Kept {
  bytes: number | null | undefined;
  private isShared = false;

  /** @param own - gives the same without the memory of what was computed with it: that leaves together, and what is asked for again stays */
  constructor(
    public value: Promise<T>,
    sizeOf: (value: T) => number,
    private readonly own: (value: T) => T = (value) => value,
  ) {
    value.then(
      (made) => (this.bytes = sizeOf(made)),
      () => (this.bytes = null),
    );
  }

  share(): void {
    if (!this.isShared) this.value = this.value.then(this.own);
    this.isShared = true;
  }
}
