/**
 * A sound as a sum of pieces, one a time window and mel band. Windows are square roots of Hann's, half overlapping, before and after
 * the transform, so that the pieces add up to the sound exactly: what is attributed to samples can be attributed to pieces.
 */
export interface Grid {
  /** Samples of one window: a power of two. */
  readonly size: number;
  readonly windows: number;
  /** First bin of each band, and one beyond the last: the bins 0 … size / 2 are shared out without overlap. */
  readonly edges: readonly number[];
  /** Limits of the bands in hertz. */
  readonly hertz: readonly number[];
}

const SECONDS = 0.032;
const MOST_WINDOWS = 256;

export function gridOf(samples: number, sampleRate: number, bands: number, mostWindows = MOST_WINDOWS): Grid {
  let size = 2 ** Math.ceil(Math.log2(SECONDS * sampleRate));
  while (Math.ceil(samples / (size / 2)) + 1 > mostWindows) size *= 2;
  const top = size / 2 + 1;
  const mel = (hertz: number): number => 2595 * Math.log10(1 + hertz / 700);
  const hertzOf = (value: number): number => 700 * (10 ** (value / 2595) - 1);
  const hertz = Array.from({ length: bands + 1 }, (_, i) => hertzOf((mel(sampleRate / 2) * i) / bands));
  const edges = hertz.map((frequency) => Math.round((frequency * size) / sampleRate));
  // A band has at least one bin, also where mel bands are narrower than that.
  for (let i = 1; i < edges.length; i++) edges[i] = Math.max(edges[i], edges[i - 1] + 1);
  for (let i = edges.length - 1, last = top; i >= 0; i--, last--) edges[i] = Math.min(edges[i], last);
  edges[0] = 0;
  edges[bands] = top;
  return { size, windows: Math.ceil(samples / (size / 2)) + 1, edges, hertz };
}

/** Bands that a sound of this rate can be told apart in. */
export const MEL_BANDS = 32;

/** Complex numbers, apart. */
interface Complex {
  readonly re: Float64Array;
  readonly im: Float64Array;
}

/** In place, by Cooley and Tukey; not scaled in either direction. */
function transform({ re, im }: Complex, inverse = false): void {
  const n = re.length;
  for (let i = 1, j = 0; i < n; i++) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) {
      [re[i], re[j]] = [re[j], re[i]];
      [im[i], im[j]] = [im[j], im[i]];
    }
  }
  for (let length = 2; length <= n; length <<= 1) {
    const angle = ((inverse ? 2 : -2) * Math.PI) / length;
    for (let k = 0; k < length / 2; k++) {
      const [cos, sin] = [Math.cos(angle * k), Math.sin(angle * k)];
      for (let a = k; a < n; a += length) {
        const b = a + length / 2;
        const [real, imaginary] = [re[b] * cos - im[b] * sin, re[b] * sin + im[b] * cos];
        re[b] = re[a] - real;
        im[b] = im[a] - imaginary;
        re[a] += real;
        im[a] += imaginary;
      }
    }
  }
}

/** Window number `t` of a sound, transformed. The first begins half a window before it. */
function spectrumOf(x: Float32Array, t: number, size: number): Complex {
  const [re, im] = [new Float64Array(size), new Float64Array(size)];
  const start = (t - 1) * (size / 2);
  for (let i = Math.max(0, -start); i < size && start + i < x.length; i++)
    re[i] = x[start + i] * Math.sin((Math.PI * i) / size);
  transform({ re, im });
  return { re, im };
}

/** [bands, windows]: sum over the bins of each cell of what `term` gives for a bin; those above the middle are counted with those below. */
function sumCells(grid: Grid, of: (t: number) => (bin: number) => number): Float32Array {
  const { size, windows, edges } = grid;
  const bands = edges.length - 1;
  const cells = new Float32Array(bands * windows);
  for (let t = 0; t < windows; t++) {
    const term = of(t);
    for (let band = 0; band < bands; band++) {
      let sum = 0;
      for (let bin = edges[band]; bin < edges[band + 1]; bin++) {
        sum += term(bin);
        if (bin > 0 && bin < size / 2) sum += term(size - bin);
      }
      cells[band * windows + t] = sum;
    }
  }
  return cells;
}

/**
 * [bands, windows]: how much of the product of a sound and a slope over its samples lies in each cell. The sum over all cells is
 * that over all samples.
 */
export function attributeCells(x: Float32Array, slope: Float32Array, grid: Grid): Float32Array {
  return sumCells(grid, (t) => {
    const [a, b] = [spectrumOf(x, t, grid.size), spectrumOf(slope, t, grid.size)];
    return (bin) => (a.re[bin] * b.re[bin] + a.im[bin] * b.im[bin]) / grid.size;
  });
}

/** [bands, windows]: energy of each cell. */
export function energyCells(x: Float32Array, grid: Grid): Float32Array {
  return sumCells(grid, (t) => {
    const { re, im } = spectrumOf(x, t, grid.size);
    return (bin) => (re[bin] ** 2 + im[bin] ** 2) / grid.size;
  });
}

/** The piece of a sound that lies in some bands and windows: ranges of both, ends excluded. */
export function pieceOf(
  x: Float32Array,
  grid: Grid,
  [bandFrom, bandTo]: readonly [number, number],
  [from, to]: readonly [number, number],
): Float32Array {
  const { size, edges } = grid;
  const piece = new Float32Array(x.length);
  for (let t = from; t < to; t++) {
    const spectrum = spectrumOf(x, t, size);
    for (let bin = 0; bin < size; bin++) {
      const place = Math.min(bin, size - bin);
      if (place >= edges[bandFrom] && place < edges[bandTo]) continue;
      spectrum.re[bin] = 0;
      spectrum.im[bin] = 0;
    }
    transform(spectrum, true);
    const start = (t - 1) * (size / 2);
    for (let i = Math.max(0, -start); i < size && start + i < x.length; i++)
      piece[start + i] += (spectrum.re[i] / size) * Math.sin((Math.PI * i) / size);
  }
  return piece;
}
