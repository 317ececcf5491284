import { join } from 'node:path';
import sharp from 'sharp';
import { afterEach, describe, expect, it } from 'vitest';
import { withAtomicOutput } from '../../../src/core/bytes/output.js';
import { Explainer } from '../../../src/core/explanation/explainer.js';
import { DEFAULT_SETTINGS } from '../../../src/core/explanation/methods/method.js';
import { quantizeModel } from '../../../src/core/lifecycle/quantize/quantize.js';
import { GraphCore } from '../../../src/core/onnx/graph-core.js';
import { intsAttribute } from '../../../src/core/onnx/model.js';
import { writeOnnx } from '../../../src/core/onnx/write.js';
import { float32Value } from '../../../src/core/runtime/value.js';
import { tinyModel } from '../../helpers/scoring.js';
import { sharedFolder } from '../../helpers/temp.js';

const folder = sharedFolder();
const SIDE = 8;
let explainer: Explainer;
afterEach(() => explainer.close());

const settings = { ...DEFAULT_SETTINGS, nodes: 4, mostNodes: 64, copies: 2 };

/** score = mean of an operator's values of a picture */
async function openUnary(opType: string): Promise<Explainer> {
  const path = join(folder, `${opType}.onnx`);
  const graph = new GraphCore(14, new Map());
  const x = graph.input('pixel_values', 'F32', ['batch', 3, SIDE, SIDE]);
  const [bent] = graph.node(opType, [x], [x]);
  const attributes = [intsAttribute('axes', [1, 2, 3]), { name: 'keepdims', i: 0n, type: 2 }];
  graph.output('score', graph.node('ReduceMean', [bent], [{ dtype: 'F32', shape: ['batch'] }], { attributes })[0]);
  await withAtomicOutput(path, { force: true }, (output) => writeOnnx(graph.build('unary'), output));
  const frame = { kind: 'image', color: 'RGB', resize: { kernel: 'bilinear', antialias: true }, crop: null };
  const preprocess = { ...frame, scale: 1 / 255, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5], layout: 'NCHW' };
  const input = { name: 'pixel_values', dtype: 'F32', shape: ['batch', 3, SIDE, SIDE], preprocess };
  const value = { modality: 'image', inputs: [input], score: { output: 'score' } };
  return Explainer.open(path, { contract: { name: 'contract', value } });
}

const picture = (pixel: number) => {
  const data = new Float32Array(3 * SIDE * SIDE).fill(pixel);
  const inputs = new Map([['pixel_values', float32Value([1, 3, SIDE, SIDE], data)]]);
  return [{ side: 'item' as const, inputs, tokens: null, truncated: false }];
};

describe('a model that cannot be explained by every method', () => {
  it('names an operator without a gradient, and is explained by occlusion', async () => {
    explainer = await openUnary('Acosh');
    await expect(explainer.explainInputs(picture(2), 'ig', settings)).rejects.toMatchObject({
      code: 'GRADIENT_UNSUPPORTED',
      message: expect.stringContaining('Acosh'),
      hint: expect.stringContaining('occlusion'),
    });
    await explainer.close();
    explainer = await openUnary('Softsign');
    const { maps } = await explainer.explainInputs(picture(2), 'occlusion', { ...settings, patch: 2 });
    expect(Math.max(...maps[0].map.values)).toBeGreaterThan(0);
  });

  it.each(['rollout', 'relevance'] as const)('says for %s that it has no attention', async (method) => {
    explainer = await openUnary('Tanh');
    await expect(explainer.explainInputs(picture(1), method, settings)).rejects.toMatchObject({
      code: 'METHOD_INAPPLICABLE',
      message: expect.stringMatching(/attention/),
    });
  });

  it('says that every number is 0 where the model is saturated', async () => {
    explainer = await openUnary('Tanh');
    const { warnings } = await explainer.explainInputs(picture(1e4), 'gradient', settings);
    expect(warnings.join(' ')).toContain('Every attribution is 0');
  });

  it('refuses a gradient that is not finite', async () => {
    explainer = await openUnary('Sqrt');
    await expect(explainer.explainInputs(picture(0), 'gradient', settings)).rejects.toMatchObject({
      code: 'GRADIENT_NONFINITE',
      hint: expect.stringContaining('occlusion'),
    });
  });

  it('names the float file of an int8 one', async () => {
    const model = await tinyModel(folder, 'text', 'item');
    const out = join(folder, 'int8.onnx');
    await quantizeModel({
      model,
      out,
      scheme: 'dynamic',
      ranges: 'minmax',
      gate: 'off',
      allowBatchDependence: true,
      force: true,
    });
    explainer = await Explainer.open(out);
    await expect(explainer.explain({ item: 'one two' }, 'ig', settings)).rejects.toMatchObject({
      code: 'GRADIENT_UNSUPPORTED',
      hint: expect.stringContaining('text-item.onnx'),
    });
    expect((await explainer.explain({ item: 'one two' }, 'leave-one-out', settings)).maps).toHaveLength(1);
  });
});

describe('a large input', () => {
  it('is cut to what the model reads: a text of 4,000 words', async () => {
    explainer = await Explainer.open(await tinyModel(folder, 'text', 'item'));
    const text = Array.from({ length: 4000 }, (_, i) => `word${i}`).join(' ');
    const steps: number[] = [];
    const { truncated, maps } = await explainer.explain({ item: text }, 'occlusion', settings, {
      onProgress: ({ done }) => steps.push(done),
    });
    expect(truncated).toBe(true);
    expect(maps[0].map.values.length).toBeLessThanOrEqual(64);
    expect(steps.length).toBeGreaterThan(0);
  });

  it('is scaled to what the model reads: a picture of 7680 by 4320', async () => {
    explainer = await Explainer.open(await tinyModel(folder, 'image', 'item'));
    const file = join(folder, '8k.png');
    const create = { width: 7680, height: 4320, channels: 3 as const, background: '#804020' };
    await sharp({ create }).png({ compressionLevel: 1 }).toFile(file);
    const steps: number[] = [];
    const { maps } = await explainer.explain({ item: file }, 'ig', settings, {
      onProgress: ({ done }) => steps.push(done),
    });
    expect(maps[0].map.shape).toEqual([32, 32]);
    expect(steps.length).toBeGreaterThan(0);
  });
});

it('a pair whose sides have other shapes sums to its logit', async () => {
  explainer = await Explainer.open(await tinyModel(folder, 'text', 'pair'));
  const sample = { left: 'a', right: 'a much longer text, of many more tokens than the other one has' };
  const { logit, maps, completeness } = await explainer.explain(sample, 'ig', { ...settings, mostNodes: 512 });
  expect(maps[0].map.shape).not.toEqual(maps[1].map.shape);
  expect(completeness?.complete).toBe(true);
  expect(maps[0].sum! + maps[1].sum!).toBeCloseTo(completeness!.sum, 6);
  expect(completeness!.expected).toBeCloseTo(logit, 4);
});

it.each([
  [4, 2, '`mostNodes` 6'],
  [6, 4, '`mostNodes` 10'],
  [512, expect.any(Number), undefined],
])(
  'integrates closer as far as %d nodes allow, and says how many more it would take',
  async (mostNodes, used, more) => {
    explainer = await openUnary('Tanh');
    const { completeness, warnings } = await explainer.explainInputs(picture(50), 'ig', {
      ...settings,
      nodes: 2,
      mostNodes,
    });
    expect(completeness).toMatchObject({ nodes: used, complete: more === undefined });
    expect(warnings.find((warning) => warning.includes('miss'))?.includes(more ?? '')).toBe(
      more === undefined ? undefined : true,
    );
  },
);
