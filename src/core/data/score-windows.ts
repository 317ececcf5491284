/** How the logit of an item comes from those of its windows. */
export const AGGREGATES = ['mean', 'worst', 'last', 'fitted'] as const;
export type Aggregate = (typeof AGGREGATES)[number];
/** Those that need no labels. */
export const NAMED_AGGREGATES = AGGREGATES.filter((name) => name !== 'fitted');

/** A window, and what the model says of it alone. */
export interface WindowScore {
  /** Seconds from the beginning, or characters of a text. */
  readonly start: number;
  readonly end: number;
  /** The utility logit. */
  readonly logit: number;
}

/** The windows of one item. */
export interface WindowCurve {
  readonly count: number;
  /** The window of the lowest logit. */
  readonly worst: WindowScore;
  readonly curve: readonly WindowScore[];
}

/** How the windows became one score. */
export interface WindowRule {
  /** Length of a window: `8s`, `64t` of tokens. */
  readonly window: string;
  readonly stride: string;
  readonly aggregate: Aggregate;
  /** Of a rule that was fitted: a window of logit l counts in proportion to exp(-sharpness * l). */
  readonly sharpness?: number;
  /** Of every start and end. */
  readonly unit: 'seconds' | 'characters';
  /**
   * What the logit would be of other stretches of the same material: a circular block bootstrap of the windows, `block` of them in a
   * row, since those that overlap depend on each other. It says nothing of how well the model judges. Null of fewer than four
   * blocks, and where a single window decides.
   */
  readonly interval: {
    readonly level: number;
    readonly low: number;
    readonly high: number;
    readonly block: number;
  } | null;
}

export type ItemWindows = WindowRule & WindowCurve;
export type PairWindows = WindowRule & { readonly left: WindowCurve; readonly right: WindowCurve };
export type ScoreWindows = ItemWindows | PairWindows;
