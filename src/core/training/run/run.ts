import { appendFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { outputError } from '../../bytes/output-error.js';
import { HpsError } from '../../errors.js';
import type { Modality } from '../../onnx/manifest.js';
import type { Run } from '../../run.js';
import type { RankGroup } from '../ranks/group.js';
import type { Parameters } from '../update/parameters.js';
import type { TrainingConfig } from './config.js';
import { recordEnvironment } from './environment-file.js';
import { type Progress, writeState } from './state.js';
import type { StepReport, Trainer } from './trainer.js';

export const LOG_FILE = 'log.jsonl';

export interface TrainingRunOptions extends Run {
  readonly folder: string;
  /** The engine and device that are recorded beside the log. */
  readonly engine: string;
  readonly device: string;
  readonly trainer: Trainer;
  readonly parameters: Parameters;
  readonly config: TrainingConfig;
  readonly progress: Progress;
  /** Opens the log; without clock, paths or anything else that two equal runs would not share. */
  readonly header: Readonly<Record<string, unknown>>;
  /** Writes the model as it is now under a name in the folder. */
  readonly writeCheckpoint: (name: string) => Promise<void>;
  /** The other processes that take part; rank 0 alone writes. */
  readonly ranks?: RankGroup | null;
}

export interface TrainingOutcome {
  readonly steps: number;
  /** Why it ended. */
  readonly ended: 'steps' | 'patience' | 'not-finite';
  /** Kept checkpoint that is best by validation AUC; null where there was nothing to validate on. */
  readonly best: { readonly step: number; readonly auc: number; readonly file: string } | null;
  /** AUC of each modality at the best step. */
  readonly auc: Readonly<Partial<Record<Modality, number | null>>>;
}

export const checkpointName = (step: number): string => `step-${String(step).padStart(7, '0')}.safetensors`;

export const isCheckpointName = (name: string): boolean => /^step-\d{7,}\.safetensors$/.test(name);

/** Trains until the last step, until patience ends, or until the loss is no number. State, log, kept checkpoints and what it ran on lie in `folder`. */
export async function runTraining(options: TrainingRunOptions): Promise<TrainingOutcome> {
  const { folder, engine, device, progress, ranks } = options;
  const run = new TrainingRun(options);
  if (!ranks || ranks.rank === 0) await recordEnvironment(folder, { step: progress.step, engine, device });
  return run.go();
}

const GRADIENT_NORM = 'gradient_norm';

class TrainingRun {
  private auc: number | null = null;
  /** Of the last step. */
  private learningRate = 0;
  private readonly log: RunLog;
  private readonly writes: boolean;

  constructor(private readonly options: TrainingRunOptions) {
    this.writes = !options.ranks || options.ranks.rank === 0;
    this.log = new RunLog(options.folder, options.header, options.progress.step, this.writes);
    this.auc = options.progress.best[0]?.auc ?? null;
  }

  async go(): Promise<TrainingOutcome> {
    const { config, progress, signal } = this.options;
    let ended: TrainingOutcome['ended'] = 'steps';
    if (progress.step === 0) await this.evaluateStart();
    while (progress.step < config.steps) {
      signal?.throwIfAborted();
      if (!(await this.advance())) {
        ended = 'not-finite';
        break;
      }
      const last = progress.step === config.steps;
      if ((progress.step % config.eval_every === 0 || last) && !(await this.evaluate())) {
        this.log.write({ step: progress.step, event: 'not-finite' });
        ended = 'not-finite';
        break;
      }
      const stale = config.patience > 0 && progress.stale >= config.patience;
      if (stale || last || progress.step % config.checkpoint_every === 0) await this.save();
      if (stale) {
        ended = 'patience';
        break;
      }
    }
    return this.outcome(ended);
  }

  /** The steps of one run. @returns false where a loss or a gradient is no finite number */
  private async advance(): Promise<boolean> {
    for (const report of await this.steps()) {
      const finite = report.overflowed || Number.isFinite(report.gradientNorm);
      if (!finite || !Number.isFinite(report.losses.get('loss'))) {
        this.log.write({ step: report.step, event: 'not-finite' });
        return false;
      }
      this.options.progress.step = report.step;
      if (!report.overflowed) this.add(report);
      this.show();
    }
    return true;
  }

  /** Steps up to the next that something is done after: an evaluation, a saved state, the end. */
  private get untilBoundary(): number {
    const { config, progress } = this.options;
    const { eval_every, checkpoint_every, steps } = config;
    const left = [eval_every, checkpoint_every].map((every) => every - (progress.step % every));
    return Math.min(...left, steps - progress.step);
  }

  /** The steps of one run; where memory runs out, with half as many pairs in a run and twice as many runs. */
  private async steps(): Promise<StepReport[]> {
    const { trainer, progress, onWarning } = this.options;
    for (;;) {
      try {
        return await trainer.runSteps(this.untilBoundary);
      } catch (error) {
        const halved = Math.floor(trainer.pairsPerRun / 2);
        const isMemory = error instanceof HpsError && error.code === 'MODEL_OUT_OF_MEMORY';
        if (!isMemory || halved < 1 || this.options.ranks) throw error;
        await trainer.shrink(halved);
        progress.pairsPerRun = halved;
        onWarning?.(`Out of memory: ${halved} pairs in a run from step ${trainer.step + 1} on, and more runs a step.`);
        this.log.write({ step: trainer.step, event: 'out-of-memory', pairs_per_run: halved });
      }
    }
  }

  /** What was known before anything was learnt: the start of every curve. It is no candidate for the best step. */
  private async evaluateStart(): Promise<void> {
    const { trainer } = this.options;
    const { auc, finite } = await trainer.evaluate();
    if (finite) this.log.write({ step: 0, auc: Object.fromEntries(auc), mean_auc: trainer.meanAuc(auc) });
  }

  /** @returns false where a logit is no number any more */
  private async evaluate(): Promise<boolean> {
    const { trainer, progress, config, writeCheckpoint, folder } = this.options;
    const { auc, finite } = await trainer.evaluate();
    if (!finite) return false;
    const mean = trainer.meanAuc(auc);
    this.auc = mean;
    this.log.write({ ...this.meanLosses(), auc: Object.fromEntries(auc), mean_auc: mean });
    progress.since = { steps: 0, sums: {} };
    if (mean === null) return true;
    const better = progress.best.length === 0 || mean > progress.best[0].auc;
    progress.stale = better ? 0 : progress.stale + 1;
    const kept = [...progress.best, { step: progress.step, auc: mean }].sort(
      (a, b) => b.auc - a.auc || a.step - b.step,
    );
    progress.best = kept.slice(0, config.keep_top);
    if (!progress.best.some(({ step }) => step === progress.step)) return true;
    if (!this.writes) return true;
    await writeCheckpoint(checkpointName(progress.step));
    for (const { step } of kept.slice(config.keep_top)) rmSync(join(folder, checkpointName(step)), { force: true });
    return true;
  }

  private async save(): Promise<void> {
    const { trainer, progress } = this.options;
    await trainer.settle();
    progress.lossScale = trainer.lossScale?.state;
    if (this.writes) await writeState(this.options.folder, this.options.parameters, this.options.progress);
  }

  private add({ losses, gradientNorm, learningRate }: StepReport): void {
    const { since } = this.options.progress;
    since.steps++;
    for (const [name, value] of [...losses, [GRADIENT_NORM, gradientNorm] as const])
      since.sums[name] = (since.sums[name] ?? 0) + value;
    this.learningRate = learningRate;
  }

  private meanLosses(): Record<string, number> {
    const { step, since } = this.options.progress;
    const means = Object.entries(since.sums).map(([name, sum]) => [name, sum / since.steps] as const);
    return { step, ...Object.fromEntries(means), lr: this.learningRate };
  }

  /** With the mean loss since the last evaluation, and the AUC of that. */
  private show(): void {
    const { config, progress, onProgress } = this.options;
    if (!onProgress || progress.since.steps === 0) return;
    const loss = progress.since.sums.loss / progress.since.steps;
    const auc = this.auc === null ? '' : `, AUC ${this.auc.toFixed(4)}`;
    const detail = `loss ${loss.toFixed(4)}${auc}`;
    onProgress({ stage: 'Training', done: progress.step, total: config.steps, unit: 'steps', detail });
  }

  private outcome(ended: TrainingOutcome['ended']): TrainingOutcome {
    const { progress } = this.options;
    const [best] = progress.best;
    return {
      steps: progress.step,
      ended,
      best: best ? { ...best, file: checkpointName(best.step) } : null,
      auc: best ? this.log.aucAt(best.step) : {},
    };
  }
}

interface LogLine extends Record<string, unknown> {
  readonly step?: number;
}

/** The log of a run: a header, then one line an evaluation or event. A resumed run goes on where its state was saved. */
class RunLog {
  private readonly path: string;

  constructor(
    folder: string,
    header: Readonly<Record<string, unknown>>,
    step: number,
    private readonly writes: boolean,
  ) {
    this.path = join(folder, LOG_FILE);
    if (!writes) return;
    const kept =
      step > 0 && existsSync(this.path) ? readLog(folder).filter((line) => (line.step ?? 0) <= step) : [header];
    this.guard(() => writeFileSync(this.path, kept.map((line) => `${JSON.stringify(line)}\n`).join('')));
  }

  write(line: LogLine): void {
    if (!this.writes) return;
    this.guard(() => appendFileSync(this.path, `${JSON.stringify(line)}\n`));
  }

  aucAt(step: number): Partial<Record<Modality, number | null>> {
    if (!this.writes) return {};
    const lines = readFileSync(this.path, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as LogLine);
    return (lines.find((line) => line.step === step && line.auc !== undefined)?.auc ?? {}) as Partial<
      Record<Modality, number>
    >;
  }

  private guard(write: () => void): void {
    try {
      write();
    } catch (error) {
      throw outputError(LOG_FILE, error);
    }
  }
}

/** Lines of a run's log; the last may be cut short where the run was killed, and is then left out. */
export function readLog(folder: string): LogLine[] {
  return readFileSync(join(folder, LOG_FILE), 'utf8')
    .split('\n')
    .flatMap((line) => {
      try {
        return [JSON.parse(line) as LogLine];
      } catch {
        return [];
      }
    });
}
