import { basename, join } from 'node:path';
import { FileSource } from '../../bytes/source.js';
import { withTemporaryFolder } from '../../bytes/temporary-folder.js';
import { readJsonLines } from '../../data/json-lines.js';
import type { LabelLayout } from '../../data/layouts/apply.js';
import type { BadRow } from '../../data/rows.js';
import { HpsError } from '../../errors.js';
import type { Run } from '../../run.js';
import { type BatchOptions, runBatch } from '../score/batch.js';

/** How labelled rows are scored: as `batch` has it. */
export interface LabelScoring extends Pick<BatchOptions, 'contract' | 'batchSize' | 'device' | 'threads'> {
  /** What is scored instead of the labels: rows with the same ids, or embeddings for a score head. */
  readonly input?: string;
}

/** What scoring the labelled rows came to. */
export interface ScoredLabels {
  /** Rows without a score. */
  readonly failures: readonly BadRow[];
  /** Base name and hash of the model; null where scores were given. */
  readonly model: { readonly name: string; readonly sha256: string } | null;
}

interface ScoreLabelsOptions extends Run, LabelLayout {
  readonly model: string;
  readonly labels: string;
  readonly scores?: string;
  readonly scoring?: LabelScoring;
  readonly mediaRoot?: string;
  readonly threads?: number;
  readonly maxMemory?: number;
  readonly force?: boolean;
}

/**
 * Scores the labelled rows and gives the scores to `judge`; they are kept where `scores` names a file.
 * @throws HpsError as `runBatch`; DATA_INVALID where no row could be scored
 */
export function withScoresOf<O extends ScoreLabelsOptions, T>(
  options: O,
  judge: (options: O & { readonly scores: string }, scored: ScoredLabels) => Promise<T>,
): Promise<T> {
  const {
    model,
    labels,
    scoring = {},
    mediaRoot,
    force,
    layout,
    map,
    threads,
    maxMemory,
    signal,
    onProgress,
    onWarning,
  } = options;
  const { input = labels, ...settings } = scoring;
  return withTemporaryFolder('evaluate', async (folder) => {
    const [scores, errors] = [options.scores ?? join(folder, 'scores.jsonl'), join(folder, 'failed.jsonl')];
    const run = { signal, onProgress, onWarning };
    const report = await runBatch({
      ...{ models: [model], input, out: scores, errors, mediaRoot, layout, map, threads, maxMemory, force },
      ...settings,
      ...run,
    });
    const failures = report.errors === null ? [] : await readFailures(errors);
    if (report.out === null) {
      const [{ message }] = failures;
      throw new HpsError('DATA_INVALID', `${basename(input)}: no row could be scored: ${message}`, {
        hint: 'Score it with `hpsv3 batch`, which writes down what is wrong with each row.',
        details: { file: basename(input), failedByCode: report.failedByCode },
      });
    }
    const [{ sha256 }] = report.models;
    return judge({ ...options, scores }, { failures, model: { name: basename(model), sha256 } });
  });
}

async function readFailures(path: string): Promise<BadRow[]> {
  const source = FileSource.open(path);
  try {
    const failures: BadRow[] = [];
    for await (const { value } of readJsonLines(source)) failures.push(value as unknown as BadRow);
    return failures;
  } finally {
    source.close();
  }
}
