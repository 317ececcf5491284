import type { Calibrated } from '../calibration/calibrator.js';
import { type AuxScores, type PairAuxScores, type Percentile, type Winner, winnerOf } from '../data/rows.js';
import type { ItemWindows, PairWindows } from '../data/score-windows.js';
import { sigmoid } from '../stats/logistic.js';

interface ScoreBase {
  /** Where the logit of an item, or the size of a pair's, stands in the calibrator's reference set; absent where it has none. */
  readonly percentile?: Percentile;
  /** The pair logit, or the utility logit of an item. */
  readonly logit: number;
  /** sha256 of the model file. */
  readonly model: string;
  readonly task?: string;
  /** The marks that hold of the item, or of an item of the pair; absent where none does, or none was asked for. */
  readonly marks?: readonly string[];
  /** Present where the end of a text was left out. */
  readonly truncated?: true;
}

/** What a model says of a pair, in the order it is printed in. */
export interface PairScore extends ScoreBase {
  /** P(left preferred); without a calibrator the sigmoid of the logit. */
  readonly score: number;
  readonly winner: Winner;
  /** Lower end of the calibrator's band for the winner's side; null when uncalibrated, and for a tie. */
  readonly confidence: number | null;
  readonly calibrated: boolean;
  /** Standard deviations that the model itself gives the logits of both sides; they change no other figure. */
  readonly left_sigma?: number;
  readonly right_sigma?: number;
  /** What the auxiliary heads say of both items; absent for a model without them. */
  readonly aux?: PairAuxScores;
  /** Where it was scored in windows: those of both sides, and the interval of the pair logit. */
  readonly windows?: PairWindows;
}

/**
 * Where the calibrated value of an item comes from: a calibrator that `calibrate` fitted to labels, whose scale it is then on; the
 * checkpoint's own calibration layer, which says what it was trained to say; or the contract of a model of another tool.
 */
export type CalibratedBy = 'calibrator' | 'checkpoint' | 'contract';

/** What a model says of one item. */
export interface ItemScore extends ScoreBase {
  /** Utility, in (-1, 1); the utility logit itself for a model whose scores are not held in bounds. */
  readonly score: number;
  /** The value on another scale than the utility's, or false where there is none: which one, `calibratedBy` says. */
  readonly calibrated: number | false;
  readonly calibratedBy?: CalibratedBy;
  /** Mean and standard deviation of a model that gives both: `mu` is the logit. */
  readonly mu?: number;
  readonly sigma?: number;
  /** What the auxiliary heads say of it; absent for a model without them. */
  readonly aux?: AuxScores;
  /** Where it was scored in windows. */
  readonly windows?: ItemWindows;
}

export type Score = PairScore | ItemScore;

/** What both kinds of score take over from their surroundings. */
export type ScoreFacts = Pick<ScoreBase, 'percentile' | 'model' | 'task' | 'marks' | 'truncated'>;

/**
 * @param comparison - the pair logit, the spread and the auxiliary scores of both sides where the model gives them
 * @param calibrated - null where there is no calibrator: the probability is then the sigmoid of the logit
 * @param margin - the size of a logit under which nothing is decided
 */
export function pairScore(
  {
    logit,
    sigmas,
    aux,
  }: {
    readonly logit: number;
    readonly sigmas?: readonly [number, number];
    readonly aux?: PairAuxScores;
  },
  calibrated: Calibrated | null,
  facts: ScoreFacts,
  margin: number | null = null,
): PairScore {
  const score = calibrated?.value ?? sigmoid(logit);
  const result: Writable<Omit<PairScore, 'model'>> = {
    score,
    winner: margin !== null && Math.abs(logit) < margin ? 'undecided' : winnerOf(score),
    confidence: calibrated?.confidence ?? null,
    logit,
    calibrated: calibrated !== null,
  };
  if (sigmas) [result.left_sigma, result.right_sigma] = sigmas;
  if (aux) result.aux = aux;
  return withFacts(result, facts);
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

/** Adds to a score what there is of its surroundings: to itself, for copies of many take long. */
export function withFacts<S extends object>(score: S, facts: ScoreFacts): S & ScoreFacts {
  const { percentile, model, task, marks, truncated } = facts;
  const result = score as S & Writable<ScoreFacts>;
  if (percentile) result.percentile = percentile;
  result.model = model;
  if (task !== undefined) result.task = task;
  if (marks) result.marks = marks;
  if (truncated) result.truncated = truncated;
  return result;
}
