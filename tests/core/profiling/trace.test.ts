import { describe, expect, it } from 'vitest';
import { operatorTimes } from '../../../src/core/profiling/operators.js';
import { parseTrace } from '../../../src/core/profiling/trace.js';

const node = (name: string, ts: number, dur: number, op = name) => ({
  cat: 'Node',
  name: `${name}_kernel_time`,
  ts,
  dur,
  args: {
    op_name: op,
    node_index: '1',
    input_type_shape: [{ float: [2, 3] }, { int64: [] }],
    output_type_shape: [{ float: [2] }],
    parameter_size: '8',
    activation_size: '24',
    output_size: '8',
  },
});
const run = (ts: number, dur: number) => ({ cat: 'Session', name: 'model_run', ts, dur });

describe('parseTrace', () => {
  it('gives every run its kernels, with shapes and sizes', () => {
    const runs = parseTrace([node('b', 40, 5), run(0, 20), node('a', 1, 10), run(30, 20), { name: 'other' }]);
    expect(runs.map(({ kernels }) => kernels.map(({ name }) => name))).toEqual([['a'], ['b']]);
    expect(runs[0].kernels[0]).toEqual({
      name: 'a',
      operator: 'a',
      nodeIndex: '1',
      startUs: 1,
      durationUs: 10,
      selfUs: 10,
      inputs: [[2, 3], []],
      outputs: [[2]],
      parameterBytes: 8,
      activationBytes: 24,
      outputBytes: 8,
    });
  });

  it('takes the time of a loop body from its loop', () => {
    const [{ kernels }] = parseTrace([
      run(0, 100),
      node('Loop', 5, 80),
      node('x', 10, 20),
      node('y', 40, 30),
      node('z', 90, 5),
    ]);
    expect(kernels.map(({ name, selfUs }) => [name, selfUs])).toEqual([
      ['Loop', 30],
      ['x', 20],
      ['y', 30],
      ['z', 5],
    ]);
  });

  it('finds nothing in what is no trace', () => {
    expect(parseTrace({})).toEqual([]);
    expect(parseTrace([{ cat: 'Node' }])).toEqual([]);
  });
});

it('adds kernels and remainder up to the wall time of the faster half of the runs', () => {
  const trace = [1, 1, 1.5, 9].flatMap((slow, i) => [
    run(1000 * i, 100 * slow),
    node('Conv', 1000 * i + 1, 60 * slow),
    node('Relu', 1000 * i + 61 * slow, 20 * slow),
  ]);
  const times = operatorTimes({
    runs: parseTrace(trace),
    wallMs: [0.12, 0.14, 0.16, 0.9],
    work: new Map([['1/Conv/Conv', { macs: 30_000, bytes: 1000 }]]),
    peaks: { macsPerSecond: 1e9, integerMacsPerSecond: null, bytesPerSecond: 1e9 },
  });
  expect(times.runs).toBe(2);
  expect(times.wallMs).toBeCloseTo(0.13, 12);
  expect(times.kernelsMs).toBeCloseTo(0.08, 12);
  expect(times.kernelsMs + times.remainderMs).toBeCloseTo(times.wallMs, 12);
  expect(times.runtimeMs + times.callMs).toBeCloseTo(times.remainderMs, 12);
  expect(times.kernels).toMatchObject([
    { operator: 'Conv', bound: 'compute', idealMs: 0.03, recoverableMs: expect.closeTo(0.03, 12) },
    { operator: 'Relu', bound: 'memory', idealMs: 0, recoverableMs: expect.closeTo(0.02, 12) },
  ]);
});
