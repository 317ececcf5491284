import type { DiffCardsReport } from '../lifecycle/card/diff.js';
import type { VerifyCardReport } from '../lifecycle/card/verify.js';
import type { ModelCardReport } from '../lifecycle/card/write.js';
import { formatCount, printable } from './format.js';
import { formatFigure, formatInterval, metricOf } from './render-figures.js';
import { formatTable, terminalWidth } from './table.js';

/** The text of `hpsv3 modelcard`. */
export function formatModelCard({ name, out, files, bound, gaps, missingInputs }: ModelCardReport): string {
  const lines = [`Card of ${printable(name)}: ${files.length} files, bound to ${bound.length} by their hashes`];
  if (gaps.length > 0) {
    lines.push('', `Not stated (${gaps.length}):`, ...gaps.map(({ section, text }) => `  ${section}: ${text}`));
  }
  if (missingInputs.length > 0) {
    lines.push(
      '',
      `Figures of evaluations cannot be computed again without ${missingInputs.map(printable).join(', ')}: give the folder with --files FOLDER.`,
    );
  }
  return [...lines, '', `Written: ${printable(out)}`].join('\n');
}

/** Differences that are listed one by one. */
const MAX_DIFFERENCES = 50;

/** The text of `hpsv3 modelcard verify`. */
export function formatVerifyCard(report: VerifyCardReport): string {
  const { name, bound, changed, differences, renderings, compared, recomputed, notes } = report;
  const lines = [
    formatTable(
      ['bound file', 'as', 'is'],
      bound.map((file) => [file.name, file.role, file.status]),
      { width: terminalWidth() },
    ),
    '',
    `${formatCount(compared)} numbers compared with their reports, ${formatCount(recomputed)} computed again from scores and labels`,
  ];
  if (differences.length > 0) {
    const rows = differences
      .slice(0, MAX_DIFFERENCES)
      .map(({ at, stated, found }) => [at, String(stated), String(found)]);
    lines.push('', formatTable(['differs', 'stated', 'found'], rows, { width: terminalWidth() }));
    if (differences.length > MAX_DIFFERENCES)
      lines.push(`and ${differences.length - MAX_DIFFERENCES} more; see --json`);
  }
  if (changed.length > 0) lines.push('', `Not as SHA256SUMS says: ${changed.map(printable).join(', ')}`);
  if (renderings.length > 0) lines.push('', `Not what the facts give: ${renderings.map(printable).join(', ')}`);
  if (notes.length > 0) lines.push('', ...notes.map(printable));
  return [...lines, '', `${printable(name)}: ${verdictOf(report)}`].join('\n');
}

/** A card is verified where all it states was found again; one that only agrees with its own reports is not. */
function verdictOf({ passed, evaluations: { total, recomputed } }: VerifyCardReport): string {
  if (!passed) return 'NOT verified';
  const again = `${recomputed} of ${total} evaluations computed again`;
  if (total > 0 && recomputed === total) return `verified, ${again}`;
  return `nothing contradicts it, but it is not verified: ${again}`;
}

/** The text of `hpsv3 modelcard diff`. */
export function formatDiffCards(report: DiffCardsReport): string {
  const { before, after, n, deltas, regressed, improved, undecided, notes } = report;
  const rows = deltas.map((delta) => [
    delta.by ?? 'all rows',
    delta.value ?? '',
    metricOf(delta.metric).label,
    delta.n,
    formatFigure(delta.before),
    formatFigure(delta.after),
    formatFigure(delta.difference),
    formatInterval(delta.ci),
    delta.holm === null ? '-' : delta.holm.toPrecision(2),
    delta.verdict,
  ]);
  const headers = [
    'by',
    'group',
    'metric',
    'rows',
    'before',
    'after',
    'change',
    '95 % interval',
    'p (Holm)',
    'verdict',
  ];
  return [
    `${printable(before.name)} -> ${printable(after.name)}: ${formatCount(n)} rows that both scored`,
    ...notes,
    '',
    formatTable(headers, rows, { width: terminalWidth() }),
    '',
    `${regressed} regressed, ${improved} improved, ${undecided} undecided`,
  ].join('\n');
}
