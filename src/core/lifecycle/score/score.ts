import { dirname, resolve } from 'node:path';
import { didYouMean } from '../../bytes/suggest.js';
import { filled } from '../../defaults.js';
import { formatReport } from '../../documents/reports.js';
import type { Decision } from '../../onnx/manifest.js';
import type { Run } from '../../run.js';
import type { RuntimeInfo } from '../../scoring/model.js';
import type { Score } from '../../scoring/result.js';
import { HPSv3Scorer, type Sample, type ScorerOptions } from '../../scoring/scorer.js';

/** What is scored: a sample in a file, or one put together from the command line. */
export type ScoreInput = { readonly file: string } | { readonly sample: Sample };

export interface ScoreFileOptions extends Run, Omit<ScorerOptions, 'batchSize'> {
  readonly model: string;
  readonly input: ScoreInput;
  /** JSON file for the result; none if not given. */
  readonly out?: string;
  /** Replace `out`. */
  readonly force?: boolean;
}

export const SCORE_DEFAULTS = { force: false } as const satisfies Partial<ScoreFileOptions>;

export type ScoreReport = Score & {
  readonly runtime: RuntimeInfo;
  /** What a pair was decided by; absent of an item. */
  readonly decision?: Decision;
  /** Worth knowing before the score is used, one sentence each. */
  readonly warnings: readonly string[];
};

/**
 * Scores one pair or one item; a score head reads the one embedding in a file (.npy, .safetensors, .parquet).
 * @throws HpsError as `HPSv3Scorer.load` and `scorePair`; DATA_INVALID for a file that is no sample; the OUTPUT_… codes
 */
export async function scoreOne(given: ScoreFileOptions): Promise<ScoreReport> {
  const options = filled(given, SCORE_DEFAULTS);
  const { out } = options;
  if (out === undefined) return computeScore(options);
  const inputs = [options.model, ...('file' in options.input ? [options.input.file] : [])];
  const { withAtomicOutput } = await import('../../bytes/output.js');
  return withAtomicOutput(out, { force: options.force, inputs }, async (output) => {
    const report = await computeScore(options);
    await output.writeFile(output.name, formatReport('score', report));
    return report;
  });
}

async function computeScore({ model, input, ...options }: ScoreFileOptions): Promise<ScoreReport> {
  const embedding = 'file' in input ? await scoreOfEmbedding(model, input.file, options) : null;
  if (embedding) return embedding;
  const sample = 'file' in input ? await sampleOfFile(input.file) : input.sample;
  const mediaRoot = options.mediaRoot ?? ('file' in input ? dirname(resolve(input.file)) : undefined);
  const warnings: string[] = [];
  const onWarning = (warning: string): void => {
    warnings.push(warning);
    options.onWarning?.(warning);
  };
  const onWindow = (done: number, total: number): void => {
    options.onProgress?.({ stage: 'Scoring', done, total, unit: 'windows' });
    options.onWindow?.(done, total);
  };
  const scorer = await HPSv3Scorer.load(model, { ...options, mediaRoot, onWarning, onWindow });
  try {
    options.signal?.throwIfAborted();
    tellOfTask(sample.task, scorer.tasks, onWarning);
    const score = await scorer.scoreSample({ ...sample, signal: options.signal });
    const decision = 'winner' in score ? { decision: scorer.decision } : {};
    return { ...score, ...decision, runtime: scorer.runtime, warnings };
  } finally {
    await scorer.close();
  }
}

async function sampleOfFile(file: string): Promise<Sample> {
  const { sampleIn } = await import('./read-sample.js'); // the parser of rows comes with it
  return sampleIn(file);
}

/** The score of a file with an embedding by a score head; null for any other. */
async function scoreOfEmbedding(model: string, file: string, options: ScorerOptions): Promise<ScoreReport | null> {
  const { embeddingHeadOf, scoreEmbedding } = await import('./batch-embeddings.js'); // the readers of tables come with it
  const head = embeddingHeadOf({ models: [model], input: file });
  if (!head) return null;
  const { score, runtime } = await scoreEmbedding(model, file, head, options);
  return { ...score, runtime, warnings: [] };
}

/** A task without a curve of its own gets that of all tasks, which a mistyped one would not show. */
function tellOfTask(
  task: string | undefined,
  tasks: readonly string[] | null,
  onWarning: (text: string) => void,
): void {
  if (task === undefined || tasks?.includes(task)) return;
  if (tasks === null) onWarning(`The task ${task} changes nothing: there is no calibrator with curves of tasks.`);
  else onWarning(`There is no curve for the task ${task}: the one of all tasks is taken. ${didYouMean(task, tasks)}`);
}
