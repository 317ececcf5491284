import { describeCoding, describeLayout, firstReasons, type RowsReport } from '../data/row-counts.js';
import type {
  ConsensusFileReport,
  ConvertFileReport,
  DataFileReport,
  DataStatsReport,
  SplitFileReport,
} from '../lifecycle/data/data-files.js';
import { formatCount, printable } from './format.js';
import { formatTable, terminalWidth } from './table.js';

const percent = (value: number | null): string => (value === null ? '-' : `${(100 * value).toFixed(1)} %`);
const decimals = (value: number | null): string => value?.toFixed(3).replace(/^-(0\.0*)$/, '$1') ?? '-';

/** What reading came to, one line a fact: rows read, refused by reason, left out, and fields that are not of the format. */
export function describeRows(report: RowsReport, errors: string | null): string[] {
  const { rows, badRows, badRowsByCode, ignoredFields } = report;
  const lines = [`${formatCount(rows)} rows read.`];
  if (badRows > 0) {
    const codes = Object.entries(badRowsByCode).map(([code, count]) => `${formatCount(count)} ${code}`);
    const where = errors ? `: see ${printable(errors)}` : '';
    lines.push(`${formatCount(badRows)} rows refused (${codes.join(', ')})${where}.`);
    lines.push(`The first: ${printable(firstReasons(report))}.`);
  }
  const layout = describeLayout(report);
  if (layout !== null) lines.push(`${layout}.`);
  const coding = describeCoding(report);
  if (coding !== null) lines.push(`${coding}.`);
  const ignored = Object.entries(ignoredFields).map(([name, count]) => `${printable(name)} (${formatCount(count)})`);
  if (ignored.length > 0) lines.push(`Fields that the format does not have: ${ignored.join(', ')}.`);
  return lines;
}

const written = ({ out, format }: DataFileReport, rows: number): string[] => {
  if (rows === 0) return ['Nothing was written.'];
  return out === null ? [] : [`Written: ${printable(out)}, ${format}.`];
};

export const formatConvert = (report: ConvertFileReport): string =>
  [...describeRows(report.input, report.errors), ...written(report, report.input.rows)].join('\n');

export function formatConsensus(report: ConsensusFileReport): string {
  const dropped = [
    report.disagreed > 0 ? `${formatCount(report.disagreed)} dropped for low agreement` : '',
    report.unlabelled > 0 ? `${formatCount(report.unlabelled)} without votes` : '',
  ].filter(Boolean);
  const raters = report.raters?.map(({ name, accuracy }) => [name, decimals(accuracy)]);
  return [
    ...describeRows(report.input, report.errors),
    `${formatCount(report.written)} rows with one answer${dropped.length > 0 ? `; ${dropped.join(', ')}` : ''}.`,
    ...(raters ? [formatTable(['rater', 'accuracy'], raters, { width: terminalWidth() })] : []),
    ...written(report, report.written),
  ].join('\n');
}

export function formatSplit(report: SplitFileReport): string {
  const rows = Object.entries(report.parts).map(([part, { rows: count, clusters }]) => [
    part,
    report.files[part]?.name,
    count,
    clusters,
  ]);
  const table = formatTable(['part', 'file', 'rows', 'clusters'], rows, { width: terminalWidth() });
  return [...describeRows(report.input, report.errors), report.input.rows > 0 ? table : 'Nothing was written.'].join(
    '\n',
  );
}

/** Values of one group that are listed. */
const MAX_VALUES = 10;

/** The text of `hpsv3 data stats`: a table of facts, then one of groups. */
export function formatDataStats(stats: DataStatsReport): string {
  const { byType, byModality, clusters, votes, agreement } = stats;
  const facts: [string, string | number][] = [
    ['pairs', byType.pair],
    ['scored items', byType.absolute],
    ...Object.entries(byModality).map(([name, count]): [string, number] => [`modality ${name}`, count]),
    ['clusters', clusters.count],
    ['rows of the largest cluster', clusters.largest],
    ['rows without a judgement', stats.input.unlabelled],
    ['votes', votes.total],
    ['ties', votes.ties],
    ['soft labels', votes.softLabels],
    ['votes for the left', percent(votes.leftShare)],
    ['rows with several judgements', agreement.rows],
    ['mean agreement', percent(agreement.mean)],
    ["Krippendorff's alpha of votes", decimals(agreement.krippendorffAlpha)],
    ["Fleiss' kappa of votes", decimals(agreement.fleissKappa)],
    ['alpha of ratings, interval', decimals(agreement.ratingsAlpha.interval)],
    ['alpha of ratings, ordinal', decimals(agreement.ratingsAlpha.ordinal)],
  ];
  const shown = facts.map(([name, value]) => [name, typeof value === 'number' ? formatCount(value) : value]);
  const lines = [...describeRows(stats.input, stats.errors), '', formatTable(['fact', 'value'], shown)];
  if (stats.groups.length > 0) lines.push('', formatGroups(stats.groups));
  return lines.join('\n');
}

function formatGroups(groups: DataStatsReport['groups']): string {
  const rows = groups.flatMap(({ name, values, otherValues }) => {
    const entries = Object.entries(values);
    const more = entries.length - MAX_VALUES + otherValues;
    return [
      ...entries.slice(0, MAX_VALUES).map(([value, count]) => [name, value, count]),
      ...(entries.length > MAX_VALUES ? [[name, `and ${more} more values`, null]] : []),
    ];
  });
  return formatTable(['group', 'value', 'rows'], rows, { width: terminalWidth() });
}
