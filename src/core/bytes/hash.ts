/** A stretch of a file whose CRC-32 the container states. */
export interface ChecksummedRecord {
  readonly file: string;
  readonly name: string;
  readonly offset: number;
  readonly byteLength: number;
  readonly crc32: number;
}
