import { HpsError } from '../errors.js';
import {
  findAttribute,
  type GraphProto,
  intOf,
  type NodeProto,
  type OnnxModel,
  type TensorProto,
  type ValueInfoProto,
} from '../onnx/model.js';
import { dtypeOf, tensorOf } from '../onnx/tensor-data.js';
import { modelBytes } from '../onnx/write.js';
import { type LocalSession, openSession } from '../runtime/ort.js';
import { isValueDtype, type TensorValue, valueFromBytes } from '../runtime/value.js';
import { numel } from '../tensor/shape.js';
import { readTensor } from '../tensor/tensor.js';
import { type TensorType, tensorTypeProto, valueTensor } from './types.js';

/** What is known of a model once its inputs have sizes. */
export interface Inferred {
  /** Of every value that a node computes. */
  readonly types: ReadonlyMap<string, TensorType>;
  /** The values that depend on shapes alone. */
  readonly constants: ReadonlyMap<string, TensorValue>;
}

export interface InferenceOptions {
  /** Of inputs and initializers. */
  readonly types: ReadonlyMap<string, TensorType>;
  /** Initializers that shapes may depend on; all others are weights, which are left out. */
  readonly constants: ReadonlyMap<string, TensorValue>;
  /** Values that are computed from shapes and from constants. */
  readonly fromShapes: ReadonlySet<string>;
}

/**
 * The types of all values, as onnxruntime infers them when it loads the graph: nothing is run but what is computed from shapes,
 * and no weight is read. What comes to light by that (the target of a Reshape) is put in and the graph loaded again.
 * @returns undefined where a shape depends on data, the runtime cannot tell, or the model takes no such sizes
 */
export async function inferTypes(model: OnnxModel, options: InferenceOptions): Promise<Inferred | undefined> {
  const { node, input: inputs } = model.graph;
  if (!inputs.every((stated) => fits(stated, options.types))) return undefined;
  const constants = new Map<string, TensorValue>();
  const types = new Map(options.types);
  try {
    for (let added = 1; added > 0; ) {
      const found = await fromKnownShapes(model, types, options, constants);
      for (const [name, value] of found) constants.set(name, value);
      const asked = node.flatMap(({ opType, input: [name], output }) =>
        readsShape(opType) && !constants.has(output[0]) && !types.has(name) ? [name] : [],
      );
      const known = asked.length > 0 ? await typesOf(model, [...new Set(asked)], options, constants) : [];
      for (const [name, type] of known) types.set(name, type);
      added = found.size + [...known].length;
    }
    const computed = node.flatMap(({ output }) => output.filter((name) => name && !constants.has(name)));
    const all = await typesOf(model, computed, options, constants);
    return computed.every((name) => all.has(name)) ? { types: new Map([...all, ...constants]), constants } : undefined;
  } catch (error) {
    // What the runtime does not take without weights it may take with them, and else it says what is wrong.
    if (error instanceof HpsError) return undefined;
    throw error;
  }
}

/** Whether an input may have its size: the type that it states is overridden. */
function fits({ name, type }: ValueInfoProto, types: InferenceOptions['types']): boolean {
  const [stated, shape] = [type?.tensorType?.shape?.dim, types.get(name)?.shape];
  if (stated === undefined || shape === undefined) return true;
  return (
    stated.length === shape.length &&
    stated.every(({ dimValue }, axis) => dimValue === undefined || dimValue === shape[axis])
  );
}

const readsShape = (opType: string): boolean => opType === 'Shape' || opType === 'Size';

const PROBE = 'type of ';

/**
 * The types that are known when the graph is loaded. Each value is looked at through an Unsqueeze: of an output the runtime tells
 * no unknown rank from a scalar.
 */
async function typesOf(
  model: OnnxModel,
  values: readonly string[],
  { types, constants }: InferenceOptions,
  found: ReadonlyMap<string, TensorValue>,
): Promise<Map<string, TensorType>> {
  const { graph } = model;
  const stated = (name: string): ValueInfoProto => ({ name, type: tensorTypeProto(types.get(name)!) });
  const isWeight = ({ name = '' }: TensorProto): boolean => types.has(name) && !constants.has(name);
  const fed = new Set(graph.input.map(({ name }) => name));
  const weights = graph.initializer.filter((tensor) => isWeight(tensor) && !fed.has(tensor.name ?? ''));
  const axis = valueTensor(`${PROBE}/axis`, { dtype: 'I64', shape: [1], data: BigInt64Array.of(0n) });
  const probes = values.map((name): NodeProto & { name: string } => {
    const [input, output] = [[name, axis.name ?? ''], [PROBE + name]];
    return { name: PROBE + name, opType: 'Unsqueeze', input, output, attribute: [] };
  });
  const session = await openGraph({
    ...model,
    metadataProps: [],
    graph: {
      ...graph,
      node: [...graph.node.filter(({ output }) => !output.every((name) => name === '' || found.has(name))), ...probes],
      input: [
        ...graph.input.map(({ name, ...rest }) => (types.has(name) ? stated(name) : { name, ...rest })),
        ...weights.map(({ name = '' }) => stated(name)),
      ],
      initializer: [
        ...graph.initializer.filter((tensor) => !isWeight(tensor)),
        ...Array.from(found, ([name, value]) => valueTensor(name, value)),
        axis,
      ],
      output: probes.map(({ name }) => ({ name })),
      valueInfo: [],
    },
  });
  await session.release();
  const result = new Map<string, TensorType>();
  for (const { name, dtype, shape } of session.outputs) {
    const isKnown = shape.length > 0 && shape.every((size) => typeof size === 'number' && size >= 0);
    if (isKnown) result.set(name.slice(PROBE.length), { dtype, shape: (shape as number[]).slice(1) });
  }
  return result;
}

/** The values from shapes that can be computed by now and were not before. */
async function fromKnownShapes(
  model: OnnxModel,
  types: ReadonlyMap<string, TensorType>,
  { constants, fromShapes }: InferenceOptions,
  done: ReadonlyMap<string, TensorValue>,
): Promise<Map<string, TensorValue>> {
  const known = new Map<string, TensorValue>();
  const nodes: NodeProto[] = [];
  const reachable = new Set([...done.keys(), ...constants.keys()]);
  for (const node of model.graph.node) {
    const { opType, input, output } = node;
    if (done.has(output[0]) || !output.every((name) => name === '' || fromShapes.has(name))) continue;
    const literal = await literalOf(node);
    if (literal) known.set(output[0], literal);
    else if (readsShape(opType)) {
      const type = types.get(input[0]);
      if (type === undefined) continue;
      known.set(output[0], opType === 'Shape' ? shapeOf(node, type) : sizeOf(type));
    } else {
      if (!input.every((name) => name === '' || reachable.has(name))) continue;
      nodes.push(node);
    }
    for (const name of output) reachable.add(name);
  }
  const run = await runNodes(model, nodes, new Map([...constants, ...done, ...known]));
  return new Map([...known, ...run]);
}

/** What a Constant node states as a tensor. */
async function literalOf(node: NodeProto): Promise<TensorValue | undefined> {
  const tensor = node.opType === 'Constant' ? findAttribute(node, 'value')?.t : undefined;
  const dtype = tensor && dtypeOf(tensor.dataType);
  if (tensor === undefined || dtype === undefined || !isValueDtype(dtype)) return undefined;
  return valueFromBytes(dtype, tensor.dims, await readTensor(tensorOf(tensor)));
}

/** All that some nodes compute from values that are known. */
async function runNodes(
  model: OnnxModel,
  node: readonly NodeProto[],
  known: ReadonlyMap<string, TensorValue>,
): Promise<Map<string, TensorValue>> {
  if (node.length === 0) return new Map();
  const read = new Set(node.flatMap(({ input }) => input));
  const initializer = Array.from(known, ([name, value]) => (read.has(name) ? valueTensor(name, value) : [])).flat();
  const output = node.flatMap((each) => each.output.filter(Boolean).map((name) => ({ name })));
  const graph: GraphProto = { name: 'shapes', node: [...node], initializer, input: [], output, valueInfo: [] };
  const session = await openGraph({ ...model, metadataProps: [], graph });
  try {
    return await session.run(new Map());
  } finally {
    await session.release();
  }
}

const openGraph = async (model: OnnxModel): Promise<LocalSession> =>
  openSession('shapes.onnx', { bytes: await modelBytes(model), optimization: 'disabled', threads: 1 });

function shapeOf(node: NodeProto, { shape }: TensorType): TensorValue {
  const sizes = shape.slice(intOf(node, 'start', 0), intOf(node, 'end', shape.length));
  return { dtype: 'I64', shape: [sizes.length], data: BigInt64Array.from(sizes, BigInt) };
}

const sizeOf = ({ shape }: TensorType): TensorValue => ({
  dtype: 'I64',
  shape: [],
  data: BigInt64Array.of(BigInt(numel(shape))),
});
