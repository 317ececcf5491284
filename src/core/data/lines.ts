import { LIMITS } from '../limits.js';

const NEWLINE = 0x0a;
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];

/**
 * Whole lines in one buffer, valid until the next block is asked for. Every line ends in a newline, except perhaps the
 * file's last. `tooLong` blocks stand for one line over `LIMITS.rowBytes`, whose bytes were not kept.
 */
export interface LineBlock {
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
  /** 1-based number of the block's first line. */
  readonly firstLine: number;
  readonly tooLong: boolean;
}

const EMPTY = Buffer.alloc(0);

/** Collects chunks into blocks of whole lines; holds at most one row and one chunk. */
class LineAssembler {
  private buffer = EMPTY;
  private filled = 0;
  private line = 1;
  private atStart = true;
  /** In the middle of a line that is too long: its bytes are dropped until the newline. */
  private skipping = false;

  *push(chunk: Uint8Array): Generator<LineBlock> {
    const rest = this.skipping ? this.skip(chunk) : chunk;
    if (rest.byteLength === 0) return;
    this.append(rest);
    const end = this.buffer.subarray(0, this.filled).lastIndexOf(NEWLINE) + 1;
    if (end > 0) {
      yield this.block(end);
      this.line += countNewlines(this.buffer, end);
      this.buffer.copyWithin(0, end, this.filled);
      this.filled -= end;
    }
    if (this.filled > LIMITS.rowBytes) {
      yield { bytes: EMPTY, start: 0, end: 0, firstLine: this.line, tooLong: true };
      this.filled = 0;
      this.skipping = true;
    }
  }

  *finish(): Generator<LineBlock> {
    if (this.filled > 0) yield this.block(this.filled);
  }

  /** What follows the newline that ends the line being dropped. */
  private skip(chunk: Uint8Array): Uint8Array {
    const newline = chunk.indexOf(NEWLINE);
    if (newline < 0) return chunk.subarray(chunk.byteLength);
    this.skipping = false;
    this.line++;
    return chunk.subarray(newline + 1);
  }

  private append(bytes: Uint8Array): void {
    const needed = this.filled + bytes.byteLength;
    if (needed > this.buffer.byteLength) {
      const grown = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.buffer.byteLength));
      grown.set(this.buffer.subarray(0, this.filled));
      this.buffer = grown;
    }
    this.buffer.set(bytes, this.filled);
    this.filled = needed;
  }

  private block(end: number): LineBlock {
    const hasMark = this.atStart && BYTE_ORDER_MARK.every((byte, i) => this.buffer[i] === byte);
    this.atStart = false;
    return { bytes: this.buffer, start: hasMark ? 3 : 0, end, firstLine: this.line, tooLong: false };
  }
}

function countNewlines(bytes: Buffer, end: number): number {
  let count = 0;
  for (let at = bytes.indexOf(NEWLINE); at >= 0 && at < end; at = bytes.indexOf(NEWLINE, at + 1)) count++;
  return count;
}

/** Splits bytes at newlines (and only there: not at U+2028), without its byte order mark, in bounded memory. */
export async function* readLineBlocks(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<LineBlock> {
  const assembler = new LineAssembler();
  for await (const chunk of chunks) yield* assembler.push(chunk);
  yield* assembler.finish();
}

/** Where the line from `start` ends: at its newline, or at the end of the block. */
export function lineEnd(block: LineBlock, start: number): number {
  const newline = block.bytes.indexOf(NEWLINE, start);
  return newline < 0 || newline >= block.end ? block.end : newline;
}

/** Calls `visit` with the bounds of every line in a block, its newline excluded. */
export function forEachLine(block: LineBlock, visit: (start: number, end: number, line: number) => void): void {
  let line = block.firstLine;
  for (let start = block.start; start < block.end; line++) {
    const end = lineEnd(block, start);
    visit(start, end, line);
    start = end + 1;
  }
}
