/** Filters of second order at 16 kHz, from the bilinear transform. */
const SAMPLE_RATE = 16_000;

interface Biquad {
  readonly b: readonly [number, number, number];
  /** Without a0, which is 1. */
  readonly a: readonly [number, number];
}

/** @see Bristow-Johnson, "Cookbook formulae for audio EQ biquad filter coefficients": LPF */
function lowPassBiquad(hertz: number, q: number): Biquad {
  const omega = (2 * Math.PI * hertz) / SAMPLE_RATE;
  const alpha = Math.sin(omega) / (2 * q);
  const [cos, a0] = [Math.cos(omega), 1 + alpha];
  const side = (1 - cos) / 2 / a0;
  return { b: [side, 2 * side, side], a: [(-2 * cos) / a0, (1 - alpha) / a0] };
}

/** @see the same: BPF with 0 dB at its peak */
function bandPassBiquad(hertz: number, q: number): Biquad {
  const omega = (2 * Math.PI * hertz) / SAMPLE_RATE;
  const alpha = Math.sin(omega) / (2 * q);
  const a0 = 1 + alpha;
  return { b: [alpha / a0, 0, -alpha / a0], a: [(-2 * Math.cos(omega)) / a0, (1 - alpha) / a0] };
}

function run(samples: Float32Array, { b, a }: Biquad): Float32Array {
  const out = new Float32Array(samples.length);
  let [s1, s2] = [0, 0]; // transposed direct form II
  for (let i = 0; i < samples.length; i++) {
    const x = samples[i];
    const y = b[0] * x + s1;
    s1 = b[1] * x - a[0] * y + s2;
    s2 = b[2] * x - a[1] * y;
    out[i] = y;
  }
  return out;
}

/**
 * A Butterworth filter of second order, run forwards and backwards, so that nothing is delayed: -6 dB at the cutoff, 24 dB
 * less each octave above.
 */
export function lowPass(samples: Float32Array, hertz: number): Float32Array {
  const biquad = lowPassBiquad(hertz, Math.SQRT1_2);
  return run(run(samples, biquad).reverse(), biquad).reverse();
}

/** What is near one frequency. */
export const resonance = (samples: Float32Array, hertz: number, q: number): Float32Array =>
  run(samples, bandPassBiquad(hertz, q));

/** Root of the mean square. */
export const rms = (samples: Float32Array): number =>
  Math.sqrt(samples.reduce((sum, value) => sum + value * value, 0) / samples.length);
