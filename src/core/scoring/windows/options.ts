import type { WindowRule } from '../../data/score-windows.js';
import { HpsError } from '../../errors.js';
import { LIMITS } from '../../limits.js';
import type { LongestWindow, Windowing, WindowUnit } from '../../media/windows.js';
import type { Aggregation } from './aggregate.js';

/** How items longer than a model reads are scored. */
export interface WindowOptions {
  /** `8s`, `500ms` or `1m` of video and sound, `64t` (tokens) of text, or `max`: the longest that the model reads. */
  readonly window: string;
  /** From the start of one window to that of the next; by default half a window. */
  readonly stride?: string;
  /**
   * How the logit of an item comes from those of its windows: `mean` (the default), that of the `worst` or of the `last`, or the path
   * of a rule that was fitted to labels (`fitWindows`).
   */
  readonly aggregate?: string;
}

interface Length {
  readonly value: number;
  readonly unit: WindowUnit;
}

/** What options ask for, before a model says what it reads. */
export interface ParsedWindows {
  /** Null for the longest that the model reads. */
  readonly window: Length | null;
  /** Null for half of it. */
  readonly stride: Length | null;
}

/** @throws HpsError USAGE for what is not a length */
export function parseWindows({ window, stride }: WindowOptions): ParsedWindows {
  return {
    window: window === 'max' ? null : parseLength('window', window),
    stride: stride === undefined ? null : parseLength('stride', stride),
  };
}

const UNITS: Readonly<Record<string, readonly [WindowUnit, number]>> = {
  ms: ['seconds', 0.001],
  s: ['seconds', 1],
  m: ['seconds', 60],
  t: ['tokens', 1],
};

function parseLength(option: string, text: string): Length {
  const [, number, unit] = /^(\d{1,9}(?:\.\d{1,6})?)(ms|s|m|t)$/.exec(text.trim()) ?? [];
  const [kind, scale] = UNITS[unit] ?? [];
  const value = Number(number) * (scale ?? Number.NaN);
  const isLength = kind === 'seconds' ? value > 0 : Number.isInteger(value) && value > 0;
  if (kind && isLength) return { value, unit: kind };
  throw new HpsError('USAGE', `\`${option}\` ${JSON.stringify(text.slice(0, 40))} is not a length`, {
    hint: 'Give seconds of video or sound (`8s`, `500ms`), tokens of text (`64t`), or for a window `max`.',
    details: { option, text: text.slice(0, 40) },
  });
}

/**
 * The windows that a model is given; null where the lengths are of another unit than its own, or it reads nothing of a length.
 * @throws HpsError USAGE for a window of time and a stride of tokens; a window that is longer than the model reads, a stride that
 *   leaves gaps, and one so short that too many windows overlap
 */
export function windowingOf({ window, stride }: ParsedWindows, longest: LongestWindow | null): Windowing | null {
  if (window && stride && window.unit !== stride.unit)
    throw unusable('`window` is counted in one unit, `stride` in another', 'Give both as a time, or both in tokens.');
  const given = window ?? stride;
  if (longest === null || (given && given.unit !== longest.unit)) return null;
  const { unit } = longest;
  const length = window?.value ?? longest.length;
  const step = stride?.value ?? (unit === 'tokens' ? Math.ceil(length / 2) : length / 2);
  const named = (value: number): string => formatLength(value, unit);
  if (length > longest.length)
    throw unusable(`a window of ${named(length)} is longer than the ${named(longest.length)} that the model reads`);
  if (step > length) throw unusable(`a stride of ${named(step)} leaves gaps between windows of ${named(length)}`);
  if (length / step > LIMITS.windowOverlap) {
    const rule = `of which at most ${LIMITS.windowOverlap} may overlap`;
    throw unusable(`a stride of ${named(step)} is too short for windows of ${named(length)}, ${rule}`);
  }
  return { window: length, stride: step, unit };
}

/**
 * What a model says to windows that are not counted in its unit; null where it takes them, or reads nothing of a length.
 * @param name - of the model
 */
export function wrongUnit({ window, stride }: ParsedWindows, longest: LongestWindow | null, name: string) {
  const given = window ?? stride;
  if (longest === null || !given || given.unit === longest.unit) return null;
  const option = window ? 'window' : 'stride';
  const example = longest.unit === 'seconds' ? '8s' : '64t';
  const reads = `is cut by ${longest.unit}, not by ${given.unit}`;
  return new HpsError('USAGE', `${name}: what it reads ${reads}: its \`${option}\` is a length as ${example}`, {
    hint: `Give \`${option}\` as ${example}, or as max for the longest that it reads.`,
    details: { file: name, unit: longest.unit },
  });
}

const unusable = (rule: string, hint = 'Change `window` or `stride`.'): HpsError =>
  new HpsError('USAGE', rule, { hint, details: { rule } });

/** A length as options write it: `8s`, `64t`. */
const formatLength = (length: number, unit: WindowUnit): string =>
  `${Number(length.toFixed(6))}${unit === 'seconds' ? 's' : 't'}`;

/** What stands beside every score in such windows. */
export const ruleOf = (
  { window, stride, unit }: Windowing,
  { aggregate, sharpness }: Aggregation,
): Omit<WindowRule, 'interval'> => ({
  window: formatLength(window, unit),
  stride: formatLength(stride, unit),
  aggregate,
  ...(sharpness === undefined ? {} : { sharpness }),
  unit: unit === 'seconds' ? 'seconds' : 'characters',
});
