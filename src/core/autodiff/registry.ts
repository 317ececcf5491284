import type { GradientRule } from './rule.js';
import { leakyRelu, relu, sigmoid, softplus, tanh } from './rules/activations.js';
import { add, div, mean, mul, sub, sum } from './rules/arithmetic.js';
import { convolution, convTranspose } from './rules/convolution.js';
import { gather, gatherElements } from './rules/gather.js';
import { gelu } from './rules/gelu.js';
import { gemm } from './rules/gemm.js';
import { concat, expand, slice, split, tile, transpose } from './rules/layout.js';
import { lstm } from './rules/lstm.js';
import { matmul } from './rules/matmul.js';
import { batchNormalization, instanceNormalization, layerNormalization } from './rules/normalization.js';
import { pad } from './rules/pad.js';
import { cast, dropout, identity, reshape } from './rules/pass.js';
import { averagePool, globalAveragePool, maxPool } from './rules/pooling.js';
import { pow } from './rules/pow.js';
import {
  reduceExtreme,
  reduceL1,
  reduceL2,
  reduceLogSumExp,
  reduceMean,
  reduceSum,
  reduceSumSquare,
} from './rules/reduce.js';
import { resize } from './rules/resize.js';
import { clip, extreme, where } from './rules/select.js';
import { logSoftmax, softmax } from './rules/softmax.js';
import { unary } from './rules/unary.js';

/** Every operator that a gradient flows through. */
export const RULES: readonly GradientRule[] = [
  ...[add, sub, mul, div, sum, mean, pow],
  ...[matmul, gemm, convolution, convTranspose, lstm],
  ...[maxPool, averagePool, globalAveragePool],
  ...[relu, leakyRelu, tanh, sigmoid, softplus, gelu, softmax, logSoftmax],
  ...[layerNormalization, batchNormalization, instanceNormalization],
  ...[reduceSum, reduceMean, reduceExtreme, reduceL1, reduceL2, reduceLogSumExp, reduceSumSquare],
  ...[extreme, clip, where],
  ...[identity, cast, dropout, reshape],
  ...[transpose, expand, tile, concat, split, slice, pad, resize, gather, gatherElements],
  ...unary,
];
