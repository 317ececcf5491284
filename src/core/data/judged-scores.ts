import { withSource } from '../bytes/source.js';
import { HpsError } from '../errors.js';
import { fileInput } from './input.js';
import { type JoinedAbsolutes, type JoinedPairs, joinAbsolutes, joinPairs, type UnmatchedIds } from './join.js';
import type { LabelTable } from './label-table.js';
import { readLabels } from './read-labels.js';
import { readScores, type ScoreTable } from './read-scores.js';
import type { RowsReport } from './row-counts.js';

/** What reading labels and scores, and putting them together by id, came to. */
export interface JudgedRows {
  readonly labels: RowsReport;
  readonly scores: RowsReport;
  /** Rows with a judgement and a score. */
  readonly matched: number;
  readonly labelsOnly: UnmatchedIds;
  readonly scoresOnly: UnmatchedIds;
  /** Rows refused, in both files together. */
  readonly failed: number;
}

export interface JudgedScores {
  readonly joined: JoinedPairs | JoinedAbsolutes;
  readonly rows: JudgedRows;
  readonly labels: LabelTable;
  /** sha256 of the model whose scores they are; null where they name none. */
  readonly modelSha256: string | null;
}

const MODEL_SHA256 = /^[0-9a-f]{64}$/;

/**
 * Reads labels and the scores of one model for them.
 *
 * @throws HpsError FILE_NOT_FOUND, FILE_UNREADABLE, DATA_INVALID (also where no row has both); MODELS_INCOMPARABLE for scores of
 *   several models
 */
export async function readJudgedScores(
  files: { readonly labels: string; readonly scores: string },
  signal?: AbortSignal,
): Promise<JudgedScores> {
  const labels = await withSource(files.labels, (source) => readLabels(fileInput(source, signal)));
  const scores = await withSource(files.scores, (source) => readScores(fileInput(source, signal)));
  const joined = joinScores(labels.table, scores.table);
  const { labelsOnly, scoresOnly, matched } = joined.report;
  const failed = labels.report.badRows + scores.report.badRows;
  const rows = { labels: labels.report, scores: scores.report, matched, labelsOnly, scoresOnly, failed };
  if (matched === 0) throw noneMatched(rows);
  return { joined, rows, labels: labels.table, modelSha256: modelOf(scores.table) };
}

/** The scores of one more model for the same labels. */
export async function readScoresFor(
  labels: LabelTable,
  path: string,
  signal?: AbortSignal,
): Promise<{ readonly joined: JoinedPairs | JoinedAbsolutes; readonly report: RowsReport }> {
  const { table, report } = await withSource(path, (source) => readScores(fileInput(source, signal)));
  return { joined: joinScores(labels, table), report };
}

const joinScores = (labels: LabelTable, scores: ScoreTable): JoinedPairs | JoinedAbsolutes =>
  labels.kind === 'pair' ? joinPairs(labels, scores) : joinAbsolutes(labels, scores);

function modelOf({ models }: ScoreTable): string | null {
  if (models.length > 1) {
    throw new HpsError('MODELS_INCOMPARABLE', `the scores are of ${models.length} models`, {
      hint: 'Score all rows with one model: what a logit means differs from model to model.',
      details: { models: models.slice(0, 10) },
    });
  }
  return models.length === 1 && MODEL_SHA256.test(models[0]) ? models[0] : null;
}

function noneMatched({ labels, scores, labelsOnly, scoresOnly }: JudgedRows): HpsError {
  const counts = `${labels.rows} judged rows, ${scores.rows} scores, ${labels.badRows + scores.badRows} bad rows`;
  return new HpsError('DATA_INVALID', `no row has both a judgement and a score (${counts})`, {
    hint: 'Rows are matched by id: check that the scores are of these labels.',
    details: { labels, scores, labelsOnly, scoresOnly },
  });
}

/** What of the rows a reader should know, one sentence each. */
export function rowWarnings({ labels, scores, labelsOnly, scoresOnly }: JudgedRows): string[] {
  const warnings: string[] = [];
  const say = (count: number, what: string) => count > 0 && warnings.push(`${count} ${what}.`);
  for (const [name, { badRows, badRowExamples }] of Object.entries({ labels, scores })) {
    const [first] = badRowExamples;
    if (first) warnings.push(`${badRows} bad rows in the ${name} were left out; line ${first.line}: ${first.message}.`);
  }
  say(labels.unlabelled, 'rows of the labels have no judgement');
  say(labels.otherKind, 'rows of the labels are of the other kind (pairs or items) and were left out');
  say(labelsOnly.count, `judged rows have no score (${labelsOnly.examples.slice(0, 3).join(', ')})`);
  say(scoresOnly.count, `scores have no judged row (${scoresOnly.examples.slice(0, 3).join(', ')})`);
  return warnings;
}
