/** Zero crossings of the sinc on each side; with the window below all but a tenth of the band passes. */
const ZERO_CROSSINGS = 64;
/** Where the filter halves the amplitude, as a part of the lower Nyquist frequency: its stop band begins at Nyquist. */
const CUTOFF = 0.95;
/** Shape of the Kaiser window: some 100 dB of attenuation. */
const KAISER_BETA = 10;

/** Length after `resample`. */
export const resampledLength = (length: number, from: number, to: number): number => Math.ceil((length * to) / from);

/**
 * The same sound at another rate, through a Kaiser-windowed sinc low-pass filter; before its start and after its end is silence.
 * Output `i` lies at the time of input `i * from / to`. Constants stay constant.
 * @param from - samples a second of the input, an integer
 * @param to - samples a second of the output, an integer
 * @see Smith, "Digital Audio Resampling Home Page" (2002); scipy.signal.resample_poly
 */
export function resample(samples: Float32Array, from: number, to: number): Float32Array {
  if (from === to) return samples;
  const divisor = greatestCommonDivisor(from, to);
  const filter = new PolyphaseFilter(to / divisor, from / divisor);
  const out = new Float32Array(resampledLength(samples.length, from, to));
  for (let i = 0; i < out.length; i++) out[i] = filter.at(samples, i);
  return out;
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

/** Weights kept for the phases; rates without a common divisor have so many that they are worked out anew each time. */
const MAX_KEPT_WEIGHTS = 1 << 22;

class PolyphaseFilter {
  /** Input samples on each side that an output is made of. */
  private readonly halfWidth: number;
  private readonly taps: number;
  private readonly kept: (Float64Array | undefined)[] = [];
  private readonly keeps: boolean;

  constructor(
    private readonly up: number,
    private readonly down: number,
  ) {
    this.halfWidth = ZERO_CROSSINGS * Math.max(1, down / up);
    this.taps = 2 * Math.ceil(this.halfWidth) + 1;
    this.keeps = up * this.taps <= MAX_KEPT_WEIGHTS;
  }

  at(samples: Float32Array, out: number): number {
    const position = out * this.down;
    const phase = position % this.up;
    const first = (position - phase) / this.up - (this.taps - 1) / 2;
    const weights = this.weightsOf(phase);
    const end = Math.min(this.taps, samples.length - first);
    let sum = 0;
    for (let i = Math.max(0, -first); i < end; i++) sum += weights[i] * samples[first + i];
    return sum;
  }

  /** Weights of the inputs around an output that lies `phase / up` samples after an input. They add up to 1. */
  private weightsOf(phase: number): Float64Array {
    const known = this.kept[phase];
    if (known) return known;
    const weights = new Float64Array(this.taps);
    const middle = (this.taps - 1) / 2 + phase / this.up;
    let sum = 0;
    for (let i = 0; i < this.taps; i++) {
      weights[i] = kernelAt(Math.abs(i - middle) / this.halfWidth);
      sum += weights[i];
    }
    for (let i = 0; i < this.taps; i++) weights[i] /= sum;
    if (this.keeps) this.kept[phase] = weights;
    return weights;
  }
}

/** Points a zero crossing: linear interpolation between them errs by less than 2e-6 (-114 dB). */
const TABLE_POINTS = 1024 * ZERO_CROSSINGS;
let table: Float64Array | undefined;

/** Sinc times window at a distance, of which 1 is the filter's edge. */
function kernelAt(distance: number): number {
  if (distance >= 1) return 0;
  table ??= Float64Array.from({ length: TABLE_POINTS + 1 }, (_, i) => windowedSinc(i / TABLE_POINTS));
  const at = distance * TABLE_POINTS;
  const i = Math.trunc(at);
  return table[i] + (at - i) * (table[i + 1] - table[i]);
}

function windowedSinc(distance: number): number {
  const x = Math.PI * CUTOFF * ZERO_CROSSINGS * distance;
  const window = besselI0(KAISER_BETA * Math.sqrt(1 - distance * distance)) / besselI0(KAISER_BETA);
  return (x === 0 ? 1 : Math.sin(x) / x) * window;
}

/** Modified Bessel function of the first kind and order 0, by its power series. */
function besselI0(x: number): number {
  let sum = 1;
  let term = 1;
  for (let k = 1; term > 1e-17 * sum; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}
