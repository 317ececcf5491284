import { isUtf8 } from 'node:buffer';
import type { DataFormat } from './formats.js';
import type { DataInput } from './input.js';
import { badRow, parseJsonlRow, tooLarge } from './jsonl.js';
import { LabelScanner } from './label-scan.js';
import { type LabelTable, LabelTableBuilder } from './label-table.js';
import type { LayoutChoice } from './layouts/apply.js';
import { type LineBlock, lineEnd, readLineBlocks } from './lines.js';
import { parseDataRow } from './parse-row.js';
import { fieldsAgain, readRecognisedRows } from './read-rows.js';
import { type RecognisedRows, recogniseRows } from './recognise.js';
import { RowCounts, type RowsReport } from './row-counts.js';
import type { BadRow, DataRow, RowResult } from './rows.js';

export interface ReadLabelsOptions extends LayoutChoice {
  /** Without it, what the input's name says, or its content. */
  readonly format?: DataFormat;
  /** Rows to keep, where a file has both kinds; without it, the kind of the first row with a judgement. */
  readonly kind?: DataRow['kind'];
  readonly onBadRow?: (row: BadRow) => void;
}

export interface Labels {
  readonly table: LabelTable;
  readonly report: RowsReport;
}

/**
 * Human labels as columns. Bad rows and repeated ids are left out and counted; a file without any good row gives an empty
 * table.
 *
 * @throws HpsError DATA_INVALID when the file as a whole cannot be read (a broken Parquet footer, a repeated CSV header)
 */
export async function readLabels(input: DataInput, options: ReadLabelsOptions = {}): Promise<Labels> {
  const counts = new RowCounts(options.onBadRow);
  const builder = new LabelTableBuilder(counts, options.kind);
  const add = (result: RowResult<DataRow>): void => {
    if (result.row) builder.addRow(result.row, result.line);
    else counts.addBad(result);
  };
  const rows = await recogniseRows(input, options.format, options);
  counts.layout = rows.layout?.layout.id;
  if (rows.format === 'jsonl' && !rows.layout) await readJsonlLabels(rows, builder, counts, add);
  else for await (const batch of readRecognisedRows(rows, counts)) batch.forEach(add);
  return { table: builder.finish(), report: counts.report() };
}

/** The fast way: rows go from bytes to columns, and only unusual ones through the strict parser. */
async function readJsonlLabels(
  rows: RecognisedRows,
  builder: LabelTableBuilder,
  counts: RowCounts,
  add: (result: RowResult<DataRow>) => void,
): Promise<void> {
  const scanner = new LabelScanner(builder);
  const { ignored, votes } = counts;
  const parse = (bytes: Uint8Array, line: number): RowResult<DataRow> | null =>
    parseJsonlRow(bytes, line, (fields) => parseDataRow(fields, line, ignored, votes));
  for await (const block of readLineBlocks(rows.input.chunks())) {
    if (block.tooLong) counts.addBad(badRow(tooLarge(), block.firstLine));
    const scannable = isScannable(block);
    let line = block.firstLine;
    for (let start = block.start; start < block.end; line++) {
      const taken = scannable && !votes.coding ? scanner.take(block.bytes, start, line) : -1;
      const end = taken >= 0 ? taken : lineEnd(block, start) + 1;
      if (taken < 0) {
        const bytes = block.bytes.subarray(start, end - 1);
        let result = parse(bytes, line);
        if (votes.isPending) {
          await votes.settle(fieldsAgain(rows));
          result = parse(bytes, line);
        }
        if (result) add(result);
      }
      start = end;
    }
  }
}

/** The scanner needs valid UTF-8 and a newline at the end. */
function isScannable(block: LineBlock): boolean {
  return block.bytes[block.end - 1] === 0x0a && isUtf8(block.bytes.subarray(block.start, block.end));
}
