import { formatCount } from '../bytes/format.js';
import type { SessionFigures } from '../labelling/wire.js';
import type { ForgetRaterReport } from '../lifecycle/label/forget.js';
import type { LabelAddress, LabelReport } from '../lifecycle/label/label.js';
import type { MergeLabelsReport } from '../lifecycle/label/merge.js';
import { printable } from './format.js';

/** What `hpsv3 label` says once raters can come. */
export function formatLabelling({ url, admin, raters }: LabelAddress): string {
  const links = raters.map(({ rater, url: link }) => `${rater}: ${link}`);
  const how = links.length > 0 ? ['One link for each rater, good for one person, once:', ...links] : [];
  return [`Listening on ${url}`, `Progress, for you alone: ${admin}`, ...how].join('\n');
}

export function formatLabels({ figures, files, withdrawn, packed }: LabelReport): string {
  const gone = Object.keys(withdrawn).length;
  return [
    ...(packed === undefined ? summary(figures) : [`${formatCount(packed)} pairs, and the page, in one file.`]),
    ...(gone > 0 ? [`${gone} pairs could not be shown.`] : []),
    `Written: ${files.map(printable).join(', ')}`,
  ].join('\n');
}

export function formatMergedLabels({ merged, figures, files }: MergeLabelsReport): string {
  const each = merged.map(
    ({ file, added, known }) => `${printable(file)}: ${added} votes added, ${known} known already`,
  );
  return [...each, ...summary(figures), `Written: ${files.join(', ')}`].join('\n');
}

export const formatForgotten = ({ rater, votes }: ForgetRaterReport): string =>
  `${printable(rater)} is forgotten: ${votes} votes are nobody's now.`;

function summary({ votes, pairs, done, due, alpha, raters }: SessionFigures): string[] {
  const flagged = raters.filter(({ sideBias, paused }) => sideBias || paused);
  return [
    `${formatCount(votes)} labels of ${raters.length} raters; ${formatCount(done)} of ${formatCount(pairs)} pairs done, ${formatCount(due)} votes due.`,
    ...(alpha.value === null
      ? []
      : [
          `Krippendorff's alpha ${alpha.value.toFixed(3)}${alpha.ci ? ` (${alpha.ci.map((end) => end.toFixed(3)).join(' to ')})` : ''}`,
        ]),
    ...flagged.map(({ rater, sideBias }) =>
      sideBias
        ? `${printable(rater)} goes by place: look at its votes.`
        : `${printable(rater)} was paused: gold was answered wrong.`,
    ),
  ];
}
