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

/** The curve of every side. */
export const curvesOf = <Curve extends WindowCurve>(
  windows: Curve | { readonly left: Curve; readonly right: Curve },
): ['item' | 'left' | 'right', Curve][] =>
  'curve' in windows
    ? [['item', windows]]
    : [
        ['left', windows.left],
        ['right', windows.right],
      ];

/** Where a window is, in words: `at 0:00:04.0 to 0:00:12.0`. */
export const spanWords = ({ start, end }: Pick<WindowScore, 'start' | 'end'>, unit: WindowRule['unit']): string =>
  unit === 'seconds' ? `at ${clock(start)} to ${clock(end)}` : `in characters ${start} to ${end}`;

/** Hours, minutes and seconds. */
function clock(seconds: number): string {
  const tenths = Math.round(10 * seconds);
  const [hours, minutes] = [Math.floor(tenths / 36_000), Math.floor(tenths / 600) % 60];
  const rest = ((tenths % 600) / 10).toFixed(1).padStart(4, '0');
  return `${hours}:${String(minutes).padStart(2, '0')}:${rest}`;
}
