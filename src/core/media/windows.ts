import { LIMITS } from '../limits.js';
import { invalidMedia } from './refusal.js';

/** What windows are counted in: seconds of video and sound, tokens of text. */
export type WindowUnit = 'seconds' | 'tokens';

/** How an item that is longer than its model reads is cut: windows of one length, each so much later than the one before. */
export interface Windowing {
  readonly window: number;
  /** No longer than the window. */
  readonly stride: number;
  readonly unit: WindowUnit;
}

/** The longest window that a model reads. */
export interface LongestWindow {
  readonly length: number;
  readonly unit: WindowUnit;
}

/** A part of an item: seconds from its beginning, or characters of a text. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** What to do with an item that is longer than a model reads. */
export const IN_WINDOWS =
  'Take it in windows (`window` of score, batch, embed, explain and serve), or cut it into parts.';

/** Containers round times to a millisecond. */
export const TIME_TOLERANCE = 0.0005;

/**
 * The windows of an item of a length: one every stride, as long as they fit, and one more that ends where the item ends. An item
 * that is no longer than a window is one window.
 * @param name - of the item, for errors
 * @throws HpsError MEDIA_INVALID for more than the limit
 */
export function spansOf(length: number, { window, stride }: Omit<Windowing, 'unit'>, name: string): Span[] {
  if (length <= window + TIME_TOLERANCE) return [{ start: 0, end: length }];
  const whole = Math.floor((length - window + TIME_TOLERANCE) / stride) + 1;
  assertWindowCount(whole, name);
  const spans = Array.from({ length: whole }, (_, i) => ({ start: i * stride, end: i * stride + window }));
  if (spans[whole - 1].end < length - TIME_TOLERANCE) spans.push({ start: length - window, end: length });
  return spans;
}

/** Of one item among many: the others are scored. @throws HpsError MEDIA_INVALID */
export function assertWindowCount(count: number, name: string): void {
  if (count <= LIMITS.windows) return;
  throw invalidMedia(
    name,
    `has more than ${LIMITS.windows.toLocaleString('en')} windows`,
    `Shorten it, or set a longer \`stride\` or \`window\`; those of a server are set where it is started.`,
  );
}
