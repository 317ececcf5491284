import type { CardFacts, Gap } from './card-facts.js';

/** The sections of a card (Mitchell et al., "Model Cards for Model Reporting", 2019), in their order. */
export const SECTIONS = {
  details: 'Model details',
  'intended-use': 'Intended use',
  factors: 'Factors',
  metrics: 'Metrics',
  'evaluation-data': 'Evaluation data',
  'training-data': 'Training data',
  'quantitative-analyses': 'Quantitative analyses',
  'ethical-considerations': 'Ethical considerations',
  caveats: 'Caveats and recommendations',
} as const;
export type SectionId = keyof typeof SECTIONS;

type Facts = Omit<CardFacts, 'gaps'>;

/** Every part a card should have: where it belongs, what is missing where it is, and whether it is. */
const PARTS: readonly { readonly section: SectionId; readonly text: string; missing(facts: Facts): boolean }[] = [
  { section: 'details', text: 'the licence of the model', missing: ({ text }) => !text.license },
  { section: 'details', text: 'what the model is', missing: ({ text }) => !text.details?.description },
  { section: 'details', text: 'who made it', missing: ({ text }) => !text.details?.developers },
  { section: 'details', text: 'where to send questions', missing: ({ text }) => !text.details?.contact },
  {
    section: 'details',
    text: 'how the file was made: it carries no lineage',
    missing: ({ model }) => model !== null && model.lineage.length === 0,
  },
  { section: 'intended-use', text: 'what it is meant for', missing: ({ text }) => !text.intended_use?.uses },
  { section: 'intended-use', text: 'whom it is meant for', missing: ({ text }) => !text.intended_use?.users },
  {
    section: 'intended-use',
    text: 'what it must not be used for',
    missing: ({ text }) => !text.intended_use?.out_of_scope,
  },
  { section: 'factors', text: 'which groups and conditions matter', missing: ({ text }) => !text.factors?.relevant },
  {
    section: 'factors',
    text: 'figures by group: no evaluation has any',
    missing: ({ evaluations }) => !evaluations.some(({ report }) => report.groups.length > 0),
  },
  { section: 'metrics', text: 'why these figures were chosen', missing: ({ text }) => !text.metrics?.choice },
  {
    section: 'evaluation-data',
    text: 'an evaluation on labels',
    missing: ({ evaluations }) => evaluations.length === 0,
  },
  {
    section: 'evaluation-data',
    text: 'a description of the evaluation data and its licence',
    missing: ({ evaluations, datasets }) =>
      evaluations.some(({ dataset }) => dataset === null || !datasets[dataset].license),
  },
  {
    section: 'evaluation-data',
    text: 'why these data were chosen',
    missing: ({ evaluations, text }) => evaluations.length > 0 && !text.evaluation_data?.motivation,
  },
  {
    section: 'evaluation-data',
    text: 'the scores and labels of an evaluation: its figures can be compared with its report, not computed again',
    missing: ({ evaluations }) => evaluations.some((one) => !isRecomputable(one)),
  },
  {
    section: 'training-data',
    text: 'what the model was trained on',
    missing: ({ text, datasets }) =>
      !text.training_data?.description && !datasets.some(({ roles }) => roles.includes('training')),
  },
  {
    section: 'quantitative-analyses',
    text: 'proof that the scores are of this model: they name none',
    missing: ({ evaluations }) => evaluations.some(({ binding }) => binding === 'unnamed'),
  },
  {
    section: 'quantitative-analyses',
    text: 'a calibrator: what the model gives are not probabilities',
    missing: ({ calibration, model }) => calibration === null && (model?.embeddedCalibrator ?? null) === null,
  },
  {
    section: 'quantitative-analyses',
    text: 'an evaluation of the calibrated probabilities on labels the calibrator was not fitted to',
    missing: ({ evaluations }) => evaluations.some(({ inSample }) => inSample),
  },
  {
    section: 'ethical-considerations',
    text: 'whether the data hold anything sensitive',
    missing: ({ text }) => !text.ethical_considerations?.data,
  },
  {
    section: 'ethical-considerations',
    text: 'what happens to people when it is wrong',
    missing: ({ text }) => !text.ethical_considerations?.human_life,
  },
  {
    section: 'ethical-considerations',
    text: 'risks, and what is done about them',
    missing: ({ text }) => !text.ethical_considerations?.risks,
  },
  { section: 'caveats', text: 'what a user must know beyond this', missing: ({ text }) => !text.caveats },
  { section: 'caveats', text: 'what the maker recommends', missing: ({ text }) => !text.recommendations },
];

/** Whether everything an evaluation was computed from is bound. */
export const isRecomputable = ({ from, report }: CardFacts['evaluations'][number]): boolean =>
  from.length === Object.values(report.inputs).filter((input) => input !== null).length;

/** What the card lacks. A gap is shown where it is, never filled with a guess. */
export const gapsOf = (facts: Facts): Gap[] =>
  PARTS.filter(({ missing }) => missing(facts)).map(({ section, text }) => ({ section, text }));
