import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { bindShapes } from '../../../src/core/autodiff/bind.js';
import { RULES } from '../../../src/core/autodiff/registry.js';
import { withAtomicOutput } from '../../../src/core/bytes/output.js';
import { writeOnnx } from '../../../src/core/onnx/write.js';
import { openSession } from '../../../src/core/runtime/ort.js';
import { float32Value, type TensorValue } from '../../../src/core/runtime/value.js';
import { floats, runModel } from '../../helpers/graphs.js';
import { sharedFolder } from '../../helpers/temp.js';
import { CASES, feedsOf, modelOf, outputWeights, withGradients } from './cases.js';

/** Step of the differences: large against float32's rounding, small against the curvature of the cases. */
const STEP = 2 ** -7;

const folder = sharedFolder();
const feeds = feedsOf(CASES);
/** By the name of the input. */
let computed: ReadonlyMap<string, ArrayLike<number>>;
let differences: ReadonlyMap<string, readonly number[]>;

type Losses = (feeds: ReadonlyMap<string, TensorValue>) => Promise<ReadonlyMap<string, number>>;

/** The loss of every case, added up in float64. */
async function withLosses<T>(use: (losses: Losses) => Promise<T>): Promise<T> {
  const path = join(folder, 'forward.onnx');
  await withAtomicOutput(path, {}, (output) => writeOnnx(modelOf(CASES), output));
  const session = await openSession(path, { optimization: 'disabled', threads: 1 });
  try {
    return await use(async (fed) => {
      const results = await session.run(fed);
      const lossOf = (name: string, outputs: readonly number[][]): number =>
        outputs.reduce((loss, shape, index) => {
          const weights = outputWeights(shape, index);
          return floats(results, `${name}/y${index}`).reduce((sum, value, i) => sum + value * weights[i], loss);
        }, 0);
      return new Map(CASES.map(({ name, outputs }) => [name, lossOf(name, outputs)]));
    });
  } finally {
    await session.release();
  }
}

/** Elements of an input that differences are taken for, spread over it. */
const SAMPLES = 8;
const sampleOf = (size: number, sample: number): number => Math.floor((sample * size) / Math.min(SAMPLES, size));

/**
 * Central differences of fourth order, (8 (f(x+h) - f(x-h)) - (f(x+2h) - f(x-2h))) / 12h. The cases do not touch each other,
 * so that a sample of input `index` is moved in all of them at once.
 */
async function differencesAt(losses: Losses, index: number, sample: number): Promise<Map<string, number>> {
  const moved = (offset: number) =>
    losses(
      new Map(
        [...feeds].map(([name, value]) => {
          if (!name.endsWith(`/x${index}`) || sample >= value.data.length) return [name, value];
          const data = Float32Array.from(value.data as Float32Array);
          data[sampleOf(data.length, sample)] += offset;
          return [name, float32Value(value.shape, data)];
        }),
      ),
    );
  const [plus, minus, plus2, minus2] = [
    await moved(STEP),
    await moved(-STEP),
    await moved(2 * STEP),
    await moved(-2 * STEP),
  ];
  const difference = (name: string): number =>
    (8 * (plus.get(name)! - minus.get(name)!) - (plus2.get(name)! - minus2.get(name)!)) / (12 * STEP);
  return new Map(CASES.map(({ name }) => [name, difference(name)]));
}

async function allDifferences(): Promise<Map<string, number[]>> {
  const found = new Map([...feeds].map(([name]) => [name, [] as number[]]));
  await withLosses(async (losses) => {
    for (const index of [0, 1, 2]) {
      for (let sample = 0; sample < SAMPLES; sample++) {
        for (const [name, value] of await differencesAt(losses, index, sample)) {
          const input = `${name}/x${index}`;
          if (sample < (feeds.get(input)?.data.length ?? 0)) found.get(input)?.push(value);
        }
      }
    }
  });
  return found;
}

beforeAll(async () => {
  const { model, names } = withGradients(await bindShapes(modelOf(CASES), feeds), CASES);
  const outputs = await runModel(model, folder, feeds);
  computed = new Map([...names].map(([input, gradient]) => [input, floats(outputs, gradient)]));
  differences = await allDifferences();
}, 120_000);

it('every rule has a case', () => {
  const tested = new Set(CASES.map(({ opType }) => opType));
  expect(RULES.flatMap(({ opTypes }) => opTypes).filter((opType) => !tested.has(opType))).toEqual([]);
});

describe.each(CASES)('the gradient of $name', ({ name, gradients }) => {
  const inputs = Object.entries(gradients).map(([index, expected]) => ({
    input: `${name}/x${index}`,
    expected,
    scale: Math.max(...expected.map(Math.abs)),
  }));

  it('is that of PyTorch', () => {
    for (const { input, expected, scale } of inputs) {
      expect(computed.get(input)).toBeAllClose(expected, { rtol: 1e-5, atol: 1e-5 * scale });
    }
  });

  it('is that of finite differences', () => {
    for (const { input, expected, scale } of inputs) {
      const sampled = differences.get(input)!;
      const some = Array.from(sampled, (_, sample) => expected[sampleOf(expected.length, sample)]);
      expect(sampled).toBeAllClose(some, { rtol: 1e-3, atol: 1e-3 * scale });
    }
  });
});
