/** Values an activation may take, always with 0 inside, so that padding and zero stay exact. */
export interface Range {
  readonly low: number;
  readonly high: number;
}

/** Extremes of the channels of a value, each with 0 inside; of all its elements together where it is one number. */
export interface ChannelRange {
  readonly low: Float64Array;
  readonly high: Float64Array;
  /** Elements that each number was taken of. */
  readonly count: number;
}

/** By the name of the value. A range that is not finite excludes what reads it. */
export type Ranges = ReadonlyMap<string, Range>;

/** Affine quantization to unsigned 8 bits: real = scale (q - zeroPoint). */
export interface ActivationScale {
  readonly scale: number;
  readonly zeroPoint: number;
}

/** Below the smallest normal float32 a scale would lose bits or become 0. */
export const SMALLEST_SCALE = 2 ** -126;
const U8_LEVELS = 255;

export const isFiniteRange = ({ low, high }: Range): boolean => Number.isFinite(low) && Number.isFinite(high);

/** The range of all channels, divided by their scales. */
export const overallRange = ({ low, high }: Pick<ChannelRange, 'low' | 'high'>, scales?: Float64Array): Range => {
  const divided = (ends: Float64Array): Float64Array => (scales ? ends.map((end, c) => end / scales[c]) : ends);
  return {
    low: divided(low).reduce((a, b) => Math.min(a, b)),
    high: divided(high).reduce((a, b) => Math.max(a, b)),
  };
};

/** A range between edges of bins, without what the first and last bin have beyond the values; 0 stays inside. */
export const within = (seen: Range, { low, high }: Range): Range => ({
  low: Math.min(0, Math.max(seen.low, low)),
  high: Math.max(0, Math.min(seen.high, high)),
});

/**
 * Scale and zero point of a range; a range of zeros alone gives scale 1. The zero point is a whole number, so 0 is exact, and
 * after Relu it is 0, which lets the runtime drop the Relu.
 */
export function activationScale({ low, high }: Range): ActivationScale {
  const scale = Math.fround((Math.max(0, high) - Math.min(0, low)) / U8_LEVELS);
  if (!(scale >= SMALLEST_SCALE)) return { scale: 1, zeroPoint: 0 };
  return { scale, zeroPoint: Math.min(U8_LEVELS, Math.max(0, Math.round(-Math.min(0, low) / scale))) };
}
