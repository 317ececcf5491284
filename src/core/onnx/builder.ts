import type { Value } from './graph-core.js';
import { type ConvolutionOptions, GraphOps } from './graph-ops.js';
import { floatAttribute, intAttribute } from './model.js';

/** PyTorch's default for BatchNorm. */
const BATCH_NORM_EPSILON = 1e-5;

const floatDtype = (x: Value): 'F32' | 'F16' => {
  if (x.dtype !== 'F32' && x.dtype !== 'F16') throw new RangeError(`a layer needs a float input, not ${x.dtype}`);
  return x.dtype;
};

/**
 * A graph that reads like the model: layers take the state-dict prefix of their parameters.
 * The dtype of the arithmetic is that of the data: a float16 input takes float16 weights. What is delicate in float16
 * (the statistics of a norm, a softmax) is computed in float32 all the same.
 */
export class GraphBuilder extends GraphOps {
  /** x W^T + b over the last axis, with `key.weight` [outputs, inputs] and, where present, `key.bias`. */
  linear(x: Value, key: string): Value {
    return this.scope(key.slice(key.lastIndexOf('.') + 1), () => {
      const dtype = floatDtype(x);
      const bias = this.has(`${key}.bias`) ? this.parameter(`${key}.bias`, dtype) : null;
      // Two axes: Gemm takes the weight as the checkpoint has it. More: MatMul, over a transposed copy.
      if (x.shape.length === 2) return this.gemm(x, this.parameter(`${key}.weight`, dtype), bias);
      const product = this.matmul(x, this.parameter(`${key}.weight`, dtype, 'transpose'));
      return bias ? this.add(product, bias) : product;
    });
  }

  /** Convolution with `key.weight` and, where present, `key.bias`. */
  convolution(x: Value, key: string, options: ConvolutionOptions): Value {
    const dtype = floatDtype(x);
    const bias = this.has(`${key}.bias`) ? this.parameter(`${key}.bias`, dtype) : null;
    return this.conv(x, this.parameter(`${key}.weight`, dtype), bias, options);
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

  /** LayerNorm over the last axis, in float32; one operator since opset 17, the form runtimes fuse before. */
  layerNorm(x: Value, key: string, epsilon: number): Value {
    return this.scope(key.slice(key.lastIndexOf('.') + 1), () => {
      const wide = this.cast(x, 'F32');
      const weight = this.parameter(`${key}.weight`, 'F32');
      const bias = this.parameter(`${key}.bias`, 'F32');
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

  /** x Phi(x), exact (erf) form; one operator since opset 20. */
  gelu(x: Value): Value {
    if (this.opset >= 20) return this.node('Gelu', [x], [x])[0];
    return this.scope('gelu', () => {
      const erf = this.erf(this.div(x, this.scalar(Math.SQRT2, x.dtype)));
      return this.mul(this.mul(x, this.add(erf, this.scalar(1, x.dtype))), this.scalar(0.5, x.dtype));
    });
  }

  /** [batch, tokens, width] -> [batch, heads, tokens, width / heads]; `transposed` puts the tokens last, as keys are used. */
  splitHeads(x: Value, heads: number, transposed = false): Value {
    const width = x.shape[2] as number;
    const parts = this.reshape(x, [0, 0, heads, width / heads]);
    return this.transpose(parts, transposed ? [0, 2, 3, 1] : [0, 2, 1, 3]);
  }

  /**
   * softmax(q k / sqrt(d) + bias) v, heads joined again: [batch, queries, width].
   * @param q - [batch, heads, queries, d]; a batch of 1 is broadcast
   * @param k - [batch, heads, d, tokens]
   * @param v - [batch, heads, tokens, d]
   * @param bias - [batch, 1, 1, tokens], 0 where a token counts and -10000 where it is hidden; null where all count
   */
  attend(q: Value, k: Value, v: Value, bias: Value | null): Value {
    return this.scope('attend', () => {
      const width = q.shape[3] as number;
      const scores = this.div(this.matmul(q, k), this.scalar(Math.sqrt(width), q.dtype));
      const masked = bias ? this.add(this.cast(scores, 'F32'), bias) : this.cast(scores, 'F32');
      const weights = this.cast(this.softmax(masked), floatDtype(q));
      const joined = this.transpose(this.matmul(weights, v), [0, 2, 1, 3]);
      return this.reshape(joined, [0, 0, (q.shape[1] as number) * width]);
    });
  }
}
