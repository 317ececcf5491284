import { hashFile } from '../../bytes/hash.js';
import { readCalibrator } from '../../calibration/read-calibrator.js';
import type { CardFacts, EvaluationFacts } from '../../card/card-facts.js';
import { cardFolder, readCardFacts } from '../../card/read-card.js';
import { groupColumn } from '../../data/group-column.js';
import { readJudgedScores, readScoresFor } from '../../data/judged-scores.js';
import { DEFAULT_SEED, filled } from '../../defaults.js';
import { HpsError } from '../../errors.js';
import { compareGroups, type GroupDelta, type JudgedModel } from '../../evaluation/group-deltas.js';
import { predict } from '../../evaluation/predictions.js';
import { type Run, startStage } from '../../run.js';
import { locateFiles, pathsOf } from './verify.js';

export interface DiffCardsOptions extends Run {
  /** Folders of two cards. */
  readonly before: string;
  readonly after: string;
  /** Folders where files lie that a card knows by their hashes. */
  readonly files?: readonly string[];
  /** Of clusters, behind each interval; 2000 where omitted. */
  readonly resamples?: number;
  readonly seed?: number;
}

export const DIFF_CARDS_DEFAULTS = { files: [], seed: DEFAULT_SEED } as const satisfies Partial<DiffCardsOptions>;

export interface DiffCardsReport {
  readonly before: DiffedCard;
  readonly after: DiffedCard;
  /** Rows that both scored. */
  readonly n: number;
  readonly minGroup: number;
  readonly deltas: readonly GroupDelta[];
  readonly regressed: number;
  readonly improved: number;
  readonly undecided: number;
  readonly notes: readonly string[];
}

export interface DiffedCard {
  readonly name: string;
  /** sha256 of the model; null for a scorer that is no file. */
  readonly model: string | null;
  readonly evaluation: string;
  readonly calibrated: boolean;
}

/**
 * What became of each group from one card to the next, from the scores and labels that both are bound to.
 *
 * @throws HpsError FILE_NOT_FOUND for a folder without card or rows that are not here; CHECKSUM_MISMATCH (exit 3) for rows that were
 *   changed; MODELS_INCOMPARABLE for cards without an evaluation of the same kind; DATA_INVALID where no row is in both
 */
export async function diffModelCards(given: DiffCardsOptions): Promise<DiffCardsReport> {
  const options = filled(given, DIFF_CARDS_DEFAULTS);
  const { files, seed, resamples } = options;
  const [before, after] = await Promise.all([open(options.before), open(options.after)]);
  const [old, now] = evaluationsToCompare(before.facts, after.facts);
  startStage(options, 'Reading');
  const paths = { old: await rowsOf(before, old, files), now: await rowsOf(after, now, files) };
  const judged = await readJudgedScores(paths.now, { signal: options.signal });
  const { joined: earlier } = await readScoresFor(judged.labels, paths.old.scores, { signal: options.signal });
  const model = async (joined: JudgedModel['joined'], calibrator: string | undefined): Promise<JudgedModel> => ({
    joined,
    predictions: predict(joined, calibrator === undefined ? null : readCalibrator(calibrator).document),
  });
  const was = await model(earlier, paths.old.calibrator);
  const is = await model(judged.joined, paths.now.calibrator);
  const columns = now.report.options.by.map((name) => groupColumn(judged.joined, name));
  const minGroup = now.report.minGroup;
  startStage(options, 'Comparing');
  const deltas = await compareGroups(was, is, columns, {
    minRows: minGroup,
    seed: `${seed}/diff`,
    resamples,
    signal: options.signal,
  });
  if (deltas.length === 0) throw nothingShared(before.facts, after.facts);
  const count = (verdict: GroupDelta['verdict']) => deltas.filter((delta) => delta.verdict === verdict).length;
  return {
    before: described(before.facts, old),
    after: described(after.facts, now),
    n: deltas[0].n,
    minGroup,
    deltas,
    regressed: count('regressed'),
    improved: count('improved'),
    undecided: count('undecided'),
    notes: notesOf(old, now),
  };
}

interface OpenCard {
  readonly folder: string;
  readonly facts: CardFacts;
}

async function open(path: string): Promise<OpenCard> {
  const folder = cardFolder(path);
  return { folder, facts: await readCardFacts(folder) };
}

/** The first evaluations on the same labels; else the first of the same kind. */
function evaluationsToCompare(before: CardFacts, after: CardFacts): [EvaluationFacts, EvaluationFacts] {
  const pairs = after.evaluations.flatMap((now) =>
    before.evaluations.map((old) => [old, now] as [EvaluationFacts, EvaluationFacts]),
  );
  const found =
    pairs.find(([old, now]) => old.report.inputs.labels.sha256 === now.report.inputs.labels.sha256) ??
    pairs.find(([old, now]) => old.report.kind === now.report.kind);
  if (found) return found;
  throw new HpsError('MODELS_INCOMPARABLE', `${before.name} and ${after.name} have no evaluations of one kind`, {
    hint: 'Compare two cards with evaluations of pairs, or two with evaluations of items.',
    details: { before: before.evaluations.length, after: after.evaluations.length },
  });
}

/** Paths of an evaluation's rows, their hashes as the card states them. */
async function rowsOf({ folder, facts }: OpenCard, one: EvaluationFacts, files: readonly string[]) {
  const located = await locateFiles(facts, folder, files);
  const paths = pathsOf(one, located);
  if (paths === null) {
    throw new HpsError('FILE_NOT_FOUND', `${facts.name}: the scores and labels of ${one.file} are not here`, {
      hint: 'Give the folder they lie in with `files`.',
      details: { card: facts.name, evaluation: one.file },
    });
  }
  for (const { file, at } of located) {
    if (at === null || !one.from.includes(file.id) || (await hashFile(at)).sha256 === file.sha256) continue;
    throw new HpsError('CHECKSUM_MISMATCH', `${facts.name}: ${file.name} is not the file that the card is bound to`, {
      hint: 'Run `hpsv3 modelcard verify` on it.',
      details: { file: file.name, sha256: file.sha256 },
    });
  }
  return paths;
}

const described = ({ name, model }: CardFacts, { file, report }: EvaluationFacts): DiffedCard => ({
  name,
  model: model?.sha256 ?? null,
  evaluation: file,
  calibrated: report.calibrated,
});

function notesOf(old: EvaluationFacts, now: EvaluationFacts): string[] {
  const notes: string[] = [];
  if (old.report.inputs.labels.sha256 !== now.report.inputs.labels.sha256)
    notes.push('The cards have other labels: both are judged by those of the later one, on the rows that both scored.');
  if (old.report.calibrated !== now.report.calibrated)
    notes.push('Only one of the two is calibrated: the Brier score changes by that alone.');
  return notes;
}

function nothingShared(before: CardFacts, after: CardFacts): HpsError {
  return new HpsError('DATA_INVALID', `${before.name} and ${after.name} have too few rows that both scored`, {
    hint: 'Rows are matched by id: evaluate both on the same labels.',
  });
}
