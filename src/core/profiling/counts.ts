import { type NodeProto, type OnnxModel, subgraphsOf } from '../onnx/model.js';
import { dtypeOf } from '../onnx/tensor-data.js';
import { numel } from '../tensor/shape.js';
import type { Profile } from './schema.js';
import type { KernelRun, TracedRun } from './trace.js';
import { isUncounted, type Work, workOf } from './work.js';

export type Counts = Profile['counts'];

/** Every node of the model by its name, branches and loop bodies included. */
export function nodesByName({ graph }: OnnxModel): ReadonlyMap<string, NodeProto> {
  const nodes = new Map<string, NodeProto>();
  const visit = (node: NodeProto): void => {
    if (node.name) nodes.set(node.name, node);
    for (const inner of subgraphsOf(node)) inner.node.forEach(visit);
  };
  graph.node.forEach(visit);
  return nodes;
}

/**
 * Multiply-accumulates, parameters and bytes by operator of the graph as it is written. What symbols leave open comes from one
 * run with neither fusion nor packing, so a loop counts as often as it ran.
 */
export function countWork(model: OnnxModel, run: TracedRun, batch: number): Counts {
  const nodes = nodesByName(model);
  const parameters = parametersByOperator(model);
  const operators = new Map<string, { nodes: number; macs: number; bytes: number }>();
  for (const kernel of run.kernels) {
    const { macs, bytes } = workOf(kernel, nodes.get(kernel.name));
    const sum = operators.get(kernel.operator) ?? { nodes: 0, macs: 0, bytes: 0 };
    operators.set(kernel.operator, { nodes: sum.nodes + 1, macs: sum.macs + macs, bytes: sum.bytes + bytes });
  }
  const rows = Array.from(operators, ([operator, sums]) => ({
    operator,
    parameters: parameters.get(operator) ?? 0,
    ...sums,
  })).sort((a, b) => b.macs - a.macs || b.bytes - a.bytes);
  const total = (key: 'macs' | 'bytes'): number => rows.reduce((sum, row) => sum + row[key], 0);
  return {
    setting: { batch },
    macs: total('macs'),
    parameters: [...parameters.values()].reduce((sum, n) => sum + n, 0),
    bytes: total('bytes'),
    operators: rows,
    uncounted: rows.map(({ operator }) => operator).filter(isUncounted),
  };
}

/** 64-bit integers are shapes, axes and indices. */
const NOT_PARAMETERS: ReadonlySet<string | undefined> = new Set(['I64', 'BOOL', undefined]);

/** Elements of the initializers by the first operator that reads each. */
function parametersByOperator({ graph }: OnnxModel): Map<string, number> {
  const left = new Map(
    graph.initializer
      .filter(({ dataType }) => !NOT_PARAMETERS.has(dtypeOf(dataType)))
      .map(({ name = '', dims }) => [name, numel(dims)]),
  );
  const byOperator = new Map<string, number>();
  const visit = (node: NodeProto): void => {
    for (const name of node.input) {
      const elements = left.get(name);
      if (elements === undefined) continue;
      left.delete(name);
      byOperator.set(node.opType, (byOperator.get(node.opType) ?? 0) + elements);
    }
    for (const inner of subgraphsOf(node)) inner.node.forEach(visit);
  };
  graph.node.forEach(visit);
  return byOperator;
}

/** Tells kernels of one session apart; those of a loop body share one. */
export const kernelKey = ({ name, operator, nodeIndex }: KernelRun): string => `${nodeIndex}/${operator}/${name}`;

/** The work of each kernel in one run, by its key. */
export function workByKernel(run: TracedRun, nodes: ReadonlyMap<string, NodeProto>): ReadonlyMap<string, Work> {
  const work = new Map<string, Work>();
  for (const kernel of run.kernels) {
    const key = kernelKey(kernel);
    const { macs, bytes } = workOf(kernel, nodes.get(kernel.name));
    const sum = work.get(key) ?? { macs: 0, bytes: 0 };
    work.set(key, { macs: sum.macs + macs, bytes: sum.bytes + bytes });
  }
  return work;
}
