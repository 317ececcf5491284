import { basename } from 'node:path';
import { looksLikeTable, markedKind } from '../bytes/file-kind.js';
import { MemorySource } from '../bytes/source.js';
import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import { openingOf } from './csv-dialect.js';
import { compressionOf, inflate } from './inflate.js';
import { type DataInput, peekInput, withoutMark } from './input.js';

/** Formats of rows, as they are written and asked for. */
export const DATA_FORMATS = ['jsonl', 'csv', 'parquet'] as const;
export type DataFormat = (typeof DATA_FORMATS)[number];

/** `json` is an array, or objects over several lines: what JSONL is also given as. */
export type RowFormat = DataFormat | 'json';

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
}

/**
 * What rows are written in: what is asked for, or else what the input's name says, or else what its content looks like, which
 * must not contradict the former two. Compressed input is unpacked on the way.
 *
 * @param wanted - the format that the caller says it is
 * @throws HpsError DATA_INVALID for content that is no rows, or rows of another format
 */
export async function recogniseRows(given: DataInput, wanted?: DataFormat): Promise<RecognisedRows> {
  const { head, input } = await peekInflated(given);
  if (isUtf16(head)) {
    throw noRows(input.name, 'text in UTF-16, not in UTF-8', 'Save it as UTF-8; spreadsheets call that "CSV UTF-8".');
  }
  const due = wanted ?? formatInName(input.name);
  const found = formatOfContent(head);
  if (!found) refuseOther(head, input);
  if (due === undefined) return { format: found ?? 'jsonl', input };
  if (found && found !== due && !(found === 'json' && due === 'jsonl')) throw contradiction(input, due, found);
  return { format: found ?? due, input };
}

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
