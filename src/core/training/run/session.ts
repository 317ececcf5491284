import { createHash } from 'node:crypto';
import { HpsError } from '../../errors.js';
import { runtimeVersion } from '../../runtime/runtime-version.js';
import { bytesOf } from '../../tensor/values.js';
import { TOOL } from '../../version.js';
import type { RankGroup } from '../ranks/group.js';
import type { Parameters } from '../update/parameters.js';
import { runTraining, type TrainingOutcome, type TrainingRunOptions } from './run.js';
import { newProgress, readState } from './state.js';

export interface SessionOptions extends Omit<TrainingRunOptions, 'progress' | 'header'> {
  readonly seed: number;
  /** Go on from the state in the folder. */
  readonly resume: boolean;
  /** Identifies what the run was started with: a state of another is refused. */
  readonly fingerprint: string;
  /** What the log says at its head beside what every run has. */
  readonly about?: Readonly<Record<string, unknown>>;
  /** Called when the state is found to fit, before the run writes anything. */
  readonly prepare?: () => Promise<void>;
}

/**
 * A trainer's run in a folder from its start, or from the state in the folder, to its end.
 * @throws HpsError USAGE for the state of another run, and as `runTraining`
 */
export async function trainSession(options: SessionOptions): Promise<TrainingOutcome> {
  const { folder, engine, device, trainer, parameters, config, seed, resume, fingerprint, about, prepare, ranks } =
    options;
  const progress = resume
    ? await readState(folder, parameters, fingerprint)
    : newProgress(trainer.pairsPerRun, fingerprint);
  await trainer.resume(progress.step, progress.pairsPerRun, progress.lossScale);
  if (ranks) await assertSameStart(ranks, progress.step, parameters);
  if (!ranks || ranks.rank === 0) await prepare?.();
  return runTraining({
    ...options,
    progress,
    header: {
      tool: TOOL,
      onnxruntime: runtimeVersion(),
      engine,
      device,
      seed,
      ...about,
      training: config,
      parameters: parameters.count,
    },
  });
}

/** All processes begin with the weights of rank 0, or not at all. */
async function assertSameStart(ranks: RankGroup, step: number, { states }: Parameters): Promise<void> {
  const hash = createHash('sha256').update(String(step));
  for (const { parameters, firstMoment, secondMoment, average, updates } of states) {
    hash.update(String(updates));
    for (const vector of [parameters, firstMoment, secondMoment, ...(average ? [average] : [])])
      hash.update(bytesOf(vector));
  }
  const start = hash.digest('hex');
  if ((await ranks.broadcast(() => start)) === start) return;
  throw new HpsError('RANKS_DISAGREE', `rank ${ranks.rank} begins with other weights than rank 0`, {
    hint: 'Let all processes see the same folder of the run, and the same checkpoint.',
    details: { rank: ranks.rank, step },
  });
}

/** Of a training whose loss was no finite number. @param hint - what to do about it */
export const diverged = ({ steps, best }: TrainingOutcome, hint: string): HpsError =>
  new HpsError('TRAINING_DIVERGED', `the loss is not a finite number after step ${steps}`, {
    hint,
    details: { step: steps, best: best ? { step: best.step, auc: best.auc } : null },
  });
