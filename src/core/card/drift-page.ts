import { formatHash } from '../bytes/format.js';
import { CAUSE_WORDS } from '../drift/causes.js';
import type { CheckDocument } from '../drift/document.js';
import { evidence } from '../drift/verdict.js';
import { type Block, facts, heading, list, note, type Page, paragraph, table } from './blocks.js';
import { driftCharts } from './charts/drift.js';
import { renderHtml } from './html.js';
import { drawAll } from './render-card.js';

const VERDICTS: Readonly<Record<CheckDocument['verdict'], string>> = {
  'no-drift': 'No drift',
  drift: 'Drift',
  'identity-changed': 'Something else scores',
  'not-enough-data': 'Not enough data for a verdict',
};

/** A check as a page: the verdict, then what moved and by how much, then all that was asked. */
export async function driftPage(document: CheckDocument): Promise<string> {
  const charts = driftCharts(document);
  const { drawings } = await drawAll(charts);
  const { verdict, causes, reasons, warnings, alpha } = document;
  const page: Page = {
    title: causes.length > 0 && verdict === 'drift' ? `Drift: ${CAUSE_WORDS[causes[0]]}` : VERDICTS[verdict],
    lead: reasons[0],
    blocks: [
      ...(reasons.length > 1 ? [list(reasons.slice(1))] : []),
      ...warnings.map((warning) => note(warning)),
      ...windowBlocks(document),
      ...charts.map(({ name, alt }): Block => ({ kind: 'picture', name, alt })),
      ...featureBlocks(document),
      ...expectedBlocks(document),
      ...calibrationBlocks(document),
      ...monitorBlocks(document),
      heading(2, 'How this was decided'),
      paragraph(
        `Whole clusters of reference and window were dealt anew ${document.permutations} times for each question; p-values are adjusted by Holm over all of them. The chance that anything is called drift where nothing has changed is at most ${alpha}. What moved by less than its floor does not count, however many rows show it.`,
      ),
    ],
  };
  return renderHtml(page, { picture: (name) => drawings.get(name) ?? null });
}

const span = ({ from, to }: { readonly from: string | null; readonly to: string | null }): string | null =>
  from === null ? null : `${from} to ${to}`;

function windowBlocks({ reference, window, identity }: CheckDocument): Block[] {
  return [
    heading(2, 'What was compared'),
    ...table(
      'Reference and window',
      ['', 'Reference', 'Window'],
      [
        ['Rows', String(reference.rows), String(window.rows)],
        ['Clusters', String(reference.clusters), String(window.clusters)],
        ...(window.refused > 0 ? [['Rows refused', '', String(window.refused)]] : []),
        ...(window.sampled < window.rows ? [['Rows tested, of whole clusters', '', String(window.sampled)]] : []),
        ...(span(window) || span(reference) ? [['Time', span(reference) ?? '-', span(window) ?? '-']] : []),
        ['File', `${reference.name}, ${formatHash(reference.sha256)}`, ''],
      ],
    ),
    ...table(
      'What scores',
      ['', 'Reference', 'Window'],
      identity.map(({ field, reference, window }) => [field, reference.join(', '), window.join(', ')]),
    ),
  ];
}

function featureBlocks({ features, untested, smallGroups }: CheckDocument): Block[] {
  const ordered = [...features].sort(
    (a, b) => Number(b.moved) - Number(a.moved) || b.effect / b.floor - a.effect / a.floor,
  );
  return [
    ...(features.length > 0 ? [heading(2, 'What was asked')] : []),
    ...table(
      'Effects, and p-values as adjusted; what counts has both',
      ['Feature', 'Group', 'What it tells of', 'Moved', 'Effect', 'Floor', 'p', 'Rows'],
      ordered.map(({ feature, group, cause, moved, effect, floor, holm, n }) => [
        feature,
        group ?? 'all',
        CAUSE_WORDS[cause],
        moved ? [{ strong: 'yes' }] : 'no',
        effect.toFixed(3),
        String(floor),
        holm < 0.001 ? holm.toExponential(1) : holm.toFixed(3),
        `${n.window} / ${n.reference}`,
      ]),
      [4, 5, 6, 7],
    ),
    ...table(
      'What was not tested',
      ['Feature', 'Why'],
      [
        ...untested.map(({ feature, reason }) => [feature, reason]),
        ...smallGroups.map((group) => [group, 'too few rows on one side']),
      ],
    ),
  ];
}

const share = (value: number): string => `${(100 * value).toFixed(1)} %`;

function expectedBlocks({ expected }: CheckDocument): Block[] {
  if (!expected) return [];
  const { accuracy, auc, ci, reference, calibrated, bound, labelsNeeded } = expected;
  return [
    heading(2, 'Accuracy to be expected, without labels'),
    ...facts('By the probabilities alone', [
      ['Accuracy', `${share(accuracy)} [${share(ci[0])}, ${share(ci[1])}]`],
      ['AUC', auc === null ? null : auc.toFixed(3)],
      ['Accuracy to be expected of the reference', reference === null ? null : share(reference)],
      ['With the calibration error the reference had', bound && `from ${share(bound.low)} to ${share(bound.high)}`],
      ['Labels that would show a fall by 5 points', String(labelsNeeded)],
    ]),
    note(
      `This trusts the probabilities${calibrated === false ? ', which are not calibrated here,' : ''} and cannot see that raters have come to prefer something else at the same score${bound ? '' : '; how far off it may be is not known, since the reference had no labels'}. Only labels can.`,
    ),
  ];
}

function calibrationBlocks({ calibration }: CheckDocument): Block[] {
  if (!calibration) return [];
  const { n, clusters, tests, ece, accuracy, claimed, moved, refit, holm } = calibration;
  const estimated = (
    { value, ci }: { value: number | null; ci: readonly [number, number] | null },
    digits = 3,
  ): string => `${value?.toFixed(digits) ?? '-'}${ci ? ` [${ci[0].toFixed(digits)}, ${ci[1].toFixed(digits)}]` : ''}`;
  return [
    heading(2, 'Calibration, by labels'),
    paragraph(
      moved
        ? 'The probabilities do not hold.'
        : claimed
          ? 'Nothing shows that the probabilities do not hold by as much as counts.'
          : 'The probabilities are not calibrated, and need not hold.',
    ),
    ...facts(`${n} judged pairs of ${clusters} clusters`, [
      ['Accuracy', share(accuracy)],
      ['Calibration error', ece.toFixed(3)],
      ...tests.map(({ name, pValue }): [string, string] => [`p of ${name}`, pValue.toPrecision(2)]),
      ['p, adjusted for all that was asked', holm.toPrecision(2)],
    ]),
    ...(refit
      ? facts('What fitting again would change', [
          ['Slope of the log-odds', estimated(refit.slope)],
          ['Their intercept', estimated(refit.intercept)],
          ['Pairs whose winner changes', estimated(refit.flips)],
          ['Mean change of a probability', estimated(refit.change)],
          ['How', [{ code: refit.command }]],
        ])
      : []),
  ];
}

function monitorBlocks({ monitors }: CheckDocument): Block[] {
  if (!monitors) return [];
  const { looks, rows, labels, limit, of } = monitors;
  return [
    heading(2, 'Monitors'),
    paragraph(
      `After ${looks} looks at ${rows} rows and ${labels} labels. One speaks where its evidence was ever ${Number(limit.toPrecision(4))} or more, or by e-BH over all of them; however often one looks, that happens in vain with the chance stated.`,
    ),
    ...table(
      'Evidence',
      ['Monitor of', 'Group', 'Clusters', 'Now', 'Highest', 'Spoke'],
      of.map(({ of: what, group, n, logE, mostLogE, alarm }) => [
        what,
        group ?? 'all',
        String(n),
        evidence(logE),
        evidence(mostLogE),
        alarm ? [{ strong: `after ${alarm.n}` }] : 'no',
      ]),
      [2, 3, 4],
    ),
  ];
}
