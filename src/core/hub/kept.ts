/** Bytes of a file that are in memory. */
export interface Segment {
  readonly start: number;
  readonly bytes: Uint8Array;
}

const endOf = ({ start, bytes }: Segment): number => start + bytes.byteLength;

/** The bytes of many files that were fetched lastly, up to a bound; those that are pinned stay and do not count. */
export class Kept {
  private readonly recent = new Map<Segment, SegmentsOfFile>();
  private bytes = 0;

  constructor(private readonly maxBytes: number) {}

  file(): SegmentsOfFile {
    return new SegmentsOfFile(this);
  }

  add(segment: Segment, owner: SegmentsOfFile): void {
    this.recent.set(segment, owner);
    this.bytes += segment.bytes.byteLength;
    for (const [oldest, file] of this.recent) {
      if (this.bytes <= this.maxBytes || oldest === segment) return;
      this.forget(oldest);
      file.drop(oldest);
    }
  }

  touch(segment: Segment): void {
    const owner = this.recent.get(segment);
    if (owner === undefined) return; // pinned
    this.recent.delete(segment);
    this.recent.set(segment, owner);
  }

  forget(segment: Segment): void {
    if (this.recent.delete(segment)) this.bytes -= segment.bytes.byteLength;
  }
}

/** What is kept of one file: segments in their order, which do not overlap. */
export class SegmentsOfFile {
  private segments: Segment[] = [];

  constructor(private readonly kept: Kept) {}

  /** @param segment - of bytes none of which are here yet */
  add(segment: Segment, pinned: boolean): void {
    if (segment.bytes.byteLength === 0) return;
    const at = this.after(segment.start);
    this.segments.splice(at, 0, segment);
    if (!pinned) this.kept.add(segment, this);
  }

  drop(segment: Segment): void {
    const at = this.segments.indexOf(segment);
    if (at >= 0) this.segments.splice(at, 1);
  }

  clear(): void {
    for (const segment of this.segments) this.kept.forget(segment);
    this.segments = [];
  }

  /** The bytes from `position` on that are here together, at most `length`; null where the first one is missing. */
  at(position: number, length: number): Uint8Array | null {
    const segment = this.segments[this.after(position) - 1];
    if (segment === undefined || endOf(segment) <= position) return null;
    this.kept.touch(segment);
    const from = position - segment.start;
    return segment.bytes.subarray(from, from + length);
  }

  /** Where the next bytes begin that are here, at or after `position`. */
  next(position: number): number {
    return this.segments[this.after(position)]?.start ?? Number.POSITIVE_INFINITY;
  }

  /** How many segments begin at or before `position`. */
  private after(position: number): number {
    let [low, high] = [0, this.segments.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.segments[middle].start <= position) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
