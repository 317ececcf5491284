import type { NodeProto, OnnxModel } from '../../onnx/model.js';
import { producers } from '../../onnx/passes/uses.js';

/** An Add that puts what a branch made of a value back onto the value. */
export interface ResidualBranch {
  /** Index of the Add among the nodes. */
  readonly node: number;
  /** Which of its two inputs is the branch; the other is the skip. */
  readonly input: 0 | 1;
}

/**
 * The residual branches of a graph, in its order: each Add one of whose operands is computed from the other. The rule needs no
 * names, so that a file from elsewhere has them too. A shortcut with layers of its own is no skip; nor is a mask that attention
 * adds to its scores, from which the tokens behind them may have been computed.
 */
export function residualBranches({ graph }: OnnxModel): ResidualBranch[] {
  const makers = producers(graph);
  const isFrom = (value: string, ancestor: string): boolean => {
    const seen = new Set<NodeProto>();
    const open = [value];
    for (let name = open.pop(); name !== undefined; name = open.pop()) {
      const node = makers.get(name);
      if (!node || seen.has(node)) continue;
      if (node.input.includes(ancestor)) return true;
      seen.add(node);
      open.push(...node.input);
    }
    return false;
  };
  const scores = new Set(graph.node.filter(({ opType }) => opType === 'Softmax').map(({ input }) => input[0]));
  const isComputed = (name: string): boolean => makers.has(name);
  return graph.node.flatMap(({ opType, input, output }, node): ResidualBranch[] => {
    if (opType !== 'Add' || !input.every(isComputed) || scores.has(output[0])) return [];
    const [a, b] = input;
    if (isFrom(a, b)) return [{ node, input: 0 }];
    return isFrom(b, a) ? [{ node, input: 1 }] : [];
  });
}

/** How likely each of `branches` is to be left out: from nearly 0 up to `last` at the end (Huang et al., 2016, the linear rule). */
export const dropRates = (branches: number, last: number): number[] =>
  Array.from({ length: branches }, (_, i) => ((i + 1) / branches) * last);
