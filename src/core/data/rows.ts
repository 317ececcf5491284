import type { ErrorCode } from '../errors.js';
import type { ItemPart, Modality } from '../modality.js';
import type { ScoreWindows } from './score-windows.js';

/** One turn of a conversation. */
export interface Turn {
  readonly role: string;
  readonly content: string;
}

/** A path, an address, or inline text; with several inputs, one of these for each part; or a conversation; or several pictures, for people to judge. */
export type Item =
  | string
  | Readonly<
      Partial<Record<ItemPart, string>> & { readonly messages?: readonly Turn[]; readonly images?: readonly string[] }
    >;

interface RowBase {
  /** As in the file; an integer id becomes its digits. */
  readonly id: string;
  readonly context?: string;
  readonly task?: string;
  readonly modality?: Modality;
  /** The cluster: `prompt_id`, or the row's own id where there is none. Never split across folds, resampled together. */
  readonly promptId: string;
  readonly groups: ReadonlyMap<string, string>;
  /** One name for each vote or rating; absent when raters are anonymous. */
  readonly raters?: readonly string[];
  /** How probable it was that this row would be asked for, above 0: what `hpsv3 select` chose is no fair sample without it. */
  readonly propensity?: number;
}

/** Two items of one prompt, and which of them raters preferred. */
export interface PairRow extends RowBase {
  readonly kind: 'pair';
  readonly left: Item;
  readonly right: Item;
  /** 1 left preferred, 0 right, 0.5 tie; a soft label is one vote in (0, 1). Empty when nobody has judged the pair yet. */
  readonly votes: readonly number[];
  /** Present where the row names what was chosen and what was rejected, so that the sides are ours and mean nothing. */
  readonly preference?: true;
}

/** The auxiliary heads of a model, by the names of their outputs and of their labels. */
export const AUXILIARY = ['quality', 'fluency', 'toxicity'] as const;
export type Auxiliary = (typeof AUXILIARY)[number];

/** Targets of the auxiliary heads. */
export interface AuxLabels {
  /** Class 0 … C-1. */
  readonly quality?: number;
  readonly fluency?: 0 | 1;
  readonly toxicity?: 0 | 1;
}

/** One item and its score on a human scale. */
export interface AbsoluteRow extends RowBase {
  readonly kind: 'absolute';
  readonly item: Item;
  /** The score on the human scale, where the file states one. */
  readonly score?: number;
  /** One a rater, on the raters' own scale. Empty when there are none. */
  readonly ratings: readonly number[];
  readonly aux?: AuxLabels;
}

/** What the auxiliary heads say of an item; a head that the model lacks is absent. */
export interface AuxScores {
  /** Class on average by the probabilities of the classes: 0 (worst) … C - 1 (best). */
  readonly quality?: number;
  /** Probability that the item is fluent. */
  readonly fluency?: number;
  /** Probability that the item is toxic. */
  readonly toxicity?: number;
}

/** What the auxiliary heads say of the items of a pair. */
export interface PairAuxScores {
  readonly left: AuxScores;
  readonly right: AuxScores;
}

export type DataRow = PairRow | AbsoluteRow;

export const WINNERS = ['left', 'right', 'tie', 'undecided'] as const;
/** `undecided` is what a scorer says that was told to abstain where it is not sure enough. */
export type Winner = (typeof WINNERS)[number];

/** Whom a probability that left is preferred is for. */
export const winnerOf = (probability: number): Winner =>
  probability === 0.5 ? 'tie' : probability > 0.5 ? 'left' : 'right';

/** Where a score stands among those of a reference set. */
export interface Percentile {
  /** Share of the set with a lower score; of pairs, with a smaller margin. */
  readonly below: number;
  /** 95 % interval of that share in what the set was drawn from. */
  readonly low: number;
  readonly high: number;
  /** Scores of the set. */
  readonly n: number;
}

/** What a model, or an ensemble of several, said of one row. */
export interface ScoreRow {
  readonly id: string;
  /** The pair logit, or the utility logit of an item. */
  readonly logit: number;
  /** Probability of a pair, utility of an item. */
  readonly score?: number;
  readonly winner?: Winner;
  /** Null when uncalibrated. */
  readonly confidence?: number | null;
  /** An item's score on the human scale; for a pair, whether the probability is calibrated; false where it is not. */
  readonly calibrated?: number | boolean;
  /** Where that value comes from. */
  readonly calibratedBy?: string;
  /** Where the calibrator has a reference set of such scores. */
  readonly percentile?: Percentile;
  /** Mean and standard deviation of a model that gives both, of an item and of the sides of a pair. */
  readonly mu?: number;
  readonly sigma?: number;
  readonly left_sigma?: number;
  readonly right_sigma?: number;
  /** Of a model with auxiliary heads. */
  readonly aux?: AuxScores | PairAuxScores;
  /** The marks that hold of the item, or of an item of the pair; absent where none does. */
  readonly marks?: readonly string[];
  /** Of the members of an ensemble. */
  readonly disagreement?: number;
  readonly task?: string;
  /** Present where the end of a text was left out. */
  readonly truncated?: true;
  /** Present of what was scored in windows. */
  readonly windows?: ScoreWindows;
  /** 1-based line of the row that was scored. */
  readonly row?: number;
  /** sha256 of the model file. */
  readonly model?: string;
  readonly runtime?: {
    readonly version?: string;
    readonly device?: string;
    readonly threads?: number;
    readonly optimization?: string;
  };
}

/** Why a row was refused. Codes are public: they stand in `errors.jsonl` and in counts. */
export type BadRowCode =
  | 'COLUMNS_MISMATCH'
  | 'DUPLICATE_ID'
  | 'DUPLICATE_KEY'
  | 'FIELD_INVALID'
  | 'FIELD_MISSING'
  | 'INVALID_CSV'
  | 'INVALID_JSON'
  | 'INVALID_UTF8'
  | 'NOT_AN_OBJECT'
  | 'NUMBER_OUT_OF_RANGE'
  | 'ROW_TOO_DEEP'
  | 'ROW_TOO_LARGE'
  | 'TYPE_UNKNOWN';

/** A row that was refused while the rest of its file was read on. */
export interface BadRow {
  /** 1-based line of a text file, or row of a Parquet file. */
  readonly line: number;
  /** Of the row itself, or of what it names and could not be read. */
  readonly code: BadRowCode | ErrorCode;
  /** Field and rule, with the actual value. */
  readonly message: string;
}

/** Thrown by the parser of one row, and turned into a `BadRow` by the reader that knows the line. */
export class RowError extends Error {
  override readonly name = 'RowError';
  constructor(
    readonly code: BadRowCode,
    message: string,
  ) {
    super(message);
  }
}

/** A row read, or refused, with its place in the file. */
export type RowResult<T> =
  | {
      readonly line: number;
      readonly row: T;
      /** Of a row that begins on the line of another: `LINE.2` for the second. What a row without an id is named by. */
      readonly place?: string;
    }
  | ({ readonly row?: undefined } & BadRow);

/** The mean rating where the file states no score of its own; undefined when it has neither. */
export function humanScore(row: AbsoluteRow): number | undefined {
  if (row.score !== undefined) return row.score;
  if (row.ratings.length === 0) return undefined;
  return row.ratings.reduce((sum, rating) => sum + rating, 0) / row.ratings.length;
}
