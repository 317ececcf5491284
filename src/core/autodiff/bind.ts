import {
  type GraphProto,
  type NodeProto,
  type OnnxModel,
  subgraphsOf,
  type TensorProto,
  type ValueInfoProto,
} from '../onnx/model.js';
import { removeDeadCode } from '../onnx/passes/dead-code.js';
import { withTemporaryModel } from '../onnx/temporary-model.js';
import { dtypeOf, tensorOf } from '../onnx/tensor-data.js';
import { openSession } from '../runtime/ort.js';
import { isFloatValue, isValueDtype, type TensorValue, valueFromBytes } from '../runtime/value.js';
import { DTYPES } from '../tensor/dtype.js';
import { numel } from '../tensor/shape.js';
import { readTensor } from '../tensor/tensor.js';
import { fuseOperators } from './fuse.js';
import { type Inferred, inferTypes } from './infer.js';
import { raiseOpset } from './raise-opset.js';
import { type BoundGraph, type TensorType, tensorTypeProto, valueTensor } from './types.js';

/**
 * The opset of training graphs: axes are inputs (18), ScatterElements adds (16), LayerNormalization (17) and
 * Gelu (20) are operators.
 */
export const TRAINING_OPSET = 20;

/** Float initializers of at most so many elements are read, in case a rule depends on one (an exponent, a bound, scales). */
const SMALL_FLOAT = 16;
/** Integer initializers of at most so many elements are read: axes, sizes, indices. */
const SMALL_INT = 1 << 16;

/**
 * A model for the sizes of example inputs, at the training opset or later. Types are those that onnxruntime infers, so that there
 * is no second definition of shape rules; what depends on shapes alone becomes a constant. Where it cannot infer them all, the
 * model is run once, with all values in memory as they are in a training step. Norms and GELUs that are taken apart become one
 * operator again, unless the model states the type of a value inside: a frontier that it may be cut at.
 * @param feeds - every input of the model, with the sizes to train with
 * @throws HpsError OPSET_UNSUPPORTED where the model cannot be raised; INPUTS_INVALID where it rejects the feeds
 */
export const bindShapes = async (model: OnnxModel, feeds: Feeds): Promise<BoundGraph> =>
  (await bound(model, feeds, true))!;

/** The same without a run; null where only a run could tell. */
export const inferShapes = (model: OnnxModel, feeds: Feeds): Promise<BoundGraph | null> => bound(model, feeds, false);

type Feeds = ReadonlyMap<string, TensorValue>;

async function bound(model: OnnxModel, feeds: Feeds, mayRun: boolean): Promise<BoundGraph | null> {
  const raised = raiseOpset(model, TRAINING_OPSET);
  const types = new Map<string, TensorType>();
  const constants = new Map<string, TensorValue>();
  for (const [name, { dtype, shape }] of feeds) types.set(name, { dtype, shape });
  await readInitializers(raised.graph, types, constants);

  const fromShapes = valuesFromShapes(raised.graph, constants);
  const inferred = await inferTypes(raised, { types, constants, fromShapes });
  const found = inferred ?? (mayRun ? await observeTypes(raised, feeds, fromShapes) : null);
  if (found === null) return null;
  for (const [name, type] of found.types) types.set(name, type);
  for (const [name, value] of found.constants) constants.set(name, value);
  const folded = Array.from(found.constants, ([name, value]) => valueTensor(name, value));
  const graph = { model: removeDeadCode(withConstants(raised, folded, types)), types, constants };
  return fuseOperators(graph, new Set(raised.graph.valueInfo.map(({ name }) => name)));
}

/** The same from the values of one run. */
async function observeTypes(
  model: OnnxModel,
  feeds: ReadonlyMap<string, TensorValue>,
  fromShapes: ReadonlySet<string>,
): Promise<Inferred> {
  const values = await runExposed(model, feeds);
  const types = new Map(Array.from(values, ([name, { dtype, shape }]) => [name, { dtype, shape }]));
  return { types, constants: new Map([...values].filter(([name]) => fromShapes.has(name))) };
}

/** Every value of a run without optimisation. */
async function runExposed(
  model: OnnxModel,
  feeds: ReadonlyMap<string, TensorValue>,
): Promise<Map<string, TensorValue>> {
  const stated = new Map(model.graph.output.map((output) => [output.name, output]));
  const values = model.graph.node.flatMap(({ output }) => output.filter(Boolean));
  const output = values.map((name): ValueInfoProto => stated.get(name) ?? { name });
  const exposed = { ...model, metadataProps: [], graph: { ...model.graph, output, valueInfo: [] } };
  return withTemporaryModel(exposed, async (path) => {
    const session = await openSession(path, { optimization: 'disabled' });
    try {
      return await session.run(feeds);
    } finally {
      await session.release();
    }
  });
}

async function readInitializers(
  { initializer, input }: GraphProto,
  types: Map<string, TensorType>,
  constants: Map<string, TensorValue>,
): Promise<void> {
  const replaceable = new Set(input.map(({ name }) => name));
  for (const tensor of initializer) {
    const { name = '', dims } = tensor;
    const dtype = dtypeOf(tensor.dataType);
    if (dtype === undefined || !isValueDtype(dtype)) continue;
    types.set(name, { dtype, shape: dims });
    const most = DTYPES[dtype].kind === 'float' ? SMALL_FLOAT : SMALL_INT;
    if (replaceable.has(name) || numel(dims) > most) continue;
    constants.set(name, valueFromBytes(dtype, dims, await readTensor(tensorOf(tensor))));
  }
}

/** Integers and booleans computed from shapes and from integer constants: data and weights do not reach them. */
function valuesFromShapes({ node }: GraphProto, constants: ReadonlyMap<string, TensorValue>): Set<string> {
  const known = new Set([...constants].filter(([, value]) => !isFloatValue(value)).map(([name]) => name));
  const found = new Set<string>();
  for (const each of node) {
    if (!readsShapeOnly(each) && !each.input.every((name) => name === '' || known.has(name))) continue;
    if (DRAWS.test(each.opType) || [...subgraphsOf(each)].length > 0) continue;
    for (const name of each.output) {
      known.add(name);
      found.add(name);
    }
  }
  return found;
}

/** Operators whose results are drawn. */
const DRAWS = /^(Random|Bernoulli|Multinomial)/;

const readsShapeOnly = ({ opType }: NodeProto): boolean => opType === 'Shape' || opType === 'Size';

/** Replaces the nodes that make `folded`, and states the types of inputs and outputs. */
function withConstants(
  model: OnnxModel,
  folded: readonly TensorProto[],
  types: ReadonlyMap<string, TensorType>,
): OnnxModel {
  const { graph } = model;
  const outputs = new Set(graph.output.map(({ name }) => name));
  const made = new Set(folded.map(({ name = '' }) => name).filter((name) => !outputs.has(name)));
  const typed = (info: ValueInfoProto): ValueInfoProto => {
    const type = types.get(info.name);
    return type ? { ...info, type: tensorTypeProto(type) } : info;
  };
  return {
    ...model,
    graph: {
      ...graph,
      node: graph.node.filter(({ output }) => !output.every((name) => name === '' || made.has(name))),
      initializer: [...graph.initializer, ...folded.filter(({ name = '' }) => made.has(name))],
      input: graph.input.map(typed),
      output: graph.output.map(typed),
      valueInfo: [],
    },
  };
}
