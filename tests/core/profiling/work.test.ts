import { describe, expect, it } from 'vitest';
import { stringAttribute } from '../../../src/core/onnx/model.js';
import type { KernelRun } from '../../../src/core/profiling/trace.js';
import { isUncounted, workOf } from '../../../src/core/profiling/work.js';

const kernel = (
  operator: string,
  inputs: number[][],
  outputs: number[][],
  more: Partial<KernelRun> = {},
): KernelRun => ({
  name: 'k',
  operator,
  nodeIndex: '0',
  startUs: 0,
  durationUs: 1,
  selfUs: 1,
  inputs,
  outputs,
  parameterBytes: 100,
  activationBytes: 10,
  outputBytes: 1,
  ...more,
});

const macs = (...args: Parameters<typeof kernel>): number => workOf(kernel(...args)).macs;

describe('multiply-accumulates', () => {
  // By the definitions of the operators: terms of the sums, without padding.
  it.each([
    [
      'Conv',
      [
        [2, 3, 8, 8],
        [16, 3, 5, 5],
      ],
      [[2, 16, 4, 4]],
      2 * 16 * 16 * 75,
    ],
    [
      'FusedConv',
      [
        [1, 32, 8, 8],
        [32, 1, 3, 3],
      ],
      [[1, 32, 8, 8]],
      32 * 64 * 9,
    ],
    [
      'ConvTranspose',
      [
        [1, 4, 5, 5],
        [4, 2, 3, 3],
      ],
      [[1, 2, 11, 11]],
      4 * 25 * 18,
    ],
    [
      'MatMul',
      [
        [2, 7, 5],
        [5, 3],
      ],
      [[2, 7, 3]],
      2 * 7 * 3 * 5,
    ],
    ['MatMul', [[5], [5, 3]], [[3]], 15],
    [
      'FusedMatMul',
      [
        [2, 5, 7],
        [2, 5, 3],
      ],
      [[2, 7, 3]],
      2 * 7 * 3 * 5,
    ],
    ['Gemm', [[6, 5], [4, 5], [4]], [[6, 4]], 120],
    [
      'Gemm',
      [
        [5, 6],
        [5, 4],
      ],
      [[6, 4]],
      120,
    ],
    [
      'MatMulNBits',
      [
        [1, 9, 64],
        [32, 2, 16],
      ],
      [[1, 9, 32]],
      9 * 64 * 32,
    ],
    ['QLinearConv', [[1, 3, 4, 4], [], [], [8, 3, 1, 1]], [[1, 8, 4, 4]], 8 * 16 * 3],
    [
      'LSTM',
      [
        [10, 2, 5],
        [1, 12, 5],
        [1, 12, 3],
      ],
      [[10, 1, 2, 3]],
      20 * (60 + 36),
    ],
    [
      'MultiHeadAttention',
      [
        [2, 4, 8],
        [2, 6, 8],
        [2, 6, 8],
      ],
      [[2, 4, 8]],
      2 * 2 * 4 * 6 * 8,
    ],
    ['Relu', [[2, 2]], [[2, 2]], 0],
  ])('of %s on %j', (operator, inputs, outputs, expected) => {
    expect(macs(operator, inputs, outputs)).toBe(expected);
  });

  it('of an Einsum follow its equation', () => {
    const node = {
      opType: 'Einsum',
      input: ['a', 'b'],
      output: ['c'],
      attribute: [stringAttribute('equation', 'bij,bjk->bik')],
    };
    expect(
      workOf(
        kernel(
          'Einsum',
          [
            [2, 3, 4],
            [2, 4, 5],
          ],
          [[2, 3, 5]],
        ),
        node,
      ).macs,
    ).toBe(2 * 3 * 4 * 5);
  });

  it('are 0 where a weight was packed away, and operators without a rule are named', () => {
    expect(macs('Conv', [[2, 3, 8, 8]], [[2, 16, 4, 4]])).toBe(0);
    expect(isUncounted('DeformConv')).toBe(true);
    expect(isUncounted('Relu')).toBe(false);
  });
});

it('counts the bytes of every operand once, of a table only what is taken from it, of a shape nothing', () => {
  expect(workOf(kernel('MatMul', [[1, 1]], [[1, 1]])).bytes).toBe(111);
  expect(workOf(kernel('Gather', [[9, 9]], [[1, 9]])).bytes).toBe(2);
  expect(workOf(kernel('Shape', [[9, 9]], [[2]])).bytes).toBe(1);
});
