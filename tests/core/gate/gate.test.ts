import { beforeAll, describe, expect, it } from 'vitest';
import { type GateOptions, type GateReference, runGate } from '../../../src/core/gate/gate.js';
import { defaultLevel } from '../../../src/core/gate/load.js';
import { readFacts } from '../../../src/core/gate/model.js';
import type { GateReport } from '../../../src/core/gate/report.js';
import { tryLevels } from '../../../src/core/gate/trials.js';
import { ModelProcess } from '../../../src/core/runtime/child.js';
import { machineMemory } from '../../../src/core/runtime/memory.js';
import type { Tensor } from '../../../src/core/tensor/tensor.js';
import { tensorFromBytes } from '../../../src/core/tensor/tensor.js';
import { goldenModel, readTensors } from '../../helpers/models.js';

const model = (name: string) => goldenModel('gate', name);
const from = (name: string): GateReference => ({ kind: 'model', path: model(name) });
const NONE: GateReference = { kind: 'none' };

const gate = (candidate: string, reference: GateReference, options: Partial<GateOptions> = {}): Promise<GateReport> =>
  runGate({ candidate: model(candidate), reference, level: 'full', threads: 1, ...options });

const failed = (report: GateReport): string[] => report.checks.filter(({ passed }) => !passed).map(({ name }) => name);

let tensors: Map<string, Tensor>;
let golden: GateReference;
beforeAll(async () => {
  tensors = await readTensors(model('golden').replace('.onnx', '.safetensors'));
  golden = { kind: 'golden', file: 'golden.safetensors', tensors, atol: 1e-4 };
});

describe('runGate against golden outputs', () => {
  it.each(['item', 'item-plain', 'head'])('passes %s, which gives them', async (name) => {
    const report = await gate(name, golden);
    expect(failed(report)).toEqual([]);
    expect(report).toMatchObject({ passed: true, reference: 'golden', level: 'full', flips: 0 });
    expect(report.parity.golden!.maxAbsDiff).toBeLessThan(1e-5);
    expect(report.parity.source).toBeNull();
    expect(report.loadMs).toBeGreaterThan(0);
  });

  it('compares the outputs that both have', async () => {
    const { parity } = await gate('item', golden, { level: 'quick' });
    expect(Object.keys(parity.golden!.outputs).sort()).toEqual(['embedding', 'utility', 'utility_logit']);
  });

  it('fails a model with a fault, and names the first output that moved', async () => {
    const report = await gate('item-flipped', golden);
    expect(report).toMatchObject({ passed: false, firstMoved: { output: 'embedding' } });
    expect(failed(report)).toContain('golden');
  });

  it('reports a model that gives NaN as failed, in numbers that JSON can hold', async () => {
    const report = await gate('item-nan', golden);
    expect(report.passed).toBe(false);
    expect(failed(report)).toEqual(expect.arrayContaining(['golden', 'finite']));
    expect(JSON.parse(JSON.stringify(report))).toEqual(report);
    expect(report.parity.golden!.maxAbsDiff <= 1e300).toBe(false);
  });

  it('lists what the file has where the values of the model are missing', async () => {
    const file = new Map([...tensors].filter(([name]) => !name.startsWith('image/')));
    const error = await gate('item', { kind: 'golden', file: 'g.safetensors', tensors: file, atol: 1 }).catch(
      (reason) => reason,
    );
    expect(error).toMatchObject({
      code: 'TENSOR_NOT_FOUND',
      message: /image\/in\/pixel_values/,
      hint: /head\/in\|out\//,
    });
  });
});

describe('runGate against another model', () => {
  it('passes a model against itself, with figures that say so', async () => {
    const report = await gate('item', from('item'));
    expect(failed(report)).toEqual([]);
    expect(report).toMatchObject({
      passed: true,
      reference: 'source',
      pairs: 276,
      flips: 0,
      flipRate: 0,
      kendall: 1,
      maxScoreDiff: 0,
    });
    expect(report.checks.map(({ name }) => name)).toEqual([
      'flips',
      'score',
      'finite',
      'batch-2',
      'batch-3',
      'batch-8',
      'neighbours',
      'optimization-disabled',
      'optimization-basic',
    ]);
  });

  it('fails a sign flipped inside, and names the output and the node', async () => {
    const report = await gate('item-flipped', from('item'));
    expect(report).toMatchObject({
      passed: false,
      firstMoved: { output: 'embedding' },
      firstDivergence: { value: 'embedding', node: 'MatMul_embedding', opType: 'MatMul' },
    });
    expect(failed(report)).toEqual(['flips', 'score']);
    expect(report.flips).toBeGreaterThan(20);
  });

  it('finds the first value that moved deep inside, though only outputs show', async () => {
    const report = await gate('item-flipped-deep', from('item'), { level: 'quick' });
    expect(report).toMatchObject({
      passed: false,
      firstMoved: { output: 'embedding' },
      firstDivergence: { value: 'wide', node: 'Gemm_wide', opType: 'Gemm' },
    });
  });

  it('names the output where the values inside have other names', async () => {
    const report = await gate('item-flipped-renamed', from('item'));
    expect(report).toMatchObject({ passed: false, firstMoved: { output: 'embedding' } });
    expect(report.firstDivergence).toMatchObject({ value: 'embedding', node: 'MatMul_embedding' });
  });

  it('lets a change within the budget pass', async () => {
    const report = await gate('item-nudged', from('item'));
    expect(report.passed).toBe(true);
    expect(report.maxScoreDiff).toBeGreaterThan(0);
  });

  it('fails scores that move though no decision does, unless the budget allows it', async () => {
    const report = await gate('item-shifted', from('item'), { level: 'quick' });
    expect(failed(report)).toEqual(['score']);
    expect(report).toMatchObject({ flips: 0, kendall: 1, firstMoved: { output: 'utility_logit' } });
    expect((await gate('item-shifted', from('item'), { level: 'quick', budget: { score: 0.6 } })).passed).toBe(true);
  });

  it('decides a pair a row for a head, and tells its order bias', async () => {
    const report = await gate('head', from('head'));
    expect(report).toMatchObject({ passed: true, pairs: 48, flips: 0 });
    expect(report.orderBias).toBeGreaterThan(0.1);
  });

  it('refuses models of another modality or mode', async () => {
    await expect(gate('text', from('item'))).rejects.toMatchObject({ code: 'MODELS_INCOMPARABLE', exitCode: 2 });
    await expect(gate('head', from('item'))).rejects.toMatchObject({ code: 'MODELS_INCOMPARABLE' });
    await expect(gate('text-small', from('item'))).rejects.toMatchObject({
      code: 'MODELS_INCOMPARABLE',
      message: /inputs/,
    });
  });
});

describe('a model that may take over half of the memory', () => {
  it('is run at level basic only, and the report says so', async () => {
    const facts = { ...(await readFacts(model('item'))), bytes: machineMemory() / 4 };
    const nothing = { checks: [], outputs: new Map(), batches: [], tolerance: () => 0 };
    expect(defaultLevel(facts)).toBe('basic');
    expect(defaultLevel(await readFacts(model('item')))).toBe('all');
    const child = new ModelProcess();
    const options: GateOptions = { candidate: model('item'), reference: NONE, level: 'full' };
    const none = { rows: 0, feeds: new Map() };
    const checks = await tryLevels(child, facts, none, nothing, options);
    const beyond = await tryLevels(child, { ...facts, bytes: 2 ** 50 }, none, nothing, options);
    await child.close();
    expect(checks).toMatchObject([{ name: 'optimization-basic-only', passed: true, detail: /basic only/ }]);
    expect(beyond).toMatchObject([{ name: 'in-segments', passed: true, detail: /basic only/ }]);
  });
});

describe('runGate without a reference', () => {
  it.each(['item', 'item-plain', 'head', 'text'])(
    'finds nothing wrong with %s, and does not call it verified',
    async (name) => {
      const report = await gate(name, NONE);
      expect(failed(report)).toEqual([]);
      expect(report).toMatchObject({
        passed: true,
        reference: 'none',
        flips: null,
        parity: { golden: null, source: null },
      });
    },
  );

  it('fails a model whose rows depend on their neighbours', async () => {
    const report = await gate('item-batch-mean', NONE);
    expect(failed(report)).toEqual(['batch-2', 'batch-3', 'batch-8', 'neighbours']);
  });

  it('fails a model whose rows depend on their place', async () => {
    const report = await gate('item-place', NONE);
    expect(failed(report)).toContain('neighbours');
  });

  it('fails a model that gives NaN', async () => {
    expect(failed(await gate('item-nan', NONE))).toContain('finite');
  });

  it('tries one row at a time where a model takes no more, and says so', async () => {
    const report = await gate('item-fixed', NONE);
    expect(report.passed).toBe(true);
    expect(report.checks.map(({ name }) => name)).toContain('batch-fixed');
  });

  it('at level quick, tries batches of 3 only', async () => {
    const report = await gate('item', NONE, { level: 'quick' });
    expect(report.checks.map(({ name }) => name)).toEqual(['finite', 'batch-3']);
  });

  it('at level off, runs nothing', async () => {
    expect(await gate('no-such-model', NONE, { level: 'off' })).toMatchObject({
      passed: true,
      level: 'off',
      reference: 'none',
      checks: [],
    });
  });

  it('asks for inputs where made-up ones do not fit', async () => {
    const error = await gate('text-small', NONE).catch((reason) => reason);
    expect(error).toMatchObject({ code: 'INPUTS_INVALID', hint: /`inputs`/ });
  });

  it("uses the user's own inputs, and names rows that do not match", async () => {
    const tensor = (name: string, values: bigint[], rows: number): [string, Tensor] => {
      const bytes = new Uint8Array(BigInt64Array.from(values).buffer);
      return [name, tensorFromBytes({ name, dtype: 'I64', shape: [rows, values.length / rows] }, bytes)];
    };
    const ids = tensor('input_ids', [0n, 1n, 2n, 3n], 2);
    const inputs = { file: 'mine.safetensors', tensors: new Map([ids, tensor('attention_mask', [1n, 1n, 1n, 0n], 2)]) };
    expect((await gate('text-small', NONE, { inputs })).passed).toBe(true);
    const uneven = { file: 'mine.safetensors', tensors: new Map([ids, tensor('attention_mask', [1n, 1n], 1)]) };
    await expect(gate('text-small', NONE, { inputs: uneven })).rejects.toMatchObject({
      code: 'INPUTS_INVALID',
      message: /mine.safetensors/,
    });
  });

  it("compares the user's own rows with another model, each once", async () => {
    const report = await gate('item', from('item'), {
      inputs: { file: 'golden.safetensors', tensors },
      level: 'quick',
    });
    expect(report).toMatchObject({ passed: true, pairs: 1, flips: 0 });
  });

  it('gives the same report for the same seed, times and memory aside', async () => {
    const stable = ({ peakRssBytes: _p, loadMs: _l, runMs: _r, ...rest }: GateReport) => rest;
    const [a, b] = await Promise.all([gate('head', NONE, { seed: 'x' }), gate('head', NONE, { seed: 'x' })]);
    expect(stable(a)).toEqual(stable(b));
    expect((await gate('head', NONE, { seed: 'y' })).orderBias).not.toBe(a.orderBias);
  });

  it('refuses a manifest that breaks its schema', async () => {
    await expect(gate('item-bad-manifest', NONE)).rejects.toMatchObject({ code: 'ONNX_CORRUPT', message: /mode/ });
  });

  it('stops when it is interrupted', async () => {
    await expect(gate('item', NONE, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'INTERRUPTED' });
  });
});
