import { MemorySource } from '../../../src/core/bytes/source.js';
import { type DataInput, fileInput } from '../../../src/core/data/input.js';
import { readRows } from '../../../src/core/data/read-rows.js';
import type { DataRow, PairRow, RowResult } from '../../../src/core/data/rows.js';

/** Bytes in memory as a file of this name. */
export function memoryInput(content: string | Uint8Array, name: string): DataInput {
  return fileInput(new MemorySource(typeof content === 'string' ? Buffer.from(content) : content, name));
}

/** The same bytes, arriving `size` at a time. */
export function inPieces(content: string | Uint8Array, size: number, name = 'rows.jsonl'): DataInput {
  const bytes = Buffer.from(content);
  async function* chunks(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
  }
  return { name, chunks, isRepeatable: true };
}

export async function allRows(input: DataInput): Promise<RowResult<DataRow>[]> {
  const results: RowResult<DataRow>[] = [];
  for await (const batch of readRows(input)) results.push(...batch);
  return results;
}

/** Rows only; fails on a bad one. */
export async function goodRows(input: DataInput): Promise<DataRow[]> {
  return (await allRows(input)).map((result) => {
    if (!result.row) throw new Error(`line ${result.line}: ${result.message}`);
    return result.row;
  });
}

export function pair(fields: Partial<PairRow> & { id: string }): PairRow {
  return { kind: 'pair', left: 'a', right: 'b', promptId: fields.id, groups: new Map(), votes: [1], ...fields };
}

/** Collects what is written. */
export class MemorySink {
  private readonly pieces: Buffer[] = [];

  async write(bytes: Uint8Array): Promise<void> {
    this.pieces.push(Buffer.from(bytes));
  }

  bytes(): Buffer {
    return Buffer.concat(this.pieces);
  }

  text(): string {
    return this.bytes().toString('utf8');
  }
}
