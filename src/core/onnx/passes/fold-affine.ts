import { readFloat32 } from '../../tensor/transform.js';
import { bytesOf } from '../../tensor/values.js';
import { DATA_TYPE, floatOf, intOf, type NodeProto, type OnnxModel, type TensorProto } from '../model.js';
import { tensorOf } from '../tensor-data.js';
import { removeDeadCode } from './dead-code.js';
import { countUses, isOp, producers } from './uses.js';

/** Multiplications one fold may cost; above it the chain stays as it is. */
const MAX_FOLD_MACS = 4_000_000_000;

/**
 * Folds chains of affine maps (Gemm with a constant weight [outputs, inputs] and bias) into one wherever that makes the file
 * smaller: y = W2 (W1 x + b1) + b2 = (W2 W1) x + (W2 b1 + b2). Computed in float64 from the last map backwards, rounded once.
 * A published "MLP" without activations becomes the single map it is (PEERS 1.6: 927,969 parameters to 769).
 */
export async function foldAffineChains(model: OnnxModel): Promise<OnnxModel> {
  const { graph } = model;
  const initializers = new Map(graph.initializer.map((tensor) => [tensor.name ?? '', tensor]));
  const made = producers(graph);
  const uses = countUses(graph);
  const gone = new Set<NodeProto>();
  const replaced = new Map<NodeProto, NodeProto>();

  for (const last of graph.node.toReversed()) {
    if (gone.has(last) || !isAffine(last, initializers)) continue;
    const chain = [last];
    for (let first = last; ; first = chain[0]) {
      const before = made.get(first.input[0]);
      if (!before || !isAffine(before, initializers) || uses.get(before.output[0]) !== 1) break;
      chain.unshift(before);
    }
    if (chain.length < 2 || !pays(chain, initializers)) continue;
    const { weight, bias, inputs, outputs } = await compose(chain, initializers);
    const names = {
      weight: `${last.name || last.output[0]}.folded_weight`,
      bias: `${last.name || last.output[0]}.folded_bias`,
    };
    initializers.set(names.weight, {
      name: names.weight,
      dims: [outputs, inputs],
      dataType: DATA_TYPE.FLOAT,
      rawData: bytesOf(weight),
    });
    initializers.set(names.bias, {
      name: names.bias,
      dims: [outputs],
      dataType: DATA_TYPE.FLOAT,
      rawData: bytesOf(bias),
    });
    replaced.set(last, { ...last, input: [chain[0].input[0], names.weight, names.bias] });
    for (const node of chain.slice(0, -1)) gone.add(node);
  }
  if (replaced.size === 0) return model;
  const node = graph.node.filter((each) => !gone.has(each)).map((each) => replaced.get(each) ?? each);
  return removeDeadCode({ ...model, graph: { ...graph, node, initializer: [...initializers.values()] } });
}

/** Gemm of a value with float32 constants, weight as [outputs, inputs], nothing scaled. */
function isAffine(node: NodeProto, initializers: ReadonlyMap<string, TensorProto>): boolean {
  if (!isOp(node, 'Gemm') || intOf(node, 'transB', 0) !== 1 || intOf(node, 'transA', 0) !== 0) return false;
  if (floatOf(node, 'alpha', 1) !== 1 || floatOf(node, 'beta', 1) !== 1) return false;
  const constants = node.input
    .slice(1)
    .filter(Boolean)
    .map((name) => initializers.get(name));
  const bias = constants[1];
  return constants.every((tensor) => tensor?.dataType === DATA_TYPE.FLOAT) && (!bias || bias.dims.length === 1);
}

const dimsOf = (node: NodeProto, initializers: ReadonlyMap<string, TensorProto>): number[] =>
  initializers.get(node.input[1])?.dims ?? [];

/** Whether one map is smaller than the chain, and cheap enough to compute. */
function pays(chain: readonly NodeProto[], initializers: ReadonlyMap<string, TensorProto>): boolean {
  const sizes = chain.map((node) => dimsOf(node, initializers));
  const outputs = sizes[sizes.length - 1][0];
  const parameters = sizes.reduce((sum, [rows, columns]) => sum + rows * columns, 0);
  return outputs * sizes[0][1] <= parameters && outputs * parameters <= MAX_FOLD_MACS;
}

async function compose(
  chain: readonly NodeProto[],
  initializers: ReadonlyMap<string, TensorProto>,
): Promise<{ weight: Float32Array; bias: Float32Array; inputs: number; outputs: number }> {
  const read = async (name: string | undefined): Promise<Float64Array | null> => {
    const tensor = name ? initializers.get(name) : undefined;
    return tensor ? Float64Array.from(await readFloat32(tensorOf(tensor))) : null;
  };
  const last = chain[chain.length - 1];
  const [outputs] = dimsOf(last, initializers);
  let [inputs] = dimsOf(last, initializers).slice(1);
  let weight = (await read(last.input[1])) ?? new Float64Array();
  const bias = (await read(last.input[2])) ?? new Float64Array(outputs);

  for (const node of chain.slice(0, -1).toReversed()) {
    const inner = (await read(node.input[1])) ?? new Float64Array();
    const innerBias = await read(node.input[2]);
    const [rows, columns] = dimsOf(node, initializers);
    if (innerBias) addProduct(bias, weight, innerBias, outputs, rows, 1);
    const product = new Float64Array(outputs * columns);
    addProduct(product, weight, inner, outputs, rows, columns);
    weight = product;
    inputs = columns;
  }
  return { weight: Float32Array.from(weight), bias: Float32Array.from(bias), inputs, outputs };
}

/** target [m, n] += a [m, k] b [k, n]. */
function addProduct(target: Float64Array, a: Float64Array, b: Float64Array, m: number, k: number, n: number): void {
  for (let row = 0; row < m; row++) {
    for (let inner = 0; inner < k; inner++) {
      const factor = a[row * k + inner];
      for (let column = 0; column < n; column++) target[row * n + column] += factor * b[inner * n + column];
    }
  }
}
