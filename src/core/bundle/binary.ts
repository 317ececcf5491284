/** A program or library, as far as loading it asks. */
export interface Binary {
  readonly format: 'ELF' | 'Mach-O' | 'PE';
  /** As Node names it; null for another processor. */
  readonly arch: 'x64' | 'arm64' | null;
  /** Libraries it is linked to, as they stand in it. */
  readonly imports: readonly string[];
  /** Folders in which it has them looked for, before those of the system. */
  readonly paths: readonly string[];
}

/** A text that ends with a zero. @throws RangeError for one that does not end within the bytes */
export function textAt(bytes: Uint8Array, at: number): string {
  const end = bytes.indexOf(0, at);
  if (at < 0 || at >= bytes.byteLength || end < 0) throw new RangeError('a name leads out of the file');
  return Buffer.from(bytes.buffer, bytes.byteOffset + at, end - at).toString('utf8');
}

export const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** An address of the running program as a place in the file. */
export interface MappedRange {
  readonly address: number;
  readonly size: number;
  readonly offset: number;
}

/** @throws RangeError for an address that no range holds */
export function placeOf(ranges: readonly MappedRange[], address: number): number {
  const range = ranges.find((one) => address >= one.address && address < one.address + one.size);
  if (range === undefined) throw new RangeError('an address leads out of the file');
  return range.offset + (address - range.address);
}
