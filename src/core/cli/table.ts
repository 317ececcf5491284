import { stripVTControlCharacters } from 'node:util';
import { formatCount, printable } from './format.js';
import { styled, styledCell } from './style.js';

export type Cell = string | number | boolean | null | undefined;

export interface TableOptions {
  /** Widest line, in terminal columns. Cells of the widest text column are cut to fit; unlimited by default. */
  width?: number;
}

const GAP = '  ';
const MIN_COLUMN = 8; // a name cut shorter than this says nothing
/** No cell is padded to more than this, however wide another of its column is: names come from files, and may be megabytes long. */
const MAX_ALIGNED = 128;
/** East Asian wide and full-width forms and emoji take two columns; the ranges of Unicode TR 11 that terminals agree on. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;
const COMBINING = /[\p{Mn}\p{Me}\p{Cf}]/u;

/** Terminal columns `text` takes. */
export function displayWidth(text: string): number {
  let width = 0;
  for (const char of stripVTControlCharacters(text)) width += COMBINING.test(char) ? 0 : WIDE.test(char) ? 2 : 1;
  return width;
}

/** Cuts `text` to `width` columns, its end replaced by `…`. */
export function truncate(text: string, width: number): string {
  if (displayWidth(text) <= width) return text;
  let kept = '';
  let used = 1; // the ellipsis
  for (const char of text) {
    used += displayWidth(char);
    if (used > width) break;
    kept += char;
  }
  return `${kept}…`;
}

/**
 * Rows as aligned text under `headers`, without a trailing newline; numbers are set right, headings are bold and verdicts coloured
 * where there are colours.
 * Control characters in cells are spelt out, since names come from files.
 */
export function formatTable(
  headers: readonly string[],
  rows: readonly (readonly Cell[])[],
  options: TableOptions = {},
) {
  const texts = [headers.map(String), ...rows.map((row) => row.map(formatCell))];
  const rightAligned = headers.map((_, column) => rows.length > 0 && rows.every((row) => isNumeric(row[column])));
  const widths = headers.map((_, column) =>
    Math.min(
      MAX_ALIGNED,
      texts.reduce((most, row) => Math.max(most, displayWidth(row[column])), 0),
    ),
  );
  shrinkToFit(widths, rightAligned, options.width ?? Number.POSITIVE_INFINITY);
  const shorten = options.width === undefined ? (text: string) => text : truncate;
  return texts
    .map((row, i) =>
      row
        .map((text, column) => {
          const short = shorten(text, widths[column]);
          const shown = i === 0 ? styledHeading(short) : styledCell(short);
          return pad(shown, widths[column], rightAligned[column]);
        })
        .join(GAP)
        .trimEnd(),
    )
    .join('\n');
}

const styledHeading = (text: string): string => (text === '' ? text : styled('heading', text));

/**
 * Prose broken between words, so that a terminal does not break within them; lines with columns (two spaces in a row) stay as they are.
 * @param width - undefined leaves all as it is
 */
export function wrapProse(text: string, width: number | undefined): string {
  if (width === undefined) return text;
  return text
    .split('\n')
    .map((line) => (displayWidth(line) <= width || /\S {2,}\S/.test(line) ? line : wrapLine(line, width)))
    .join('\n');
}

/** Prose on lines of its own below a heading or a row. */
export function indentedProse(text: string, indent: number, width: number | undefined): string {
  const margin = ' '.repeat(indent);
  const wrapped = wrapProse(text, width === undefined ? undefined : width - indent);
  return wrapped
    .split('\n')
    .map((line) => `${margin}${line}`)
    .join('\n');
}

function wrapLine(line: string, width: number): string {
  const lines: string[] = [];
  for (const word of line.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && displayWidth(last) + 1 + displayWidth(word) <= width)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines.join('\n');
}

/** Columns of the terminal on stdout, or undefined off a terminal, where nothing should be cut. */
export function terminalWidth(): number | undefined {
  return process.stdout.isTTY ? process.stdout.columns : undefined;
}

function formatCell(cell: Cell): string {
  if (cell === null || cell === undefined) return '-';
  if (typeof cell === 'number') return Number.isInteger(cell) ? formatCount(cell) : String(cell);
  return printable(String(cell));
}

const isNumeric = (cell: Cell): boolean => typeof cell === 'number' || cell === null || cell === undefined;

function pad(text: string, width: number, right: boolean): string {
  const space = ' '.repeat(Math.max(0, width - displayWidth(text)));
  return right ? space + text : text + space;
}

/** Takes what is too much from the widest text columns, one after the other. */
function shrinkToFit(widths: number[], fixed: readonly boolean[], limit: number): void {
  let excess = widths.reduce((sum, width) => sum + width, 0) + GAP.length * (widths.length - 1) - limit;
  const widestFirst = widths.map((_, column) => column).filter((column) => !fixed[column]);
  widestFirst.sort((a, b) => widths[b] - widths[a]);
  for (const column of widestFirst) {
    if (!(excess > 0)) return;
    const cut = Math.min(excess, Math.max(0, widths[column] - MIN_COLUMN));
    widths[column] -= cut;
    excess -= cut;
  }
}
