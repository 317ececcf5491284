import type { GradientRule } from './rule.js';
import { leakyRelu, relu, sigmoid, softplus, tanh } from './rules/activations.js';
import { add, div, mean, mul, sub, sum } from './rules/arithmetic.js';
import { gemm } from './rules/gemm.js';
import { matmul } from './rules/matmul.js';
import {
  reduceExtreme,
  reduceL1,
  reduceL2,
  reduceLogSumExp,
  reduceMean,
  reduceSum,
  reduceSumSquare,
} from './rules/reduce.js';

/** Every operator that a gradient flows through. */
export const RULES: readonly GradientRule[] = [
  ...[add, sub, mul, div, sum, mean],
  ...[matmul, gemm],
  ...[relu, leakyRelu, tanh, sigmoid, softplus],
  ...[reduceSum, reduceMean, reduceExtreme, reduceL1, reduceL2, reduceLogSumExp, reduceSumSquare],
];
