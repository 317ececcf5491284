import { basename } from 'node:path';
import type { TrainReport } from '../lifecycle/train/train.js';
import { hasState } from '../training/run/state.js';
import { formatCount } from './format.js';
import { formatTable } from './table.js';

const ENDED = {
  steps: 'All steps are done.',
  patience: 'Stopped: the validation AUC no longer rises.',
  'not-finite': 'Stopped: the loss is not a finite number.',
} as const;

export function formatTrain(report: TrainReport): string {
  const { examples, best, auc, checkpoint, out, steps, ended, trainedParameters } = report;
  const shown = (value: number | null | undefined): string => (typeof value === 'number' ? value.toFixed(4) : '–');
  const table = formatTable(
    ['modality', 'pairs', 'items', 'held out', 'AUC'],
    Object.entries(examples).map(([modality, counts]) => [
      modality,
      counts.pairs,
      counts.absolutes,
      counts.validationPairs,
      shown(auc[modality as keyof typeof auc]),
    ]),
  );
  return [
    table,
    '',
    `${ENDED[ended]} ${formatCount(steps)} steps, ${formatCount(trainedParameters)} trained parameters.`,
    best
      ? `${out}/${checkpoint.name} is step ${best.step}, with a mean validation AUC of ${best.auc.toFixed(4)}.`
      : `${out}/${checkpoint.name} has the last weights: no pair was held out to choose by.`,
  ].join('\n');
}

/** What is left of a run that was stopped. */
export const keptRun = (folder: string): string =>
  hasState(folder)
    ? `The run is kept in ${basename(folder)} up to the last saved state: run it again with --resume to go on.`
    : `No state was saved yet in ${basename(folder)}: run it again to start over.`;
