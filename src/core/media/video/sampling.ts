/**
 * Which frames of a clip a model sees: the middle ones of `wanted` equal parts, frame floor((i + 1/2) * count / wanted).
 * A clip of fewer frames than are wanted has some of them more than once.
 */
export const evenFrames = (count: number, wanted: number): number[] =>
  Array.from({ length: wanted }, (_, i) => Math.floor(((i + 0.5) * count) / wanted));
