import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { runGate } from '../../../src/core/gate/gate.js';
import { readFacts } from '../../../src/core/gate/model.js';
import { makeProbes } from '../../../src/core/gate/probes.js';
import { type ExportOptions, exportModel } from '../../../src/core/lifecycle/export/export.js';
import { openOnnx } from '../../../src/core/onnx/read.js';
import { planSegments } from '../../../src/core/onnx/segments.js';
import { withModelProcess } from '../../../src/core/runtime/child.js';
import { SegmentedSession } from '../../../src/core/runtime/segmented.js';
import { HPSv3Scorer } from '../../../src/core/scoring/scorer.js';
import { floats } from '../../helpers/graphs.js';
import { tempFolder } from '../../helpers/temp.js';

const DECODER = fileURLToPath(new URL('../../golden/decoders/gemma2', import.meta.url));

const decoder = (mode: 'item' | 'pair'): Promise<string> => exported(DECODER, mode);

async function exported(checkpoint: string, mode: 'item' | 'pair', more: Partial<ExportOptions> = {}): Promise<string> {
  const out = `${tempFolder()}/model.onnx`;
  const flags = { optimize: false, externalData: true, allowNonfinite: false, force: false, dryRun: false };
  await exportModel({ checkpoint, out, mode, opset: 14, dtype: 'fp32', gate: 'off', seed: 0, ...flags, ...more });
  return out;
}

describe('SegmentedSession', () => {
  it('gives what the whole model gives, runs that are asked for together in one pass', async () => {
    const path = await decoder('pair');
    const { manifest } = await readFacts(path);
    await withModelProcess({}, async (host) => {
      const whole = await host.load(path, { optimization: 'basic' });
      const parts = SegmentedSession.open(path, host, { optimization: 'basic', segmentBytes: 4000 });
      expect(parts.count).toBeGreaterThan(4);
      expect(parts.inputs).toEqual(whole.inputs);
      expect(parts.outputs).toEqual(whole.outputs);
      const rows = [1, 3].map(
        (count) => makeProbes(whole.inputs, manifest, { rows: count, seed: '1', file: 'm' }).feeds,
      );
      const results = await Promise.all(rows.map((feeds) => parts.run(feeds)));
      for (const [i, feeds] of rows.entries()) {
        const expected = await whole.run(feeds);
        for (const name of expected.keys())
          expect(floats(results[i], name)).toBeAllClose(floats(expected, name), { atol: 1e-5, rtol: 1e-5 });
      }
      await parts.release();
    });
  });

  it('judges a model in segments as it judges it whole', async () => {
    const candidate = await decoder('item');
    const options = { candidate, reference: { kind: 'model', path: candidate }, level: 'full' } as const;
    const [whole, parts] = [await runGate(options), await runGate({ ...options, segmentBytes: 4000 })];
    expect(parts).toMatchObject({ passed: true, flips: 0, reference: 'source' });
    expect(parts.checks.map(({ name }) => name)).toEqual([
      ...whole.checks.map(({ name }) => name).filter((name) => !name.startsWith('optimization')),
      'in-segments',
    ]);
  });
});

describe('HPSv3Scorer', () => {
  it('scores in segments as whole, mean and spread of either side', async () => {
    const folder = fileURLToPath(new URL('../../golden/families/qwen2-vl', import.meta.url));
    const path = await exported(`${folder}/model.safetensors`, 'pair', {
      promptTemplate: `${folder}/prompt_template.txt`,
      pixelBudget: '512',
    });
    const [left, right] = ['raw-0.png', 'raw-1.png'].map((name) => ({ image: `${folder}/${name}` }));
    const warnings: string[] = [];
    const onWarning = (warning: string) => warnings.push(warning);
    const [whole, parts] = await Promise.all([
      HPSv3Scorer.load(path),
      HPSv3Scorer.load(path, { segmentBytes: 8000, onWarning }),
    ]);
    const pair = { left, right, context: 'a cat' };
    const [expected, got] = [await whole.scorePair(pair), await parts.scorePair(pair)];
    for (const key of ['logit', 'left_sigma', 'right_sigma'] as const) expect(got[key]).toBeCloseTo(expected[key]!, 4);
    const item = await whole.score(left, { context: 'a cat' });
    expect(item).toMatchObject({ mu: item.logit, sigma: expected.left_sigma });
    expect(warnings.join()).toMatch(/is run in \d+ segments: every batch reads its 0\.0 GiB of weights anew/);
    await Promise.all([whole.close(), parts.close()]);
  });
});

describe('planSegments', () => {
  it('takes every node once, in order, and gives a segment no more weights than it may have', async () => {
    const opened = openOnnx(await decoder('item'));
    const nodes = opened.model.graph.node;
    const largest = Math.max(...opened.model.graph.initializer.map(({ rawData }) => rawData?.byteLength ?? 0));
    for (const most of [1000, 4000, 20_000]) {
      const segments = planSegments(opened.model, most);
      expect(segments.flatMap((segment) => segment.nodes)).toEqual(nodes);
      for (const { weightBytes } of segments) expect(weightBytes).toBeLessThanOrEqual(Math.max(most, largest) + 1000);
      for (const { inputs } of segments.slice(1)) expect(inputs.length).toBeLessThan(12);
    }
    opened.close();
  });
});
