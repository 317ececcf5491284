import { formatCount } from '../../bytes/format.js';
import { type Block, facts as factTable, heading, list, note, paragraph, prose, type Text } from '../blocks.js';
import type { CardFacts } from '../card-facts.js';
import type { Dataset } from '../card-text.js';
import { metricOf } from '../figures.js';
import { BINDING_WORDS, dataName, ratersWords, rowsWords } from '../words.js';
import { maybe, section } from './maker.js';

/** Which groups are looked at, and what the maker says of them. */
export function factors(facts: CardFacts): Block[] {
  const { relevant, evaluated } = facts.text.factors ?? {};
  const described = new Map(facts.datasets.flatMap(({ groups = {} }) => Object.entries(groups)));
  const counts = new Map<string, { shown: number; suppressed: number }>();
  for (const { by, suppressed } of facts.evaluations.flatMap(({ report }) => report.groups)) {
    const count = counts.get(by) ?? { shown: 0, suppressed: 0 };
    if (suppressed) count.suppressed++;
    else count.shown++;
    counts.set(by, count);
  }
  const items = [...counts].map(([by, { shown, suppressed }]): Text => {
    const words = described.get(by);
    const few = suppressed > 0 ? `, ${suppressed} more suppressed for too few rows` : '';
    return [{ strong: by }, `: ${shown} groups shown${few}.`, ...(words === undefined ? [] : prose(` ${words}`))];
  });
  return section(facts, 'factors', [
    ...maybe(relevant),
    ...(items.length > 0 ? [heading(3, 'Groups that figures are given for'), list(items)] : []),
    ...maybe(evaluated),
  ]);
}

/** What is measured, how the decision is made, and where intervals come from. */
export function metrics(facts: CardFacts): Block[] {
  const { choice, thresholds, variation } = facts.text.metrics ?? {};
  const ids = [...new Set(facts.evaluations.flatMap(({ report }) => Object.keys(report.overall)))];
  const items = ids.map((id): Text => [{ strong: metricOf(id).label }, `: ${metricOf(id).source}.`]);
  const [first] = facts.evaluations;
  const resamples = first
    ? `Intervals are 95 % percentile intervals of ${formatCount(first.report.resamples)} resamples of clusters: rows of one prompt are drawn together. P-values of gaps are adjusted by Holm for the number of gaps.`
    : undefined;
  return section(facts, 'metrics', [
    ...maybe(choice),
    ...(items.length > 0 ? [heading(3, 'Definitions'), list(items)] : []),
    heading(3, 'Decision and variation'),
    ...maybe(
      thresholds ?? 'The winner of a pair is the side that the sign of the pair logit names; exactly 0 is a tie.',
    ),
    ...maybe(resamples),
    ...maybe(variation),
  ]);
}

function describe({ name, roles, license, url, hub_id: hub, revision, split, raters, description }: Dataset): Block[] {
  return [
    heading(3, name),
    ...maybe(description),
    ...factTable(`What is known of ${name}`, [
      ['Used for', roles.join(', ')],
      ['Licence', license ?? 'not stated'],
      ['Address', url === undefined ? null : [{ href: url, text: url }]],
      ['Hub', hub === undefined ? null : [{ href: `https://huggingface.co/datasets/${hub}`, text: hub }]],
      ['Revision', revision],
      ['Split', split],
      ['Raters', raters === undefined ? null : prose(raters)],
    ]),
  ];
}

const having = ({ datasets }: CardFacts, role: Dataset['roles'][number]): Dataset[] =>
  datasets.filter(({ roles }) => roles.includes(role));

export function evaluationData(facts: CardFacts): Block[] {
  const { motivation, preprocessing } = facts.text.evaluation_data ?? {};
  const judged = facts.evaluations.flatMap((one): Block[] => {
    const { binding, inSample, report } = one;
    const sentences: Text = [
      { strong: dataName(facts, one) },
      `: ${rowsWords(report)} ${BINDING_WORDS[binding]} Who judged: `,
      ...prose(ratersWords(facts, one)),
    ];
    const seen =
      'The calibrator was fitted on these labels. Accuracy and AUC are not touched by that; figures of probabilities (log loss, Brier score, calibration errors) look better than they would on new labels. Out-of-fold figures are under Calibration.';
    return [paragraph(sentences), ...(inSample ? [note(seen)] : [])];
  });
  const calibration = having(facts, 'calibration').filter(({ roles }) => !roles.includes('evaluation'));
  return section(facts, 'evaluation-data', [
    ...judged,
    ...maybe(motivation),
    ...having(facts, 'evaluation').flatMap(describe),
    ...calibration.flatMap(describe),
    ...(preprocessing === undefined ? [] : [heading(3, 'Preprocessing'), ...maybe(preprocessing)]),
  ]);
}

export function trainingData(facts: CardFacts): Block[] {
  return section(facts, 'training-data', [
    ...maybe(facts.text.training_data?.description),
    ...having(facts, 'training').flatMap(describe),
  ]);
}
