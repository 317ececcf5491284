import { type Calibrator, calibrate } from '../calibration/calibrator.js';
import { applyCurve, confidenceOf, isAntisymmetric } from '../calibration/curve.js';
import { HpsError } from '../errors.js';
import type { ExplanationDocument } from '../explanation/document.js';
import { sigmoid } from '../stats/logistic.js';
import {
  type BoundFile,
  type CardFacts,
  cardDocument,
  type EvaluationFacts,
  type Meaning,
  type ModelFacts,
} from './card-facts.js';
import { gapsOf } from './card-gaps.js';
import type { CardText, Dataset } from './card-text.js';
import type { Evaluation, ExportDocument, ProfileDocument, Quantization } from './documents.js';
import type { RawExample } from './examples.js';
import { explanationFacts } from './explanation-facts.js';

/** A report, and the bound file it was read from. */
export interface Sourced<T> {
  readonly file: string;
  readonly report: T;
}

/** What a card is made from, read and hashed. */
export interface CardSources {
  readonly tool: string;
  /** Name of a scorer that no file is given of. */
  readonly scorer: string | undefined;
  readonly model: ModelFacts | null;
  readonly files: readonly BoundFile[];
  readonly evaluations: readonly (Sourced<Evaluation> & { readonly from: readonly string[] })[];
  readonly calibration: Sourced<Calibrator> | null;
  readonly quantization: Sourced<Quantization> | null;
  readonly export: Sourced<ExportDocument> | null;
  readonly profile: Sourced<ProfileDocument> | null;
  readonly explanation: Sourced<ExplanationDocument> | null;
  readonly text: CardText;
  readonly datasets: readonly Dataset[];
  /** Of the first evaluation; none where its rows are not in the card's folder. */
  readonly examples: readonly RawExample[];
  readonly pictures: CardFacts['pictures'];
}

/**
 * The facts of a card: what its sources say, and how they belong together.
 *
 * @throws HpsError MODELS_INCOMPARABLE for a report of another model
 */
export function gatherFacts(sources: CardSources): CardFacts {
  const { tool, scorer, model, files, calibration, quantization, text, datasets } = sources;
  if (calibration) bindingOf(model, calibration.report.modelSha256, nameOf(sources, calibration.file));
  const evaluations = sources.evaluations.map((one) => evaluationFacts(one, sources));
  assertOneModel(evaluations, sources);
  const facts = {
    schema: versionOf(sources),
    tool,
    name: text.name ?? scorer ?? model?.file.replace(/\.onnx$/i, '') ?? 'unnamed scorer',
    subject: model ? 'model' : 'scorer',
    model,
    files: [...files],
    text,
    datasets: [...datasets],
    evaluations,
    calibration: calibration && {
      file: calibration.file,
      dataset: datasetOf(datasets, 'calibration', labelsName(sources, calibration.report.dataSha256)),
      calibrator: calibration.report,
    },
    quantization: quantization && { ...quantization, modelIs: quantizedSide(model, quantization, sources) },
    export: sources.export && checkedExport(model, sources.export, sources),
    profile: sources.profile && checkedProfile(model, sources.profile, sources),
    meaning: meaningOf(sources),
    ...(sources.examples.length > 0
      ? { examples: sources.examples.map((one) => ({ ...one, value: calibratedExample(one, sources) })) }
      : {}),
    ...(sources.explanation ? { explanation: checkedExplanation(model, sources.explanation, sources) } : {}),
    gaps: [],
    pictures: sources.pictures,
  } satisfies CardFacts;
  // Through JSON, so that facts read back from a file are equal to these.
  return cardDocument.schema.parse(JSON.parse(JSON.stringify({ ...facts, gaps: gapsOf(facts) })));
}

/** The earliest that holds what there is. */
const versionOf = ({ explanation, examples }: CardSources): CardFacts['schema'] =>
  explanation ? 'hpsv3/card@3' : examples.length > 0 ? 'hpsv3/card@2' : 'hpsv3/card@1';

const nameOf = ({ files }: CardSources, id: string): string => files.find((file) => file.id === id)?.name ?? id;

/** Hashes a file had before calibrators were put into it: its logits are the same. */
function beforeCalibration(model: ModelFacts): Set<string> {
  const last = model.lineage.findLastIndex(({ step }) => step !== 'calibrate');
  return new Set(model.lineage.slice(last + 1).flatMap(({ inputs }) => inputs.map(({ sha256 }) => sha256)));
}

/** How a report that names a model (or none) belongs to the card's. @throws HpsError MODELS_INCOMPARABLE */
function bindingOf(model: ModelFacts | null, sha256: string | null, file: string): EvaluationFacts['binding'] {
  if (model === null) return 'scorer';
  if (sha256 === null) return 'unnamed';
  if (sha256 === model.sha256) return 'model';
  if (beforeCalibration(model).has(sha256)) return 'before-calibration';
  throw otherModel(file, sha256, model);
}

function otherModel(file: string, sha256: string, model: ModelFacts): HpsError {
  const [is, due] = [sha256.slice(0, 12), model.sha256.slice(0, 12)];
  return new HpsError('MODELS_INCOMPARABLE', `${file}: is of the model ${is}…, not of ${model.file} (${due}…)`, {
    hint: 'Make the report again with this model, or give the model it was made with.',
    details: { file, report: sha256, model: model.sha256 },
  });
}

function evaluationFacts(
  { file, report, from }: CardSources['evaluations'][number],
  sources: CardSources,
): EvaluationFacts {
  const { model, calibration, datasets } = sources;
  const { labels, calibrator } = report.inputs;
  const fitted = calibration?.report.dataSha256 ?? model?.embeddedCalibrator?.dataSha256;
  return {
    file,
    binding: bindingOf(model, report.modelSha256, nameOf(sources, file)),
    inSample: report.fittedOnTheseLabels ?? (calibrator !== null && fitted === labels.sha256),
    from: [...from],
    dataset: datasetOf(datasets, 'evaluation', labels.name),
    report,
  };
}

/** The described data set that a label file is: by its name, else the only one with that role. */
function datasetOf(
  datasets: readonly Dataset[],
  role: Dataset['roles'][number],
  file: string | undefined,
): number | null {
  const having = [...datasets.keys()].filter((at) => datasets[at].roles.includes(role));
  const named = having.filter((at) => file !== undefined && datasets[at].files?.includes(file));
  const [found] = named.length > 0 ? named : having.filter((at) => having.length === 1 && !datasets[at].files);
  return found ?? null;
}

/** The name under which labels with this hash are known here. */
const labelsName = ({ evaluations, files }: CardSources, sha256: string): string | undefined =>
  [...files, ...evaluations.map(({ report }) => report.inputs.labels)].find((file) => file.sha256 === sha256)?.name;

/** Figures of two models under one name would say nothing of either. */
function assertOneModel(evaluations: readonly EvaluationFacts[], sources: CardSources): void {
  const named = evaluations.filter(({ report }) => report.modelSha256 !== null);
  const other = named.find(({ report }) => report.modelSha256 !== named[0].report.modelSha256);
  if (sources.model !== null || other === undefined) return;
  throw new HpsError(
    'MODELS_INCOMPARABLE',
    `${nameOf(sources, other.file)}: is of another model than the first report`,
    {
      hint: 'Give reports of one model, and name it with `model`.',
      details: { models: named.map(({ report }) => report.modelSha256) },
    },
  );
}

function quantizedSide(
  model: ModelFacts | null,
  { file, report }: Sourced<Quantization>,
  sources: CardSources,
): 'quantized' | 'source' {
  if (model === null || model.sha256 === report.sha256 || beforeCalibration(model).has(report.sha256))
    return 'quantized';
  const made = report.lineage.findLast(({ step }) => step === 'quantize');
  if (made?.inputs.some(({ sha256 }) => sha256 === model.sha256)) return 'source';
  throw otherModel(nameOf(sources, file), report.sha256, model);
}

/** The export of this file, or of one it was made from. */
function checkedExport(
  model: ModelFacts | null,
  { file, report }: Sourced<ExportDocument>,
  sources: CardSources,
): CardFacts['export'] {
  const known = model?.lineage.flatMap(({ inputs }) => inputs.map(({ sha256 }) => sha256)) ?? [];
  if (model && model.sha256 !== report.sha256 && !known.includes(report.sha256)) {
    throw otherModel(nameOf(sources, file), report.sha256, model);
  }
  return { file, report };
}

/** An explanation of this file, or of one it was made from: rounded weights are explained by the float ones. */
function checkedExplanation(
  model: ModelFacts | null,
  { file, report }: Sourced<ExplanationDocument>,
  sources: CardSources,
): NonNullable<CardFacts['explanation']> {
  const known = model?.lineage.flatMap(({ inputs }) => inputs.map(({ sha256 }) => sha256)) ?? [];
  if (!known.includes(report.model.sha256)) bindingOf(model, report.model.sha256, nameOf(sources, file));
  return explanationFacts(file, report);
}

/** A profile of this file, or of the one a calibrator was put into. */
function checkedProfile(
  model: ModelFacts | null,
  profile: Sourced<ProfileDocument>,
  sources: CardSources,
): CardFacts['profile'] {
  bindingOf(model, profile.report.model.sha256, nameOf(sources, profile.file));
  return profile;
}

/** Digits of the example's logit: it is there to be read. */
const rounded = (logit: number): number => Number(logit.toPrecision(2));

/** One example of what a score of pairs means; null where only items were judged. */
function meaningOf({ evaluations, calibration, model }: CardSources): Meaning | null {
  const pairs = evaluations.find(({ report }) => report.kind === 'pair');
  if (pairs === undefined && evaluations.length > 0) return null;
  const bins = pairs?.report.reliability.before ?? [];
  const middle = bins[bins.length >> 1]?.forecast ?? 0.5;
  const typical = middle > 0.5 && middle < 1 ? rounded(Math.log(middle / (1 - middle))) : 0;
  const [logit, origin] = typical > 0 ? ([typical, 'typical'] as const) : ([1, 'made-up'] as const);
  return { logit, origin, ...calibratedPair(logit, { calibration, model }) };
}

/** What a calibrator makes of the logit of a pair; without one, sigmoid. */
function calibratedPair(
  logit: number,
  { calibration, model }: Pick<CardSources, 'calibration' | 'model'>,
): Pick<Meaning, 'probability' | 'confidence' | 'calibrated'> {
  const fitted = calibration?.report;
  if (fitted && fitted.kind === 'pair' && fitted.method !== 'none') {
    const { value, confidence } = calibrate({ ...fitted, groups: null }, logit);
    return { probability: value, confidence, calibrated: true };
  }
  const embedded = model?.embeddedCalibrator;
  if (embedded && embedded.parameters.kind !== 'line') {
    const { parameters, band } = embedded;
    const probability = applyCurve(parameters, logit);
    const confidence = confidenceOf(band, isAntisymmetric(parameters), logit, probability);
    return { probability, confidence, calibrated: true };
  }
  return { probability: sigmoid(logit), confidence: null, calibrated: false };
}

/** What an example comes to: P(left preferred), or the place on the scale of the labels where that is known. */
function calibratedExample({ logit, votes }: RawExample, sources: CardSources): number | null {
  if (votes !== null) return calibratedPair(logit, sources).probability;
  const fitted = sources.calibration?.report;
  return fitted?.kind === 'absolute' && fitted.method !== 'none'
    ? calibrate({ ...fitted, groups: null }, logit).value
    : null;
}
