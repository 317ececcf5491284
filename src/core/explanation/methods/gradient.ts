import { Random } from '../../bytes/random.js';
import { reporter } from '../../run.js';
import { float32Value } from '../../runtime/value.js';
import { Differentiator, type RowFeeds } from '../differentiator.js';
import type { ExplainedInputs, Part } from '../parts.js';
import type { Attribution, GradientCase, MethodResult } from './method.js';

/** Opens f of these inputs with the gradients of its parts. */
export const openFor = ({ decision, inputs, settings }: GradientCase, rows: number): Promise<Differentiator> =>
  Differentiator.open(
    decision,
    inputs.feeds,
    { wrt: inputs.parts.map(({ value }) => value), fed: inputs.fed, threads: settings.threads },
    rows,
  );

/** The feeds with other values of the parts. */
export function feedsWith({ feeds, parts }: ExplainedInputs, floatsFor: (part: Part) => Float32Array): RowFeeds {
  const changed = parts.map((part) => [part.value, float32Value([1, ...part.shape], floatsFor(part))] as const);
  return new Map([...feeds, ...changed]);
}

const plain = (attributions: readonly Attribution[], logit: number): MethodResult => ({
  attributions,
  logit,
  baselineLogit: null,
  completeness: null,
  warnings: [],
});

/** d f / d x (Simonyan, Vedaldi and Zisserman 2013). Signed; maps show its largest magnitude over the channels. */
export async function gradient(given: GradientCase): Promise<MethodResult> {
  const session = await openFor(given, 1);
  try {
    const { logits, gradients } = await session.run([given.inputs.feeds]);
    const { parts } = given.inputs;
    return plain(
      parts.map((part) => ({ part, shape: part.shape, values: gradients.get(part.value)! })),
      logits[0],
    );
  } finally {
    await session.close();
  }
}

/** x d f / d x (Shrikumar and others 2016). */
export async function inputXGradient(given: GradientCase): Promise<MethodResult> {
  const { attributions, logit } = await gradient(given);
  return plain(
    attributions.map(({ part, shape, values }) => ({
      part,
      shape,
      values: values.map((g, i) => g * part.x[i]),
      slope: values,
    })),
    logit,
  );
}

/** Noise of one copy of one part, in units of its deviation. */
export type Noise = (part: Part, copy: number) => Float32Array;

/**
 * The mean gradient over noisy copies (Smilkov and others 2017); the deviation is `noise` times the range of the part.
 * @param noiseOf - Normal(0, 1), seeded, unless a caller brings its own
 */
export async function smoothgrad(given: GradientCase, noiseOf: Noise = seededNoise(given)): Promise<MethodResult> {
  const { inputs, settings, run } = given;
  const { copies, noise } = settings;
  const session = await openFor(given, copies);
  try {
    const report = reporter(run, 'Differentiating noisy copies', 'steps');
    const { logits } = await session.run([inputs.feeds]);
    const sums = new Map(inputs.parts.map(({ value, x }) => [value, new Float64Array(x.length)]));
    const deviations = new Map(inputs.parts.map((part) => [part, Math.fround(noise * rangeOf(part.x))]));
    for (let start = 0; start < copies; start += session.rows) {
      run.signal?.throwIfAborted();
      const count = Math.min(session.rows, copies - start);
      const rows = Array.from({ length: count }, (_, i) =>
        feedsWith(inputs, (part) => {
          const drawn = noiseOf(part, start + i);
          const deviation = deviations.get(part)!;
          return part.x.map((value, at) => value + Math.fround(deviation * drawn[at]));
        }),
      );
      const { gradients } = await session.run(rows);
      for (const [value, sum] of sums) addRows(sum, gradients.get(value)!, () => 1);
      report(start + count, copies);
    }
    return plain(
      inputs.parts.map((part) => ({
        part,
        shape: part.shape,
        values: Float32Array.from(sums.get(part.value)!, (sum) => sum / copies),
      })),
      logits[0],
    );
  } finally {
    await session.close();
  }
}

const seededNoise =
  ({ settings }: GradientCase): Noise =>
  ({ side, input, x }, copy) => {
    const random = new Random(`smoothgrad:${settings.seed}:${side}:${input.name}:${copy}`);
    return Float32Array.from(x, () => random.normal());
  };

function rangeOf(x: Float32Array): number {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of x) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return high - low;
}

/** sum += rows, each times its weight. */
export function addRows(sum: Float64Array, rows: Float32Array, weightOf: (row: number) => number): void {
  const width = sum.length;
  for (let start = 0, row = 0; start < rows.length; start += width, row++) {
    const weight = weightOf(row);
    for (let i = 0; i < width; i++) sum[i] += weight * rows[start + i];
  }
}
