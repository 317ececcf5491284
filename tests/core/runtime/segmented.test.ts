import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { runGate } from '../../../src/core/gate/gate.js';
import { readFacts } from '../../../src/core/gate/model.js';
import { makeProbes } from '../../../src/core/gate/probes.js';
import { exportModel } from '../../../src/core/lifecycle/export/export.js';
import { openOnnx } from '../../../src/core/onnx/read.js';
import { planSegments } from '../../../src/core/onnx/segments.js';
import { withModelProcess } from '../../../src/core/runtime/child.js';
import { SegmentedSession } from '../../../src/core/runtime/segmented.js';
import { floats } from '../../helpers/graphs.js';
import { tempFolder } from '../../helpers/temp.js';

const DECODER = fileURLToPath(new URL('../../golden/decoders/gemma2', import.meta.url));

async function decoder(mode: 'item' | 'pair'): Promise<string> {
  const out = `${tempFolder()}/model.onnx`;
  const flags = { optimize: false, externalData: true, allowNonfinite: false, force: false, dryRun: false };
  await exportModel({ checkpoint: DECODER, out, mode, opset: 14, dtype: 'fp32', gate: 'off', seed: 0, ...flags });
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
