import type { RunReport } from '../lifecycle/report/run-report.js';
import { printable } from './format.js';
import { formatTable, terminalWidth } from './table.js';

/** The text of `hpsv3 report`. */
export function formatRunReport({ out, files, documents, skipped }: RunReport): string {
  const rows = documents.map(({ path, kind }) => [path, kind]);
  return [
    formatTable(['report', 'of'], rows, { width: terminalWidth() }),
    ...(skipped.length > 0
      ? ['', ...skipped.map(({ path, why }) => `Not read: ${printable(path)}: ${printable(why)}`)]
      : []),
    '',
    `Written: ${printable(out)}${files.length > 1 ? ' (README.md, index.html)' : ''}`,
  ].join('\n');
}
