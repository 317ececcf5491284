import { crc32 } from 'node:zlib';
import type { DataFormat } from '../../data/formats.js';
import { IdSet } from '../../data/id-set.js';
import type { DataInput } from '../../data/input.js';
import { toPlainRow } from '../../data/jsonl.js';
import type { LabelLayout } from '../../data/layouts/apply.js';
import { readRecognisedRows } from '../../data/read-rows.js';
import { recogniseRows } from '../../data/recognise.js';
import { repeatedId } from '../../data/row-counts.js';
import type { DataRow, RowResult } from '../../data/rows.js';
import { idHash, isInShard, type Shard } from '../../data/shard.js';
import { VoteSpelling } from '../../data/vote-coding.js';
import { HpsError } from '../../errors.js';
import type { ErrorRecord } from './score-rows.js';

/** A row of the input in its place: to be scored, or refused. */
export interface InputRow {
  readonly line: number;
  /** CRC-32 of what the row says. */
  readonly crc: number;
  /** Undefined for one that is refused. */
  readonly row?: DataRow;
  readonly error?: ErrorRecord;
}

export interface ReadInputOptions extends LabelLayout {
  /** Without it, what the input's name says. */
  readonly format?: DataFormat;
  readonly shard?: Shard;
}

/** How much of an input was read, for estimates. */
export interface InputProgress {
  rows: number;
  bytes: number;
}

/**
 * The rows of a data file that belong to a shard, several at a time, with those that are refused in their places: unreadable ones, and
 * repeated ids. A row without an id belongs to the shard of `row-LINE`.
 */
export async function* readInputRows(
  input: DataInput,
  { format, shard, layout, map }: ReadInputOptions,
  progress: InputProgress = { rows: 0, bytes: 0 },
): AsyncGenerator<InputRow[]> {
  const ids = new IdSet();
  const rows = await recogniseRows(counted(input, progress), format, { layout, map });
  if (shard && rows.layout?.layout.isMany) throw manyOfOne(input.name, rows.layout.layout.id);
  for await (const batch of readRecognisedRows(rows, { ignored: new Map(), votes: new VoteSpelling() })) {
    progress.rows += batch.length;
    const chosen: InputRow[] = [];
    for (const result of batch) {
      const hash = idHash(result.row?.id ?? `row-${result.line}`);
      if (shard && !isInShard(hash, shard)) continue;
      const repeated = result.row !== undefined && !ids.add(hash);
      chosen.push(toInputRow(repeated ? repeatedId(result.row.id, result.line) : result, result.row?.id ?? null));
    }
    yield chosen;
  }
}

/** Rows of one record would fall to several shards, and no order of the file would put them together again. */
const manyOfOne = (file: string, layout: string): HpsError =>
  new HpsError('USAGE', `${file}: a record of the layout ${layout} stands for several rows, which shards would part`, {
    hint: 'Convert it first: hpsv3 data convert.',
    details: { file, layout },
  });

function toInputRow(result: RowResult<DataRow>, id: string | null): InputRow {
  const { line } = result;
  if (result.row) return { line, crc: crc32(JSON.stringify(toPlainRow(result.row))), row: result.row };
  const error: ErrorRecord = { line, id, code: result.code, message: result.message };
  return { line, crc: crc32(JSON.stringify(error)), error };
}

function counted(input: DataInput, progress: InputProgress): DataInput {
  return {
    ...input,
    async *chunks() {
      for await (const chunk of input.chunks()) {
        progress.bytes += chunk.byteLength;
        yield chunk;
      }
    },
  };
}
