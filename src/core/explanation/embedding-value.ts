import type { NodeProto, OnnxModel } from '../onnx/model.js';
import { DATA_TYPE, subgraphsOf } from '../onnx/model.js';
import { isStandard } from '../onnx/passes/uses.js';

/**
 * The value that a text enters the network as: the rows of the embedding table at its token ids, with what is added to them
 * (positions, types) or multiplied with before anything else reads them. Null where the ids go no such way.
 */
export function embeddingValueOf({ graph }: OnnxModel, ids: string): string | null {
  const consumers = new Map<string, NodeProto[]>();
  for (const node of graph.node)
    for (const name of new Set(node.input)) consumers.set(name, [...(consumers.get(name) ?? []), node]);
  const floats = new Set(
    graph.initializer.flatMap(({ name = '', dataType, dims }) =>
      dims.length === 2 && FLOATS.has(dataType) ? [name] : [],
    ),
  );
  const rows = lookupOf(ids, consumers, floats);
  if (rows === null) return null;
  let value = rows;
  for (;;) {
    const [next, ...others] = consumers.get(value) ?? [];
    if (!next || others.length > 0 || !isStandard(next) || !SHIFTS.has(next.opType)) return value;
    const other = next.input[next.input[0] === value ? 1 : 0];
    if (next.opType === 'Mul' && !graph.initializer.some(({ name }) => name === other)) return value;
    [value] = next.output;
  }
}

const SHIFTS: ReadonlySet<string> = new Set(['Add', 'Mul']);
const FLOATS: ReadonlySet<number> = new Set([DATA_TYPE.FLOAT, DATA_TYPE.FLOAT16, DATA_TYPE.DOUBLE]);
/** Between the ids and the look-up there are only operators over integers. */
const OF_IDS: ReadonlySet<string> = new Set([
  'Cast',
  'Identity',
  'Clip',
  'Max',
  'Min',
  'Reshape',
  'Squeeze',
  'Unsqueeze',
]);

/** The first look-up, in the order of the graph, whose indices are the ids themselves. */
function lookupOf(
  ids: string,
  consumers: ReadonlyMap<string, readonly NodeProto[]>,
  floats: ReadonlySet<string>,
): string | null {
  const pending = [ids];
  for (let name = pending.shift(); name !== undefined; name = pending.shift()) {
    for (const node of consumers.get(name) ?? []) {
      if ([...subgraphsOf(node)].length > 0) continue;
      if (node.opType === 'Gather' && node.input[1] === name && floats.has(node.input[0])) return node.output[0];
      if (OF_IDS.has(node.opType)) pending.push(...node.output);
    }
  }
  return null;
}
