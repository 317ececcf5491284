/**
 * The report of every verb: the name of its schema, and its type in `hpsv3/lifecycle`, which is its one definition:
 * `schemas/reports/NAME.schema.json` is made from it.
 */
export const REPORTS = {
  batch: 'BatchReport',
  'batch-aggregate': 'FitWindowsReport',
  'batch-merge': 'MergeReport',
  calibration: 'CalibrateReport',
  'calibration-check': 'CheckCalibratorReport',
  'card-diff': 'DiffCardsReport',
  'card-verification': 'VerifyCardReport',
  'contract-draft': 'DraftContractReport',
  'contract-embedding': 'EmbedContractReport',
  'data-consensus': 'ConsensusFileReport',
  'data-convert': 'ConvertFileReport',
  'data-split': 'SplitFileReport',
  'data-stats': 'DataStatsReport',
  demo: 'DemoReport',
  diagnosis: 'Diagnosis',
  embedding: 'EmbedReport',
  'drift-fit': 'FitDriftReport',
  'ensemble-apply': 'ApplyEnsembleReport',
  'ensemble-fit': 'MakeEnsembleReport',
  'ensemble-merge': 'MergeEnsembleReport',
  evaluation: 'EvaluateReport',
  explain: 'ExplainReport',
  export: 'ExportReport',
  finetune: 'FinetuneReport',
  init: 'InitReport',
  inspection: 'InspectReport',
  label: 'LabelReport',
  'label-forget': 'ForgetRaterReport',
  'label-merge': 'MergeLabelsReport',
  modelcard: 'ModelCardReport',
  quantization: 'QuantizeReport',
  release: 'ReleaseReport',
  'release-demo': 'ReleaseDemoReport',
  'release-fetch': 'FetchReport',
  'release-key': 'KeygenReport',
  'release-signature': 'SignReport',
  'release-verification': 'VerifyReleaseReport',
  'run-report': 'RunReport',
  score: 'ScoreReport',
  serve: 'ServeReport',
  'serve-token': 'NewTokenReport',
  synth: 'SynthDocument',
  train: 'TrainReport',
  verification: 'VerifyReport',
} as const;
export type ReportName = keyof typeof REPORTS;

/**
 * A report as it is printed and written: its schema stands first, but in a score, which people read from its beginning. A document
 * that carries a schema of its own is left as it is.
 */
export function marked(name: ReportName, report: object): object {
  if ('schema' in report) return report;
  const schema = `hpsv3/${name}@1`;
  return name === 'score' ? { ...report, schema } : { schema, ...report };
}

/** The text of a report's file. */
export const formatReport = (name: ReportName, report: object): string =>
  `${JSON.stringify(marked(name, report), null, 2)}\n`;
