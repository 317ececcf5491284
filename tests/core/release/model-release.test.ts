import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { runGate } from '../../../src/core/gate/gate.js';
import type { GateReport } from '../../../src/core/gate/report.js';
import { DATA_TYPE, graphAttribute, type OnnxModel, type TensorProto } from '../../../src/core/onnx/model.js';
import { openOnnx } from '../../../src/core/onnx/read.js';
import { startLineage } from '../../../src/core/release/lineage.js';
import { type ModelDraft, ModelRelease, type ReleasedModel } from '../../../src/core/release/model-release.js';
import { VERSION } from '../../../src/core/version.js';
import { tempFolder } from '../../helpers/temp.js';
import { model, node, value } from '../onnx/tiny.js';

let folder: string;
let out: string;
beforeEach(() => {
  folder = tempFolder();
  out = join(folder, 'm.onnx');
});

const weights = (...floatData: number[]): TensorProto => ({
  name: 'w',
  dims: [4],
  dataType: 1,
  floatData: Float32Array.from(floatData),
});
const added = (tensor: TensorProto): OnnxModel => model([node('Add', ['x', 'w'], ['y'])], { initializer: [tensor] });
const GOOD = added(weights(1, 2, 3, 4));
const draft = (content: OnnxModel, more: Partial<ModelDraft> = {}): ModelDraft => ({
  model: content,
  manifest: null,
  lineage: startLineage({ step: 'test', options: {} }, []),
  ...more,
});

const PASSED = await runGate({ candidate: '', reference: { kind: 'none' }, level: 'off', seed: '0' });
const FAILED: GateReport = { ...PASSED, passed: false, checks: [{ name: 'flips', passed: false, detail: 'One.' }] };
const judging = (gate: GateReport) => ({
  schema: 'export' as const,
  judge: async () => gate,
  report: ({ out: name, sha256, bytes }: ReleasedModel) => ({ name, sha256, bytes }),
});

/** Reserves, publishes and closes. */
async function published(content: ModelDraft, gate = PASSED, force = false) {
  const release = await ModelRelease.reserve(out, { force });
  try {
    return await release.publish(content, judging(gate));
  } finally {
    await release.close();
  }
}

describe('a reserved place', () => {
  it.each(['m.onnx', 'm.onnx.report.json', 'm.onnx.data', 'm.onnx.svg'])(
    'is refused where %s is there',
    async (name) => {
      writeFileSync(join(folder, name), 'mine');
      await expect(ModelRelease.reserve(out, { suffixes: ['.data', '.svg'] })).rejects.toMatchObject({
        code: 'OUTPUT_EXISTS',
        details: { file: name },
      });
      expect(readdirSync(folder)).toEqual([name]);
    },
  );

  it('is refused in a folder that is not there, and where it is an input', async () => {
    await expect(ModelRelease.reserve(join(folder, 'no', 'm.onnx'), {})).rejects.toMatchObject({
      code: 'OUTPUT_INVALID',
    });
    writeFileSync(out, 'mine');
    await expect(ModelRelease.reserve(out, { force: true, inputs: [out] })).rejects.toMatchObject({
      code: 'OUTPUT_INVALID',
    });
  });

  it('is kept: a second writer is refused until the first gives it up', async () => {
    const first = await ModelRelease.reserve(out, {});
    await expect(ModelRelease.reserve(out, {})).rejects.toMatchObject({ code: 'OUTPUT_BUSY' });
    await first.close();
    expect(readdirSync(folder)).toEqual([]);
    await (await ModelRelease.reserve(out, {})).close();
  });
});

describe('a published model', () => {
  it('appears with its external data and its report, which is what publish returns', async () => {
    const large = { ...weights(), dims: [1, 1024], floatData: new Float32Array(1024) };
    const release = await ModelRelease.reserve(out, {});
    const onProgress = vi.fn();
    const report = await release.publish(draft(added(large), { externalData: true }), {
      schema: 'export',
      judge: async ({ path, bytes, externalData }) => {
        expect(readFileSync(path)).toHaveLength(bytes);
        expect(externalData).toMatchObject({ name: 'm.onnx.data', bytes: 4096 });
        expect(existsSync(out)).toBe(false);
        return PASSED;
      },
      report: ({ gate, ...facts }) => ({ ...facts, path: undefined, level: gate.level }),
      beside: { '.svg': '<svg/>' },
      onProgress,
    });
    await release.close();
    expect(readdirSync(folder).sort()).toEqual(['m.onnx', 'm.onnx.data', 'm.onnx.report.json', 'm.onnx.svg']);
    expect(report).toMatchObject({ out: 'm.onnx', level: 'off', step: { step: 'test', inputs: [] } });
    expect(JSON.parse(readFileSync(`${out}.report.json`, 'utf8'))).toEqual({
      schema: 'hpsv3/export@1',
      ...JSON.parse(JSON.stringify(report)),
    });
    expect(onProgress).toHaveBeenCalled();
  });

  it('says which hpsv3 wrote it where the graph is its own, and leaves the producer of others', async () => {
    await published(draft({ ...GOOD, producerName: 'hpsv3' }));
    expect(producerOf(out)).toEqual(['hpsv3', VERSION]);
    await published(draft({ ...GOOD, producerName: 'pytorch', producerVersion: '2.4' }), PASSED, true);
    expect(producerOf(out)).toEqual(['pytorch', '2.4']);
  });

  it('leaves what was there where the gate fails, and keeps the place for another draft', async () => {
    writeFileSync(out, 'mine');
    const release = await ModelRelease.reserve(out, { force: true });
    await expect(release.publish(draft(GOOD), judging(FAILED))).rejects.toMatchObject({
      code: 'GATE_FAILED',
      details: { gate: FAILED },
    });
    expect(readFileSync(out, 'utf8')).toBe('mine');
    const { sha256 } = await release.publish(draft(added(weights(4, 3, 2, 1))), judging(PASSED));
    await release.close();
    expect(sha256).not.toBe((await published(draft(GOOD), PASSED, true)).sha256);
  });
});

const NAN = Float32Array.of(0, Number.NaN, 0, 0);
const branch = { ...model([node('Identity', ['w'], ['b'])]).graph, input: [], output: [value('b')] };
const inBranch = (tensor: TensorProto): OnnxModel => {
  const graph = { ...branch, initializer: [tensor] };
  const attributes = [graphAttribute('then_branch', graph), graphAttribute('else_branch', graph)];
  return model([node('If', ['x'], ['y'], attributes)], { input: [value('x', DATA_TYPE.BOOL)] });
};

describe('a draft', () => {
  it.each([
    ['NaN in a typed field', 'NONFINITE_WEIGHTS', added({ ...weights(), floatData: NAN })],
    ['NaN in raw bytes', 'NONFINITE_WEIGHTS', added({ ...raw(NAN) })],
    ['an infinity', 'NONFINITE_WEIGHTS', added(weights(0, Number.POSITIVE_INFINITY, 0, 0))],
    ['NaN in a branch', 'NONFINITE_WEIGHTS', inBranch(raw(NAN))],
    ['an input nobody defines', 'ONNX_CORRUPT', model([node('Relu', ['z'], ['y'])])],
    ['an operator its opset does not have', 'ONNX_UNSUPPORTED', model([node('Gelu', ['x'], ['y'])])],
    ['a form its opset does not have', 'OPSET_UNSUPPORTED', model([node('ReduceMax', ['x', 'w'], ['y'])], axes())],
  ])('with %s is refused', async (_, code, content) => {
    await expect(published(draft(content))).rejects.toMatchObject({ code });
    expect(readdirSync(folder)).toEqual([]);
  });

  it('may hold NaN where that is allowed, and masks where it comes without a manifest', async () => {
    await published(draft(added(raw(NAN)), { allowNonfinite: true }));
    await published(draft(added(weights(0, Number.NEGATIVE_INFINITY, 0, 0))), PASSED, true);
  });

  it('is not published once the work is stopped', async () => {
    const release = await ModelRelease.reserve(out, {});
    const controller = new AbortController();
    const judge = async () => {
      controller.abort(new Error('stopped'));
      return PASSED;
    };
    const steps = { ...judging(PASSED), judge, signal: controller.signal };
    await expect(release.publish(draft(GOOD), steps)).rejects.toThrow('stopped');
    await release.close();
    expect(readdirSync(folder)).toEqual([]);
  });
});

function raw(values: Float32Array): TensorProto {
  return { name: 'w', dims: [values.length], dataType: 1, rawData: new Uint8Array(values.buffer) };
}

/** Axes as an input, which ReduceMax has since opset 18. */
function axes() {
  return { initializer: [{ name: 'w', dims: [1], dataType: 7, int64Data: BigInt64Array.of(1n) }] };
}

function producerOf(path: string): unknown[] {
  const file = openOnnx(path);
  file.close();
  return [file.model.producerName, file.model.producerVersion];
}
