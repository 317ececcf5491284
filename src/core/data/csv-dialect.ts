import { type CsvDialect, type CsvRecord, CsvScanner } from './csv-records.js';
import { isColumnOfFormat } from './flat.js';
import { withoutMark } from './input.js';
import type { BadRow } from './rows.js';

const DELIMITERS = [',', ';', '\t', '|'];
/** A first line by which Excel is told the delimiter, and tells it. */
const SEPARATOR_LINE = /^"?sep=([\x21-\x7e\t ])"?(?:\r\n|\n|\r|$)/i;

export interface CsvOpening extends CsvDialect {
  /** Whether a line `sep=;` stands before the header. */
  readonly hasSeparatorLine: boolean;
  /** Names of the header that rows or scores have a column for. */
  readonly knownColumns: number;
}

/** How a CSV is written, by its first bytes: the delimiter is that which makes most of the header's names known ones. */
export function openingOf(head: Buffer): CsvOpening {
  const bytes = withoutMark(head);
  const carriageReturns = endsInReturns(bytes);
  const [line, separator] = SEPARATOR_LINE.exec(bytes.toString('latin1', 0, 16)) ?? [];
  const header = line === undefined ? bytes : bytes.subarray(line.length);
  const tried = (separator === undefined ? DELIMITERS : [separator]).map((character) => {
    const dialect = { delimiter: character.charCodeAt(0), carriageReturns };
    return { ...dialect, hasSeparatorLine: line !== undefined, knownColumns: countKnown(header, dialect) };
  });
  return tried.reduce((best, each) => (each.knownColumns > best.knownColumns ? each : best));
}

function countKnown(header: Buffer, dialect: CsvDialect): number {
  const scanner = new CsvScanner(dialect);
  const first: CsvRecord | BadRow | undefined = scanner.push(header).next().value ?? scanner.finish().next().value;
  if (!first || !('cells' in first)) return 0;
  return first.cells.filter((cell) => cell !== null && isColumnOfFormat(cell.trim())).length;
}

/** Whether lines end in carriage returns alone: there is one, and no newline outside quotes. */
function endsInReturns(bytes: Buffer): boolean {
  let isQuoted = false;
  let hasReturn = false;
  for (const byte of bytes) {
    if (byte === 0x22) isQuoted = !isQuoted;
    else if (isQuoted) continue;
    else if (byte === 0x0a) return false;
    else if (byte === 0x0d) hasReturn = true;
  }
  return hasReturn;
}
