import type { GraphBuilder } from '../../onnx/builder.js';
import type { Value } from '../../onnx/graph-core.js';

/** Gates in PyTorch's order (input, forget, cell, output), by ONNX's (input, output, forget, cell). */
const GATES = [0, 3, 1, 2];

/**
 * One bidirectional nn.LSTM with `batch_first`, in float32: x [batch, tokens, inputs] -> [batch, tokens, 2 hidden], forward first.
 * @param key - state-dict key of the module: `key.weight_ih_l0`, `key.weight_ih_l0_reverse`, …
 */
export function bidirectionalLstm(graph: GraphBuilder, x: Value, key: string, hidden: number): Value {
  return graph.scope('lstm', () => {
    const inputs = x.shape[2] as number;
    const both = (name: string, shape: readonly number[]): Value =>
      graph.concat(
        ['', '_reverse'].map((direction) => {
          const stored = graph.parameter(`${key}.${name}_l0${direction}`, 'F32', 'identity', [4 * hidden, ...shape]);
          const gates = graph.split(stored, 0, 4);
          return graph.unsqueeze(
            graph.concat(
              GATES.map((gate) => gates[gate]),
              0,
            ),
            [0],
          );
        }),
        0,
      );
    const biases = graph.concat([both('bias_ih', []), both('bias_hh', [])], 1);
    const weights = { input: both('weight_ih', [inputs]), state: both('weight_hh', [hidden]), biases };
    const read = graph.lstm(graph.transpose(graph.cast(x, 'F32'), [1, 0, 2]), weights, hidden); // [tokens, 2, batch, hidden]
    return graph.reshape(graph.transpose(read, [2, 0, 1, 3]), [0, 0, 2 * hidden]);
  });
}
