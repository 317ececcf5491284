import { basename } from 'node:path';
import { looksLikeTable, markedKind } from '../bytes/file-kind.js';
import { MemorySource } from '../bytes/source.js';
import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import { openingOf } from './csv-dialect.js';
import { DATA_FORMATS, type DataFormat, type RowFormat } from './formats.js';
import { compressionOf, inflate } from './inflate.js';
import { type DataInput, fileInput, peekInput, withoutMark } from './input.js';
import { type AppliedLayout, chooseLayout, type LayoutChoice } from './layouts/apply.js';
import { parquetColumns } from './parquet.js';
import { readFields } from './read-fields.js';
import type { RowFields } from './row-json.js';

const COMPRESSED = /\.(gz|zst)$/i;

/** The format that a file's name says, be it compressed or not; undefined where it says none. */
function formatInName(name: string): DataFormat | undefined {
  const [, extension] = /\.([a-z]+)$/i.exec(name.replace(COMPRESSED, '')) ?? [];
  const format = extension?.toLowerCase();
  if (format === 'json' || format === 'ndjson') return 'jsonl';
  return DATA_FORMATS.find((known) => known === format);
}

/** The format that a file's name says, or JSONL, as for the standard streams. */
export const formatOfName = (name: string): DataFormat => formatInName(name) ?? 'jsonl';

/** The format of a file to write: as asked for, or by its name. @throws HpsError USAGE for a name that promises compression */
export function outputFormat(out: string, wanted?: DataFormat): DataFormat {
  if (!COMPRESSED.test(out)) return wanted ?? formatOfName(out);
  throw new HpsError('USAGE', `${basename(out)}: what is written is not compressed`, {
    hint: 'Leave the ending .gz or .zst out, and compress the file afterwards; Parquet is compressed within.',
  });
}

export interface RecognisedRows {
  readonly format: RowFormat;
  /** Not compressed. */
  readonly input: DataInput;
  /** How others lay their rows out; null for our own. */
  readonly layout: AppliedLayout | null;
}

/**
 * What rows are written in: what is asked for, or else what the input's name says, or else what its content looks like, which
 * must not contradict the former two. Compressed input is unpacked on the way.
 *
 * @param wanted - the format that the caller says it is
 * @param choice - the layout that the caller says it has; by default what its first records look like
 * @throws HpsError DATA_INVALID for content that is no rows, or rows of another format; as `chooseLayout`
 */
export async function recogniseRows(
  given: DataInput,
  wanted?: DataFormat,
  choice: LayoutChoice = {},
): Promise<RecognisedRows> {
  const { head, input } = await peekInflated(given);
  if (isUtf16(head)) {
    throw noRows(input.name, 'text in UTF-16, not in UTF-8', 'Save it as UTF-8; spreadsheets call that "CSV UTF-8".');
  }
  const due = wanted ?? formatInName(input.name);
  const found = formatOfContent(head);
  if (!found) refuseOther(head, input);
  if (due && found && found !== due && !(found === 'json' && due === 'jsonl')) throw contradiction(input, due, found);
  const format = found ?? due ?? 'jsonl';
  return { format, input, layout: chooseLayout(await firstRecords(format, head, input), choice, input.name) };
}

/** Of a table only the names of its columns: a row of one may be pictures. */
async function firstRecords(format: RowFormat, head: Buffer, input: DataInput): Promise<RowFields[]> {
  if (format === 'parquet') {
    return input.source ? [new Map(parquetColumns(input.source).map((name) => [name, null]))] : [];
  }
  const start = fileInput(new MemorySource(head, input.name));
  const records: RowFields[] = [];
  try {
    for await (const batch of readFields({ format, input: start }, [[]])) {
      for (const { row } of batch) if (row) records.push(row);
      if (records.length > 0) break;
    }
  } catch (error) {
    if (!(error instanceof HpsError)) throw error; // said again, in its place, by whoever reads the whole
  }
  return records.slice(0, FIRST_RECORDS);
}

/** Records that are looked at to tell a layout: a file may begin with an odd one. */
const FIRST_RECORDS = 20;

async function peekInflated(given: DataInput): Promise<{ head: Buffer; input: DataInput }> {
  const { head, input } = await peekInput(given, LIMITS.rowsSniffBytes);
  const compression = compressionOf(head);
  if (!compression) return { head, input };
  const { name, isRepeatable } = input;
  const inflated = { name, isRepeatable, chunks: () => inflate(input.chunks(), compression, name) };
  return peekInput(inflated, LIMITS.rowsSniffBytes);
}

/** By all of the first lines, so that damage to one of them does not turn a file into another; undefined for none of these. */
function formatOfContent(head: Buffer): RowFormat | undefined {
  if (head.toString('latin1', 0, 4) === 'PAR1') return 'parquet';
  const text = withoutMark(head).toString('latin1').trimStart();
  if (/^\[\s*(?:[\]{]|$)/.test(text) || /^\{\s*\n/.test(text)) return 'json';
  if (text.startsWith('{')) return 'jsonl';
  if (openingOf(head).knownColumns > 1) return 'csv';
  if (/^[ \t]*\{[ \t]*"/m.test(text)) return 'jsonl';
  return /^["\w]/.test(text) && looksLikeTable(text.split(/\r\n?|\n/)) ? 'csv' : undefined;
}

/** Refuses what says by its first bytes that it is something else. */
function refuseOther(head: Buffer, { name, source }: DataInput): void {
  const kind = head.byteLength > 0 && markedKind(source ?? new MemorySource(head, name));
  if (kind) throw noRows(name, kind.what, kind.is === 'pointer' ? kind.hint : 'Give the file that has the rows.');
}

const noRows = (file: string, what: string, hint: string): HpsError =>
  new HpsError('DATA_INVALID', `${file}: ${what}; rows are due: JSONL, CSV or Parquet`, {
    hint,
    details: { file, kind: what },
  });

/** By its mark, or by three letters of which every other byte is zero. */
function isUtf16(head: Buffer): boolean {
  const zeros = [...head.subarray(0, 6)].map((byte) => (byte === 0 ? '0' : 'x')).join('');
  return (
    head.indexOf('\xff\xfe', 0, 'latin1') === 0 ||
    head.indexOf('\xfe\xff', 0, 'latin1') === 0 ||
    zeros === 'x0x0x0' ||
    zeros === '0x0x0x'
  );
}

const WORDS: Readonly<Record<RowFormat, string>> = { jsonl: 'JSONL', json: 'JSON', csv: 'CSV', parquet: 'Parquet' };

function contradiction({ name }: DataInput, due: DataFormat, found: RowFormat): HpsError {
  return new HpsError('DATA_INVALID', `${name}: is ${WORDS[found]}, not ${WORDS[due]}`, {
    hint: 'Name it for what it is, or say so with `from`.',
    details: { file: name, due, found },
  });
}
