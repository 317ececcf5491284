import { basename } from 'node:path';
import { collectColumns } from '../bytes/garbage.js';
import { withSource } from '../bytes/source.js';
import { HpsError } from '../errors.js';
import { fileInput } from './input.js';
import { type JoinedAbsolutes, type JoinedPairs, joinAbsolutes, joinPairs, type UnmatchedIds } from './join.js';
import type { LabelTable } from './label-table.js';
import type { LabelLayout } from './layouts/apply.js';
import { readLabels } from './read-labels.js';
import { type MatchedScores, readScoresOf } from './read-scores.js';
import { describeRefused, type RowsReport, rowsWarnings } from './row-counts.js';
import { quote } from './row-json.js';
import type { BadRow } from './rows.js';

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
  /** Where rows were asked for with a known propensity, and count as one over it: how many equal rows say as much (Kish 1965). */
  readonly effectiveRows?: number;
  /** Base name of the file that has them, where there is one. */
  readonly errors?: string;
}

export interface JudgedScores {
  readonly joined: JoinedPairs | JoinedAbsolutes;
  readonly rows: JudgedRows;
  readonly labels: LabelTable;
  /** sha256 of the model whose scores they are; null where they name none. */
  readonly modelSha256: string | null;
}

const MODEL_SHA256 = /^[0-9a-f]{64}$/;

/** Receives every row that is refused, with the base name of its file. */
export type OnRefused = (row: BadRow, file: string) => void;

export interface ReadJudgedOptions {
  readonly signal?: AbortSignal;
  readonly onRefused?: OnRefused;
}

/** The files, and how the labels are laid out. */
export interface JudgedFiles extends LabelLayout {
  readonly labels: string;
  readonly scores: string;
}

/**
 * Reads labels and the scores of one model for them.
 *
 * @throws HpsError FILE_NOT_FOUND, FILE_UNREADABLE, DATA_INVALID (also where no row has both), USAGE for files in each other's place;
 *   MODELS_INCOMPARABLE for scores of several models
 */
export async function readJudgedScores(files: JudgedFiles, options: ReadJudgedOptions = {}): Promise<JudgedScores> {
  const { labels, scores } = await readBoth(files, options).catch(async (error) => {
    throw (await areSwapped(files, options)) ? swapped(files) : error;
  });
  const joined = joinScores(labels.table, scores.table);
  const { labelsOnly, scoresOnly, matched } = joined.report;
  const failed = labels.report.badRows + scores.report.badRows;
  const { weight } = joined;
  const rows = {
    labels: labels.report,
    scores: scores.report,
    matched,
    labelsOnly,
    scoresOnly,
    failed,
    ...(weight && { effectiveRows: effectiveRows(weight) }),
  };
  if (matched === 0) throw (await areSwapped(files, options)) ? swapped(files) : noneMatched(files, rows);
  return { joined, rows, labels: labels.table, modelSha256: modelOf(scores.table) };
}

async function readBoth({ labels, scores, layout, map }: JudgedFiles, { signal, onRefused }: ReadJudgedOptions) {
  const refusedOf = (path: string) => ({ onBadRow: (row: BadRow) => onRefused?.(row, basename(path)) });
  const read = await withSource(labels, (source) =>
    readLabels(fileInput(source, signal), { ...refusedOf(labels), layout, map }),
  );
  collectColumns(read.table.count);
  return {
    labels: read,
    scores: await withSource(scores, (source) =>
      readScoresOf(read.table.ids, fileInput(source, signal), refusedOf(scores)),
    ),
  };
}

/** Whether each file is what the other should be. */
async function areSwapped({ labels, scores }: JudgedFiles, { signal }: ReadJudgedOptions): Promise<boolean> {
  try {
    const read = await readBoth({ labels: scores, scores: labels }, { signal });
    return read.labels.report.rows > 0 && read.scores.report.rows > 0;
  } catch (error) {
    if (error instanceof HpsError) return false;
    throw error;
  }
}

const swapped = ({ labels, scores }: JudgedFiles): HpsError =>
  new HpsError('USAGE', `${basename(scores)} has labels, and ${basename(labels)} scores`, {
    hint: 'Swap what is given for `scores` and for `labels`.',
    details: { labels: basename(labels), scores: basename(scores) },
  });

/** The scores of one more model for the same labels. */
export async function readScoresFor(
  labels: LabelTable,
  path: string,
  { signal, onRefused }: ReadJudgedOptions = {},
): Promise<{ readonly joined: JoinedPairs | JoinedAbsolutes; readonly report: RowsReport }> {
  const onBadRow = (row: BadRow) => onRefused?.(row, basename(path));
  const { table, report } = await withSource(path, (source) =>
    readScoresOf(labels.ids, fileInput(source, signal), { onBadRow }),
  );
  return { joined: joinScores(labels, table), report };
}

function effectiveRows(weight: Float64Array): number {
  const sum = weight.reduce((total, value) => total + value, 0);
  return sum ** 2 / weight.reduce((total, value) => total + value ** 2, 0);
}

const joinScores = (labels: LabelTable, scores: MatchedScores): JoinedPairs | JoinedAbsolutes =>
  labels.kind === 'pair' ? joinPairs(labels, scores) : joinAbsolutes(labels, scores);

function modelOf({ models }: MatchedScores): string | null {
  if (models.length > 1) {
    throw new HpsError('MODELS_INCOMPARABLE', `the scores are of ${models.length} models`, {
      hint: 'Score all rows with one model: what a logit means differs from model to model.',
      details: { models: models.slice(0, 10) },
    });
  }
  return models.length === 1 && MODEL_SHA256.test(models[0]) ? models[0] : null;
}

function noneMatched(files: JudgedFiles, rows: JudgedRows): HpsError {
  const [labels, scores] = [basename(files.labels), basename(files.scores)];
  const nothing = [...nothingRead(labels, 'judgement', rows.labels), ...nothingRead(scores, 'score', rows.scores)];
  const idsOf = ({ examples }: UnmatchedIds): string => examples.slice(0, 3).map(quote).join(', ');
  const ids = `no id is in both: ${labels} has ${idsOf(rows.labelsOnly)}, ${scores} has ${idsOf(rows.scoresOnly)}`;
  return new HpsError('DATA_INVALID', `no row has both a judgement and a score: ${nothing.join('; ') || ids}`, {
    hint: nothing.length > 0 ? 'Correct the rows, or give other files.' : 'Check that the scores are of these labels.',
    details: { ...rows },
  });
}

/** Why a file came to nothing; empty where it did not. */
export function nothingRead(file: string, what: string, report: RowsReport): string[] {
  if (report.rows > 0) return [];
  const unlabelled = report.unlabelled > 0 ? `${report.unlabelled} rows without a ${what}` : 'no rows';
  return [describeRefused(file, report) ?? `${file} has ${unlabelled}`];
}

/** What of the rows a reader should know, one sentence each. */
export function rowWarnings({
  labels,
  scores,
  labelsOnly,
  scoresOnly,
  matched,
  effectiveRows,
  errors,
}: JudgedRows): string[] {
  const warnings = [...rowsWarnings('Labels', labels), ...rowsWarnings('Scores', scores)];
  const say = (count: number, what: string) => count > 0 && warnings.push(`${count} ${what}.`);
  say(labels.unlabelled, 'rows of the labels have no judgement');
  say(labels.otherKind, 'rows of the labels are of the other kind (pairs or items) and were left out');
  say(labelsOnly.count, `judged rows have no score (${labelsOnly.examples.slice(0, 3).join(', ')})`);
  say(scoresOnly.count, `scores have no judged row (${scoresOnly.examples.slice(0, 3).join(', ')})`);
  if (effectiveRows !== undefined) {
    warnings.push(
      `Rows count as one over their propensity: ${matched} of them say as much as ${Math.round(effectiveRows)} drawn by lot.`,
    );
  }
  if (errors !== undefined) warnings.push(`The refused rows are in ${errors}.`);
  return warnings;
}
