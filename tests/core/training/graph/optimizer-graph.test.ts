import { describe, expect, it } from 'vitest';
import { withOutputs } from '../../../../src/core/autodiff/emitter.js';
import { Random } from '../../../../src/core/bytes/random.js';
import { withTemporaryModel } from '../../../../src/core/onnx/temporary-model.js';
import { openSession } from '../../../../src/core/runtime/ort.js';
import { float32Value, floatsOf, type TensorValue } from '../../../../src/core/runtime/value.js';
import {
  buildOptimizer,
  CORRECTION_ROWS,
  correctionsOf,
  FACTOR,
  gradientName,
  LEARNING_RATE,
  type OptimizerSettings,
  partName,
  partsOf,
} from '../../../../src/core/training/graph/optimizer-graph.js';
import { adamW, averageShare, clipFactor, globalNorm } from '../../../../src/core/training/update/adamw.js';
import { packSlabs } from '../../../../src/core/training/update/slabs.js';

const SLABS = packSlabs([
  { name: 'w', shape: [30, 20], decayed: true, group: 'text' },
  { name: 'b', shape: [20], decayed: false, group: 'text' },
]);
const SETTINGS: OptimizerSettings = {
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  weightDecay: 0.1,
  clipNorm: 1,
  averageDecay: 0.99,
};

const normals = (random: Random, length: number, scale: number): Float32Array =>
  Float32Array.from({ length }, () => scale * random.normal());

/** Steps of the host and of the graph from the same start; the gradients of the third step are clipped. */
async function bothWays(settings: OptimizerSettings, steps: number) {
  const random = new Random('optimizer');
  const averaged = settings.averageDecay > 0;
  const host = SLABS.map(({ length }) => {
    const parameters = normals(random, length, 0.1);
    const zeros = () => new Float32Array(length);
    return { parameters, firstMoment: zeros(), secondMoment: zeros(), average: parameters.slice() };
  });
  const state = new Map<string, TensorValue>();
  for (const [i, slab] of SLABS.entries())
    for (const part of partsOf(averaged))
      state.set(partName(slab, part), float32Value([slab.length], host[i][part].slice()));
  const optimizer = buildOptimizer(SLABS, settings);
  const { norm, updated } = optimizer;
  const { model } = withOutputs(optimizer, [norm, ...updated.flatMap((parts) => [...parts.values()])]);
  const norms: [number, number][] = [];
  await withTemporaryModel(model, async (path) => {
    const session = await openSession(path);
    for (let step = 0; step < steps; step++) {
      const lr = 1e-2 / (step + 1);
      const gradients = SLABS.map(({ length }) => normals(random, length, step === 2 ? 3 : 0.02));
      const scaled = gradients.map((gradient) => gradient.map((g) => g * 0.5));
      const hostNorm = globalNorm(scaled);
      for (const [i, { decayed }] of SLABS.entries()) {
        const { parameters, average } = host[i];
        const weightDecay = decayed ? settings.weightDecay : 0;
        adamW(
          host[i],
          scaled[i],
          { ...settings, lr, weightDecay, step: step + 1 },
          clipFactor(hostNorm, settings.clipNorm),
        );
        const kept = averageShare(settings.averageDecay, step + 1);
        for (let j = 0; j < average.length; j++) average[j] = kept * average[j] + (1 - kept) * parameters[j];
      }
      const rows = SLABS.flatMap(() => correctionsOf(step + 1, settings));
      const results = await session.run(
        new Map<string, TensorValue>([
          ...state,
          ...SLABS.map((slab, i) => [gradientName(slab), float32Value([slab.length], gradients[i])] as const),
          [CORRECTION_ROWS, float32Value([SLABS.length, 3], Float32Array.from(rows))],
          [LEARNING_RATE, float32Value([], Float32Array.of(lr))],
          [FACTOR, float32Value([], Float32Array.of(0.5))],
        ]),
      );
      norms.push([hostNorm, floatsOf(results.get(norm)!)[0]]);
      for (const [i, parts] of updated.entries())
        for (const [part, name] of parts) state.set(partName(SLABS[i], part), results.get(name)!);
    }
    await session.release();
  });
  return { host, state, norms };
}

describe('the optimizer graph', () => {
  it.each([
    ['clipped and averaged', SETTINGS],
    ['without a bound or an average', { ...SETTINGS, clipNorm: 0, averageDecay: 0 }],
  ])('takes the steps of the host, %s', async (_, settings) => {
    const { host, state, norms } = await bothWays(settings, 12);
    for (const [expected, found] of norms) expect(found / expected).toBeCloseTo(1, 6);
    for (const [i, slab] of SLABS.entries()) {
      for (const part of partsOf(settings.averageDecay > 0)) {
        const expected = host[i][part];
        const scale = expected.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
        expect(floatsOf(state.get(partName(slab, part))!), `${slab.name} ${part}`).toBeAllClose(expected, {
          rtol: 2e-6,
          atol: 2e-7 * scale,
        });
      }
    }
  });
});
