import type { BatchReport } from '../lifecycle/score/batch.js';
import type { EmbedReport } from '../lifecycle/score/embed.js';
import type { FitWindowsReport } from '../lifecycle/score/fit-windows.js';
import type { MergeReport } from '../lifecycle/score/merge-shards.js';
import type { WorkerReport } from '../lifecycle/worker/worker.js';
import { verdictOf } from '../stats/paired.js';
import { formatCount, formatDuration, formatHash, printable } from './format.js';

const plural = (count: number, noun: string): string => `${formatCount(count)} ${noun}${count === 1 ? '' : 's'}`;

const failures = ({ failed, errors }: { failed: number; errors: string | null }, codes = ''): string[] =>
  failed === 0 ? [] : [`${plural(failed, 'row')} failed${codes}${errors ? `: see ${printable(errors)}` : ''}.`];

/** The text of `hpsv3 batch`. */
export function formatBatch(report: BatchReport): string {
  const { out, rows, failed, failedByCode, resumed, contextIgnored, runtime, sessions, seconds } = report;
  const { rowsPerSecond } = report;
  const codes = Object.entries(failedByCode).map(([code, count]) => `${formatCount(count)} ${code}`);
  const ran = runtime.threads > 1 ? `${runtime.threads} threads` : `${sessions} session${sessions === 1 ? '' : 's'}`;
  return [
    `${plural(rows - failed, 'row')} scored${resumed > 0 ? `, ${formatCount(resumed)} of all before this run` : ''}: ` +
      `${formatDuration(1000 * seconds)}${rowsPerSecond === null ? '' : `, ${rowsPerSecond.toFixed(1)} rows/s`} on ${runtime.device}, ${ran}.`,
    ...failures(report, codes.length > 0 ? ` (${codes.join(', ')})` : ''),
    ...(report.marked ? [describeMarked(report.marked)] : []),
    ...(contextIgnored > 0 ? [`${formatCount(contextIgnored)} rows have a context, which no model here reads.`] : []),
    ...(failedByCode['FILE_NOT_FOUND'] ? [MEDIA_ROOT] : []),
    ...(out !== null || failed === rows ? [outcome(report, 'scores')] : []), // standard output speaks for itself
  ].join('\n');
}

const MEDIA_ROOT = 'Paths in rows start at the folder of the input, or at the one that --media-root names.';

type Outcome = Pick<BatchReport, 'out' | 'errors'> & { readonly format: string };

/** Where no row has a score, the reasons lie in the way of the next run. */
function outcome({ out, format, errors }: Outcome, what: string): string {
  if (out !== null) return `Written: ${printable(out)}, ${format}.`;
  if (errors === null) return `No ${what} were written.`;
  return `No ${what} were written, only ${printable(errors)}: mend the rows, and run it again with --force to replace that file.`;
}

function describeMarked({ rows, by }: NonNullable<BatchReport['marked']>): string {
  const each = Object.entries(by).map(([mark, count]) => `${mark} in ${formatCount(count)}`);
  return `${plural(rows, 'row')} marked: ${each.join(', ')}.`;
}

/** The text of `hpsv3 batch merge`. */
export const formatMerge = (report: MergeReport): string =>
  [
    `${formatCount(report.rows)} rows of ${report.shards} shards: each row of the input exactly once.`,
    ...failures(report),
    outcome(report, 'scores'),
  ].join('\n');

const VERDICTS = {
  better: 'the fitted rule is better',
  worse: 'the fitted rule is worse',
  undecided: 'neither was shown to be better',
} as const;

/** The text of `hpsv3 batch aggregate`. */
export function formatFitWindows(report: FitWindowsReport): string {
  const { sharpness, ci, n, clusters, heldOut, loss, out, window, stride } = report;
  const range = ci
    ? ` (95 % interval ${ci[0].toPrecision(4)} to ${ci[1].toPrecision(4)})`
    : ' (no interval: the labels were not shown to follow the scores)';
  const figure = loss === 'log_loss' ? 'log loss' : 'mean squared error';
  const against = (['mean', 'worst', 'last'] as const).map((rule) => {
    const { loss: other, difference } = heldOut[rule];
    const between = difference.ci
      ? `, fitted less ${rule} ${difference.ci[0].toFixed(4)} to ${difference.ci[1].toFixed(4)}: ${VERDICTS[verdictOf(difference.ci, 'lower')]}`
      : '';
    return `  ${rule.padEnd(6)} ${other.toFixed(4)}${between}`;
  });
  return [
    `Sharpness ${sharpness.toPrecision(4)}${range}, of ${plural(n, 'row')} in ${plural(clusters, 'cluster')}, windows of ${window} every ${stride}.`,
    `Held-out ${figure} (lower is better), and what the fitted rule changes (below 0 is better, 95 % interval):`,
    `  fitted ${heldOut.fitted.toFixed(4)}`,
    ...against,
    `Written: ${printable(out)}.`,
  ].join('\n');
}

/** The text of `hpsv3 embed`. */
export const formatEmbed = (report: EmbedReport): string =>
  [
    `${formatCount(report.rows)} embedding${report.rows === 1 ? '' : 's'} of ${report.dimensions} numbers, model ${formatHash(report.model)}.`,
    ...failures(report),
    ...(report.truncated > 0
      ? [`Of ${formatCount(report.truncated)} the end of a text was left out: it is longer than the model reads.`]
      : []),
    outcome(report, 'embeddings'),
  ].join('\n');

/** What `hpsv3 worker` says at its end. */
export function formatWorker({ rows, failed, frames, seconds, runtime }: WorkerReport): string {
  const withError = failed > 0 ? `, ${formatCount(failed)} with an error` : '';
  const counts = `${formatCount(rows)} row${rows === 1 ? '' : 's'} answered${withError}, ${formatCount(frames)} frame${frames === 1 ? '' : 's'}`;
  return `${counts}: ${formatDuration(1000 * seconds)} on ${runtime.device}.`;
}
