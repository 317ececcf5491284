import { firstRows, putAt, roomFor, type TensorValue, takeRows } from '../runtime/value.js';
import type { Row } from './row.js';

/** Room that is made at once; for large rows, which may stay few, it grows with them. */
const ROOM_BYTES = 2 ** 20;

/** Rows of one shape, each written into the memory that a session is fed from as it comes: none is held. */
export class RowBatch {
  private values: ReadonlyMap<string, TensorValue>;
  private room: number;
  private written = 0;

  /**
   * @param first - a row of the shape, which is not yet in it
   * @param size - most rows
   * @param names - what values are called where they are fed, if it is something else
   */
  constructor(
    first: Row,
    readonly size: number,
    private readonly names?: ReadonlyMap<string, string>,
  ) {
    let bytes = 1;
    for (const { data } of first.values()) bytes += data.byteLength;
    this.room = Math.min(size, Math.max(1, Math.floor(ROOM_BYTES / bytes)));
    this.values = new Map(Array.from(first, ([name, value]) => [name, roomFor(value, this.room)]));
  }

  get rows(): number {
    return this.written;
  }

  /** @throws RangeError for a row of another dtype or shape */
  add(row: Row): void {
    if (this.written === this.room) this.grow();
    for (const [name, room] of this.values) putAt(room, this.written, row.get(name)!);
    this.written++;
  }

  /** The first `count` rows, filled up to `size` with repeats of the last of them. */
  first(count: number, size: number): Map<string, TensorValue> {
    if (count < size) return this.repeated(0, count, size);
    return this.fed((value) => firstRows(value, (count * value.shape[0]) / this.room));
  }

  /** One row, as often as a batch has them. */
  only(row: number): Map<string, TensorValue> {
    return this.repeated(row, 1, this.size);
  }

  private grow(): void {
    const more = Math.min(this.size, 2 * this.room);
    const grown = (value: TensorValue): TensorValue => {
      const room = roomFor(firstRows(value, value.shape[0] / this.room), more);
      putAt(room, 0, value);
      return room;
    };
    this.values = new Map(Array.from(this.values, ([name, value]) => [name, grown(value)]));
    this.room = more;
  }

  private repeated(start: number, count: number, size: number): Map<string, TensorValue> {
    return this.fed((value) => {
      const each = value.shape[0] / this.room; // a picture in patches has many
      const from = (i: number): number => (start + Math.min(Math.floor(i / each), count - 1)) * each + (i % each);
      return takeRows(
        value,
        Array.from({ length: size * each }, (_, i) => from(i)),
      );
    });
  }

  private fed(of: (value: TensorValue) => TensorValue): Map<string, TensorValue> {
    return new Map(Array.from(this.values, ([name, value]) => [this.names?.get(name) ?? name, of(value)]));
  }
}
