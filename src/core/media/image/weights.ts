/** Kernels of resampling, and the weights they give the samples that an output is made of. */

interface Filter {
  /** Half the width of the kernel, in pixels of the larger picture. */
  readonly support: number;
  weight(x: number): number;
}

const sinc = (x: number): number => (x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI));

const BICUBIC_A = -0.5; // Pillow's; OpenCV and torch's bicubic without antialias have -0.75

export const FILTERS = {
  bilinear: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: {
    support: 2,
    weight(signed) {
      const x = Math.abs(signed);
      if (x < 1) return ((BICUBIC_A + 2) * x - (BICUBIC_A + 3)) * x * x + 1;
      return x < 2 ? (((x - 5) * x + 8) * x - 4) * BICUBIC_A : 0;
    },
  },
  lanczos3: { support: 3, weight: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
} as const satisfies Record<string, Filter>;

/** Bits after the point: 8 bits of the sample, 2 for weights beyond 1 and below 0, the rest of an int32. */
export const PRECISION_BITS = 32 - 8 - 2;
/** Half of one. */
export const ROUND = 1 << (PRECISION_BITS - 1);

/** For each wanted output: which inputs it is made of, and their weights times 2^PRECISION_BITS. */
export interface Weights {
  readonly first: Int32Array;
  readonly count: Int32Array;
  /** Weights of output `i` start at `i * stride`. */
  readonly stride: number;
  readonly values: Int32Array;
}

export interface Axis {
  readonly inSize: number;
  readonly outSize: number;
  readonly filter: Filter;
  readonly antialias: boolean;
}

/** Weights of the outputs `start` to `start + wanted`; where the sizes are equal, they leave every sample as it is. */
export function weightsOf({ inSize, outSize, filter, antialias }: Axis, start: number, wanted: number): Weights {
  const scale = inSize / outSize;
  const filterScale = antialias ? Math.max(scale, 1) : 1;
  const support = filter.support * filterScale;
  const stride = Math.ceil(support) * 2 + 1;
  const first = new Int32Array(wanted);
  const count = new Int32Array(wanted);
  const values = new Int32Array(wanted * stride);
  const weights = new Float64Array(stride);
  for (let out = 0; out < wanted; out++) {
    const center = (start + out + 0.5) * scale;
    first[out] = Math.max(0, Math.trunc(center - support + 0.5));
    count[out] = Math.min(inSize, Math.trunc(center + support + 0.5)) - first[out];
    let sum = 0;
    for (let i = 0; i < count[out]; i++) {
      weights[i] = filter.weight((i + first[out] - center + 0.5) * (1 / filterScale));
      sum += weights[i];
    }
    for (let i = 0; i < count[out]; i++) {
      const weight = (sum === 0 ? weights[i] : weights[i] / sum) * (1 << PRECISION_BITS);
      values[out * stride + i] = Math.trunc(weight < 0 ? weight - 0.5 : weight + 0.5);
    }
  }
  return { first, count, stride, values };
}
