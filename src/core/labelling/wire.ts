/** What passes between the server and its page, which reads these types too: nothing of Node may be imported here. */

/** What a rater may say of what is shown. */
export const ANSWERS = ['first', 'second', 'tie', 'both_bad', 'skip'] as const;
export type Answer = (typeof ANSWERS)[number];

/** One thing that a page shows of a side. */
export type ShownPart =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'messages'; readonly messages: readonly { readonly role: string; readonly content: string }[] }
  | { readonly kind: 'image' | 'audio' | 'video' /** SHA-256 of its bytes. */; readonly media: string };

export interface ShownSide {
  readonly parts: readonly ShownPart[];
  /** Of all that is shown. */
  readonly sha256: string;
}

/** A question as a page shows it: nothing in it tells left from right, gold from other pairs, or one model from another. */
export interface ShownQuestion {
  readonly ticket: string;
  readonly question: string;
  readonly prompt: string | null;
  readonly first: ShownSide;
  readonly second: ShownSide;
}

export interface Work {
  readonly questions: readonly ShownQuestion[];
  /** Votes of this rater that stand. */
  readonly done: number;
  /** Votes that are still due from whoever takes part. */
  readonly due: number;
  readonly paused: boolean;
  readonly canUndo: boolean;
}

/** A vote as a page sends it. */
export interface SentVote {
  readonly vote: string;
  readonly ticket: string;
  readonly answer: Answer;
  /** Of what stood first and second when the vote was cast, as the page had it. */
  readonly shown: readonly [first: string, second: string];
  readonly ms: number;
  readonly visible_ms: number;
  readonly media_ready_ms: number;
  readonly ui: string;
}

export interface RaterFigures {
  readonly rater: string;
  /** Votes that stand, by what they say; skips are not among `labels`. */
  readonly votes: number;
  readonly labels: number;
  readonly choices: Readonly<Record<'left' | 'right' | 'tie' | 'both_bad' | 'skip', number>>;
  /** Of votes for a side, how often it was the first. */
  readonly firstShare: { readonly value: number | null; readonly ci: readonly [number, number] | null };
  /** The bet against one half, and whether it has won so much that the rater goes by place. */
  readonly sideEValue: number;
  readonly sideBias: boolean;
  readonly gold: { readonly right: number; readonly wrong: number; readonly eValue: number };
  /** Asked nothing more, since answers on gold were worse than they should. Its votes are kept. */
  readonly paused: boolean;
  /** Of pairs that were judged twice with the sides swapped, how often the answer was the same. */
  readonly repeats: { readonly same: number; readonly of: number };
  /** Seconds from the pair to the vote: median, and votes further than 3 median deviations from it by their logarithms. */
  readonly medianSeconds: number | null;
  readonly outliers: number;
}

export interface SessionFigures {
  readonly pairs: number;
  readonly done: number;
  readonly withdrawn: number;
  readonly votes: number;
  readonly due: number;
  /** Krippendorff's, nominal, ties a third value: as `hpsv3 data stats` has it of the export. Interval by bootstrap over pairs. */
  readonly alpha: { readonly value: number | null; readonly ci: readonly [number, number] | null };
  readonly byGroup: readonly {
    readonly group: string;
    readonly value: string;
    readonly pairs: number;
    readonly alpha: number | null;
  }[];
  readonly raters: readonly RaterFigures[];
}

/** What the page of who runs the session shows. */
export interface AdminFigures extends SessionFigures {
  readonly canInvite: boolean;
  /** Names of files that can be had. */
  readonly files: readonly string[];
}
