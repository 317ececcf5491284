import type { ByteSource } from '../bytes/source.js';
import { fileInput } from './input.js';
import { forEachLine, readLineBlocks } from './lines.js';

/** A line of JSON, and the offset in the file at which it ends. */
export interface JsonLine {
  readonly value: unknown;
  readonly end: number;
  /** 1-based. */
  readonly line: number;
}

/**
 * The lines of a file that this program wrote, as JSON; undefined as the value of a line that is none. A last line without
 * newline, as a killed writer leaves it, is left out.
 */
export async function* readJsonLines(source: ByteSource): AsyncGenerator<JsonLine> {
  let blockStart = 0;
  for await (const block of readLineBlocks(fileInput(source).chunks())) {
    const lines: JsonLine[] = [];
    forEachLine(block, (start, end, line) => {
      if (end === block.end) return; // no newline follows
      lines.push({ value: parseJsonLine(block.bytes.subarray(start, end)), end: blockStart + end + 1, line });
    });
    blockStart += block.end;
    yield* lines;
  }
}

/** Undefined for what is no JSON. */
export function parseJsonLine(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return undefined;
  }
}
