import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { bindShapes } from '../../../src/core/autodiff/bind.js';
import { RULES } from '../../../src/core/autodiff/registry.js';
import { withAtomicOutput } from '../../../src/core/bytes/output.js';
import { writeOnnx } from '../../../src/core/onnx/write.js';
import { openSession } from '../../../src/core/runtime/ort.js';
import { float32Value, type TensorValue } from '../../../src/core/runtime/value.js';
import { floats, runModel } from '../../helpers/graphs.js';
import { tempFolder } from '../../helpers/temp.js';
import { CASES, feedsOf, modelOf, type OperatorCase, outputWeights, withGradients } from './cases.js';

/** Steps of the differences: large against float32's rounding, small against the curvature of the cases. */
const STEP = 2 ** -7;

type Loss = (feeds: ReadonlyMap<string, TensorValue>) => Promise<number>;

/** Loss of a case as a function of its inputs, added up in float64. */
async function withLoss<T>(operator: OperatorCase, folder: string, use: (loss: Loss) => Promise<T>): Promise<T> {
  const path = join(folder, 'forward.onnx');
  await withAtomicOutput(path, {}, (output) => writeOnnx(modelOf(operator), output));
  const session = await openSession(path, { optimization: 'disabled', threads: 1 });
  try {
    return await use(async (feeds) => {
      const outputs = await session.run(feeds);
      return operator.outputs.reduce((loss, shape, index) => {
        const weights = outputWeights(shape, index);
        return floats(outputs, `y${index}`).reduce((sum, value, i) => sum + value * weights[i], loss);
      }, 0);
    });
  } finally {
    await session.release();
  }
}

/** Central differences of fourth order: (8 (f(x+h) - f(x-h)) - (f(x+2h) - f(x-2h))) / 12h. */
async function differences(loss: Loss, feeds: ReadonlyMap<string, TensorValue>, name: string): Promise<number[]> {
  const { shape, data } = feeds.get(name)!;
  const result: number[] = [];
  for (let i = 0; i < data.length; i++) {
    const at = async (offset: number): Promise<number> => {
      const moved = Float32Array.from(data as Float32Array);
      moved[i] += offset;
      return loss(new Map([...feeds, [name, float32Value(shape, moved)]]));
    };
    const near = (await at(STEP)) - (await at(-STEP));
    const far = (await at(2 * STEP)) - (await at(-2 * STEP));
    result.push((8 * near - far) / (12 * STEP));
  }
  return result;
}

describe('every rule', () => {
  it('has a case', () => {
    const tested = new Set(CASES.map(({ opType }) => opType));
    expect(RULES.flatMap(({ opTypes }) => opTypes).filter((opType) => !tested.has(opType))).toEqual([]);
  });
});

describe.each(CASES)('the gradient of $name', (operator) => {
  it('is that of PyTorch and that of finite differences', async () => {
    const folder = tempFolder();
    const feeds = feedsOf(operator);
    const bound = await bindShapes(modelOf(operator), feeds);
    const { model, names } = withGradients(bound, operator);
    const outputs = await runModel(model, folder, feeds);
    await withLoss(operator, folder, async (loss) => {
      for (const [index, expected] of Object.entries(operator.gradients)) {
        const name = `x${index}`;
        const scale = Math.max(...expected.map(Math.abs));
        expect(floats(outputs, names.get(name)!)).toBeAllClose(expected, { rtol: 1e-5, atol: 1e-5 * scale });
        const tolerance = { rtol: 1e-3, atol: 1e-3 * scale };
        expect(await differences(loss, feeds, name)).toBeAllClose(expected, tolerance);
      }
    });
  });
});
