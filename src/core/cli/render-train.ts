import type { TrainReport } from '../lifecycle/train/train.js';
import type { TrainingProgress } from '../training/run/run.js';
import { formatCount, formatDuration } from './format.js';
import { type StatusOptions, startStatus } from './progress.js';
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

/** Live progress of a run: loss, AUC, speed and the time that is left. */
export function startTraining(options: StatusOptions): { update(progress: TrainingProgress): void; finish(): void } {
  const status = startStatus(options);
  let first: { step: number; at: number } | undefined;
  return {
    update: ({ step, steps, loss, auc, pairs }) =>
      status.show((elapsedMs) => {
        first ??= { step, at: elapsedMs };
        const perStep = step > first.step ? (elapsedMs - first.at) / (step - first.step) : undefined;
        const parts = [
          `step ${formatCount(step)} of ${formatCount(steps)}`,
          `loss ${loss.toFixed(4)}`,
          `AUC ${auc === null ? '–' : auc.toFixed(4)}`,
        ];
        if (perStep !== undefined) {
          const pairsPerStep = pairs / Math.max(1, step - first.step + 1);
          parts.push(`${((1000 * pairsPerStep) / perStep).toFixed(0)} pairs/s`);
          parts.push(`${formatDuration((steps - step) * perStep)} left`);
        }
        return parts.join(', ');
      }),
    finish: status.finish,
  };
}
