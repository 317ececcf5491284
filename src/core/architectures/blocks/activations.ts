import type { GraphBuilder } from '../../onnx/builder.js';
import type { Value } from '../../onnx/graph-core.js';

export type Activation = (graph: GraphBuilder, x: Value) => Value;

/** x Phi(x), exact. */
const gelu: Activation = (graph, x) => graph.gelu(x);

/** x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2, the approximation of Hendrycks and Gimpel (2016). */
const geluTanh: Activation = (graph, x) =>
  graph.scope('gelu', () => {
    const scalar = (value: number): Value => graph.scalar(value, x.dtype);
    const cube = graph.pow(x, scalar(3));
    const inner = graph.mul(graph.add(x, graph.mul(cube, scalar(0.044715))), scalar(Math.sqrt(2 / Math.PI)));
    return graph.mul(graph.mul(x, scalar(0.5)), graph.add(graph.tanh(inner), scalar(1)));
  });

/** x sigmoid(1.702 x), as OpenAI's CLIP has it. */
const quickGelu: Activation = (graph, x) =>
  graph.scope('gelu', () => graph.mul(x, graph.sigmoid(graph.mul(x, graph.scalar(1.702, x.dtype)))));

const silu: Activation = (graph, x) => graph.mul(x, graph.sigmoid(x));

/** By the names that configurations give them (transformers, activations.py, ACT2FN). */
export const ACTIVATIONS = {
  gelu,
  gelu_python: gelu,
  gelu_new: geluTanh,
  gelu_fast: geluTanh,
  gelu_pytorch_tanh: geluTanh,
  gelu_python_tanh: geluTanh,
  quick_gelu: quickGelu,
  silu,
  swish: silu,
  relu: (graph, x) => graph.relu(x),
  tanh: (graph, x) => graph.tanh(x),
  sigmoid: (graph, x) => graph.sigmoid(x),
  linear: (_graph, x) => x,
} as const satisfies Record<string, Activation>;

export type ActivationName = keyof typeof ACTIVATIONS;
export const ACTIVATION_NAMES = Object.keys(ACTIVATIONS) as ActivationName[];
