import type { Value } from './graph-core.js';
import { GraphIndexOps } from './graph-index-ops.js';
import type { ConvolutionOptions } from './graph-ops.js';
import { floatAttribute, intAttribute } from './model.js';

/** PyTorch's default for BatchNorm. */
const BATCH_NORM_EPSILON = 1e-5;

const floatDtype = (x: Value): 'F32' | 'F16' => {
  if (x.dtype !== 'F32' && x.dtype !== 'F16') throw new RangeError(`a layer needs a float input, not ${x.dtype}`);
  return x.dtype;
};

/** How modules spell their weight and bias: nn.Linear and most, nn.MultiheadAttention, TensorFlow's LayerNorm. */
const SPELLINGS = [
  { weight: '.weight', bias: '.bias' },
  { weight: '_weight', bias: '_bias' },
  { weight: '.gamma', bias: '.beta' },
] as const;

/** What a layer's parameters must be; without it they are taken as the checkpoint has them. */
export interface LinearShape {
  readonly outputs: number;
  readonly bias: boolean;
}

/**
 * A graph that reads like the model: layers take the state-dict prefix of their parameters.
 * The dtype of the arithmetic is that of the data: a float16 input takes float16 weights. What is delicate in float16
 * (the statistics of a norm, a softmax) is computed in float32 all the same.
 */
export class GraphBuilder extends GraphIndexOps {
  /** Names of a module's parameters, in the spelling that the checkpoint has: `key.weight`, `key_weight` or `key.gamma`. */
  parameterNames(key: string): { weight: string; bias: string } {
    if (key === '') return { weight: 'weight', bias: 'bias' };
    const spelling = SPELLINGS.find(({ weight }) => this.has(key + weight)) ?? SPELLINGS[0];
    return { weight: key + spelling.weight, bias: key + spelling.bias };
  }

  /** x W^T + b over the last axis, with `key.weight` [outputs, inputs] and, where present, `key.bias`. */
  linear(x: Value, key: string, expected?: LinearShape): Value {
    return this.scope(key.slice(key.lastIndexOf('.') + 1), () => {
      const dtype = floatDtype(x);
      const names = this.parameterNames(key);
      const shape = expected && [expected.outputs, x.shape[x.shape.length - 1] as number];
      const hasBias = expected ? expected.bias : this.has(names.bias);
      const bias = hasBias ? this.parameter(names.bias, dtype, 'identity', expected && [expected.outputs]) : null;
      // Two axes: Gemm takes the weight as the checkpoint has it. More: MatMul, over a transposed copy.
      if (x.shape.length === 2) return this.gemm(x, this.parameter(names.weight, dtype, 'identity', shape), bias);
      const product = this.matmul(x, this.parameter(names.weight, dtype, 'transpose', shape));
      return bias ? this.add(product, bias) : product;
    });
  }

  /** x P over the last axis, with the parameter `key` [inputs, outputs] as it is: projections that are stored transposed. */
  project(x: Value, key: string, outputs: number): Value {
    const shape = [x.shape[x.shape.length - 1] as number, outputs];
    return this.matmul(x, this.parameter(key, floatDtype(x), 'identity', shape));
  }

  /** Convolution with `key.weight` and, where present, `key.bias`. */
  convolution(
    x: Value,
    key: string,
    options: ConvolutionOptions & { readonly shape?: readonly number[]; readonly bias?: boolean },
  ): Value {
    const dtype = floatDtype(x);
    const { shape, bias: expected = this.has(`${key}.bias`) } = options;
    const bias = expected ? this.parameter(`${key}.bias`, dtype, 'identity', shape && [shape[0]]) : null;
    return this.conv(x, this.parameter(`${key}.weight`, dtype, 'identity', shape), bias, options);
  }

  /** BatchNorm in eval mode, by its running statistics. */
  batchNorm(x: Value, key: string): Value {
    const dtype = floatDtype(x);
    const parameters = {
      scale: this.parameter(`${key}.weight`, dtype),
      bias: this.parameter(`${key}.bias`, dtype),
      mean: this.parameter(`${key}.running_mean`, dtype),
      variance: this.parameter(`${key}.running_var`, dtype),
    };
    return this.batchNormalization(x, parameters, BATCH_NORM_EPSILON);
  }

  /** nn.GroupNorm with a group a channel: each channel of x [batch, channels, …] by its own mean and variance, in float32. */
  instanceNorm(x: Value, key: string, epsilon: number): Value {
    return this.scope(key.slice(key.lastIndexOf('.') + 1), () => {
      const shape = [x.shape[1] as number];
      const weight = this.parameter(`${key}.weight`, 'F32', 'identity', shape);
      const bias = this.parameter(`${key}.bias`, 'F32', 'identity', shape);
      return this.cast(this.instanceNormalization(this.cast(x, 'F32'), weight, bias, epsilon), floatDtype(x));
    });
  }

  /** LayerNorm over the last axis, in float32; one operator since opset 17, the form runtimes fuse before. */
  layerNorm(x: Value, key: string, epsilon: number): Value {
    return this.scope(key.slice(key.lastIndexOf('.') + 1), () => {
      const wide = this.cast(x, 'F32');
      const names = this.parameterNames(key);
      const shape = [x.shape[x.shape.length - 1] as number];
      const weight = this.parameter(names.weight, 'F32', 'identity', shape);
      const bias = this.parameter(names.bias, 'F32', 'identity', shape);
      if (this.opset >= 17) {
        const attributes = [intAttribute('axis', -1), floatAttribute('epsilon', epsilon)];
        const [normed] = this.node('LayerNormalization', [wide, weight, bias], [wide], { attributes });
        return this.cast(normed, floatDtype(x));
      }
      const centred = this.sub(wide, this.reduceMean(wide, -1, true));
      const variance = this.reduceMean(this.pow(centred, this.scalar(2, 'F32')), -1, true);
      const normed = this.div(centred, this.sqrt(this.add(variance, this.scalar(epsilon, 'F32'))));
      return this.cast(this.add(this.mul(normed, weight), bias), floatDtype(x));
    });
  }

  /**
   * x / sqrt(mean(x^2) + epsilon) * w over the last axis, in float32, w being `key.weight` plus `offset` (Gemma's norms are
   * stored as their difference from 1).
   */
  rmsNorm(x: Value, key: string, epsilon: number, offset = 0): Value {
    return this.scope(key.slice(key.lastIndexOf('.') + 1), () => {
      const wide = this.cast(x, 'F32');
      const stored = this.parameter(`${key}.weight`, 'F32', 'identity', [x.shape[x.shape.length - 1] as number]);
      const weight = offset === 0 ? stored : this.add(stored, this.scalar(offset, 'F32'));
      const square = this.reduceMean(this.mul(wide, wide), -1, true);
      const normed = this.div(wide, this.sqrt(this.add(square, this.scalar(epsilon, 'F32'))));
      return this.cast(this.mul(normed, weight), floatDtype(x));
    });
  }

  /** x Phi(x), exact (erf) form; one operator since opset 20. */
  gelu(x: Value): Value {
    if (this.opset >= 20) return this.node('Gelu', [x], [x])[0];
    return this.scope('gelu', () => {
      const erf = this.erf(this.div(x, this.scalar(Math.SQRT2, x.dtype)));
      return this.mul(this.mul(x, this.add(erf, this.scalar(1, x.dtype))), this.scalar(0.5, x.dtype));
    });
  }
}
