import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { withAtomicOutput } from '../../../src/core/bytes/output.js';
import { applyCurve } from '../../../src/core/calibration/curve.js';
import { buildCurveGraph, CURVE_INPUT, CURVE_OUTPUT } from '../../../src/core/calibration/curve-graph.js';
import { calibratedManifest, embedCalibrator, removeCalibrator } from '../../../src/core/calibration/embed.js';
import { checkEmbedded } from '../../../src/core/calibration/embed-gate.js';
import { isotonic } from '../../../src/core/calibration/methods/isotonic.js';
import type { Curve } from '../../../src/core/onnx/curve.js';
import { manifestOf } from '../../../src/core/onnx/manifest.js';
import { checkOpset } from '../../../src/core/onnx/opset.js';
import { openOnnx } from '../../../src/core/onnx/read.js';
import { writeOnnx } from '../../../src/core/onnx/write.js';
import { OPTIMIZATION_LEVELS } from '../../../src/core/runtime/session.js';
import { float32Value } from '../../../src/core/runtime/value.js';
import { floats, runModel } from '../../helpers/graphs.js';
import { goldenModel } from '../../helpers/models.js';
import { tempFolder } from '../../helpers/temp.js';

/** Steep steps, near each other: what a lookup of the nearest knot gets wrong by tenths. */
const votes = {
  logits: Float64Array.from({ length: 2000 }, (_, i) => (i - 1000) / 250 + Math.sin(i) / 50),
  outcomes: {
    positive: Float64Array.from({ length: 2000 }, (_, i) => (Math.sin(i * 78.233) < (i - 1000) / 700 ? 1 : 0)),
    negative: Float64Array.from({ length: 2000 }, (_, i) => (Math.sin(i * 78.233) < (i - 1000) / 700 ? 0 : 1)),
  },
};

const CURVES: readonly (readonly [string, Curve])[] = [
  ['isotonic, both orders', isotonic.fit(votes, { symmetric: true, strictlyMonotone: false })],
  ['isotonic, one order', isotonic.fit(votes, { symmetric: false, strictlyMonotone: false })],
  ['isotonic, strictly monotone', isotonic.fit(votes, { symmetric: true, strictlyMonotone: true })],
  ['one step', { kind: 'knots', x: [0, Math.fround(1e-3)], y: [0.01, 0.99], mirrored: false }],
  ['sigmoid', { kind: 'sigmoid', slope: 1.7, intercept: -0.3 }],
  ['beta', { kind: 'beta', a: 0.4, b: 1.3, c: 0.2 }],
  ['line', { kind: 'line', slope: 0.8, intercept: 2.5 }],
];

const GRID = Float32Array.from({ length: 20_001 }, (_, i) => -6 + (i * 12) / 20_000);

describe.each(CURVES)('%s as a graph', (_, curve) => {
  it.each(OPTIMIZATION_LEVELS)('equals the fitted map on a dense grid at level %s', async (level) => {
    const graph = buildCurveGraph(curve, 14, { dtype: 'F32', shape: ['rows'] });
    expect(checkOpset(graph, 14)).toEqual([]);
    expect(graph.graph.node.every(({ domain }) => !domain)).toBe(true);
    const outputs = await runModel(
      graph,
      tempFolder(),
      new Map([[CURVE_INPUT, float32Value([GRID.length], GRID)]]),
      level,
    );
    const expected = Array.from(GRID, (x) => applyCurve(curve, x));
    expect(floats(outputs, CURVE_OUTPUT)).toBeAllClose(expected, { atol: 1e-5 });
  });

  it('keeps the shape of its input', async () => {
    const graph = buildCurveGraph(curve, 14, { dtype: 'F32', shape: ['rows', 1] });
    const outputs = await runModel(
      graph,
      tempFolder(),
      new Map([[CURVE_INPUT, float32Value([3, 1], GRID.slice(0, 3))]]),
    );
    expect(outputs.get(CURVE_OUTPUT)!.shape).toEqual([3, 1]);
  });
});

const pairs = { kind: 'pair', decision: null, parameters: CURVES[0][1] } as const;

function withModel<T>(name: string, use: (file: ReturnType<typeof openOnnx>) => T): T {
  const file = openOnnx(goldenModel('gate', name));
  try {
    return use(file);
  } finally {
    file.close();
  }
}

describe('embedding', () => {
  it('adds an output and leaves the others as they are', () => {
    withModel('head', ({ model }) => {
      const manifest = manifestOf(model, 'head.onnx')!;
      const embedded = embedCalibrator(model, manifest, pairs, 'head.onnx');
      expect(embedded.graph.output.map(({ name }) => name)).toEqual([
        ...model.graph.output.map(({ name }) => name),
        'probability',
      ]);
      expect(embedded.graph.node.slice(0, model.graph.node.length)).toEqual(model.graph.node);
      const said = calibratedManifest(manifest, { ...pairs, method: 'isotonic', symmetric: true, band: null } as never);
      expect(said.outputs.at(-1)).toMatchObject({ name: 'probability', range: [0, 1] });
    });
  });

  it('is undone to the model and the manifest from before', () => {
    withModel('head', ({ model }) => {
      const manifest = manifestOf(model, 'head.onnx')!;
      const embedded = embedCalibrator(model, manifest, pairs, 'head.onnx');
      const said = calibratedManifest(manifest, { ...pairs, method: 'isotonic', symmetric: true, band: null } as never);
      const removed = removeCalibrator(embedded, said);
      expect(removed.model.graph).toEqual({ ...model.graph, sparseInitializer: removed.model.graph.sparseInitializer });
      expect(removed.manifest).toEqual(manifest);
      expect(removeCalibrator(model, manifest).model).toBe(model);
    });
  });

  it.each([
    ['a pair calibrator into an item file', 'item', pairs],
    ['a calibrator of items into a pair file', 'head', { ...pairs, kind: 'absolute' as const }],
    ['a calibrator of another decision', 'head', { ...pairs, decision: 'utility-difference' as const }],
  ])('refuses %s', (_, name, calibrator) => {
    withModel(name, ({ model }) => {
      const manifest = manifestOf(model, name)!;
      expect(() => embedCalibrator(model, manifest, calibrator, name)).toThrowError(
        expect.objectContaining({ code: 'MODELS_INCOMPARABLE' }),
      );
    });
  });

  it('refuses a file that has a calibrator already', () => {
    withModel('head', ({ model }) => {
      const manifest = manifestOf(model, 'head.onnx')!;
      const once = embedCalibrator(model, manifest, pairs, 'head.onnx');
      expect(() => embedCalibrator(once, manifest, pairs, 'head.onnx')).toThrowError(
        expect.objectContaining({ code: 'MODELS_INCOMPARABLE' }),
      );
    });
  });

  it('is caught when what the file holds is another map than the one fitted', async () => {
    const source = goldenModel('gate', 'head');
    const candidate = join(tempFolder(), 'calibrated.onnx');
    const sigmoid: Curve = { kind: 'sigmoid', slope: 1, intercept: 0 };
    const file = openOnnx(source);
    onTestFinished(() => file.close());
    const embedded = embedCalibrator(
      file.model,
      manifestOf(file.model, 'head')!,
      { ...pairs, parameters: sigmoid },
      'head',
    );
    await withAtomicOutput(candidate, {}, (output) => writeOnnx(embedded, output));
    const outputs = { logit: 'pair_logit', added: 'probability' };
    const options = { source, candidate, outputs, level: 'quick' as const, budget: 1e-5, opset: 14, seed: '0' };
    const right = await checkEmbedded({ ...options, curve: sigmoid });
    expect(right.map(({ passed }) => passed)).toEqual([true, true]);
    const wrong = await checkEmbedded({ ...options, curve: { ...sigmoid, slope: 1.01 } });
    expect(wrong[0].passed).toBe(false);
  });
});
