import { intOf, type NodeProto, type OnnxModel } from '../../onnx/model.js';
import { isOp } from '../../onnx/passes/uses.js';
import { channelClasses } from '../channels.js';
import { GraphEdit } from '../graph-edit.js';
import { floats } from '../tensors.js';
import type { Gains } from './scheme.js';
import type { StaticPlan } from './static-plan.js';

/**
 * The model with a multiplication by one of each channel in front of weights whose input no constant writes: behind attention, a
 * gate or a norm that others read too. A place for scales of channels, where they are worth a node.
 */
export function insertGains(model: OnnxModel, { nodes, owned }: StaticPlan): { model: OnnxModel; gains: Gains } {
  const scalable = new Set(channelClasses(model).flatMap(({ values }) => [...values.keys()]));
  const edit = new GraphEdit(model);
  const gains = new Map<string, string>();
  const written = new Map<string, string>();
  for (const node of model.graph.node) {
    const [value, ...rest] = node.input;
    const dims = nodes.get(node)?.kind === 'weighted' ? inputChannels(node, edit) : null;
    if (dims === null || owned.has(value) || scalable.has(value)) {
      edit.nodes.push(node);
      continue;
    }
    const key = JSON.stringify([value, dims]);
    const known = written.get(key);
    const gain = known ?? edit.freshName(`${value}.channels`);
    if (known === undefined) {
      const ones = edit.initializer(floats(edit.freshName(`${gain}.gain`), dims, new Float32Array(dims[0]).fill(1)));
      edit.node('Mul', [value, ones], gain);
      written.set(key, gain);
      gains.set(gain, value);
    }
    edit.nodes.push({ ...node, input: [gain, ...rest] });
  }
  return { model: edit.finish(), gains };
}

/** The model without some of its gains. */
export function removeGains(model: OnnxModel, gains: Gains): OnnxModel {
  const { graph } = model;
  const gone = new Set<string>();
  const node = graph.node.flatMap((each) => {
    if (gains.has(each.output[0])) {
      gone.add(each.input[1]);
      return [];
    }
    return each.input.some((name) => gains.has(name))
      ? [{ ...each, input: each.input.map((name) => gains.get(name) ?? name) }]
      : [each];
  });
  return {
    ...model,
    graph: { ...graph, node, initializer: graph.initializer.filter(({ name = '' }) => !gone.has(name)) },
  };
}

/** The shape of one number for each channel that a weight reads; null where channels are grouped. */
function inputChannels(node: NodeProto, { constants }: GraphEdit): number[] | null {
  const { dims } = constants.get(node.input[1])!;
  if (!isOp(node, 'Conv')) return [intOf(node, 'transB', 0) === 1 ? dims[1] : dims[0]];
  const groups = intOf(node, 'group', 1);
  return groups === 1 || dims[1] === 1 ? [groups * dims[1], ...dims.slice(2).map(() => 1)] : null;
}
