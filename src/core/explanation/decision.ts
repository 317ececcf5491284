import { renameGraph } from '../ensemble/rename.js';
import { HpsError } from '../errors.js';
import { extractSubgraph } from '../onnx/extract.js';
import { DATA_TYPE, type NodeProto, type OnnxModel, type TensorProto } from '../onnx/model.js';
import type { ScoringContract } from '../samples/contract.js';
import { bytesOf } from '../tensor/values.js';

export type SideName = 'item' | 'left' | 'right';

/** One item of a decision: what its inputs are called in the graph. */
export interface DecisionSide {
  readonly side: SideName;
  /** Before the names of its inputs. */
  readonly prefix: string;
}

/** What is explained: f, a logit a row. */
export interface Decision {
  /** Its first output is LOGIT [batch]; the inputs are those of every side. */
  readonly model: OnnxModel;
  readonly sides: readonly DecisionSide[];
}

/** f of each row: the pair logit, or the utility logit of an item. Never a probability, whose gradient saturates. */
export const LOGIT = 'explanation/logit';
/** The sum of f over the rows: rows do not depend on each other, so its gradient is that of each row. */
export const TOTAL = 'explanation/total';

const PREFIX = { left: 'left_', right: 'right_' } as const;

/**
 * The graph of a decision. A pair file is taken as it is; of an item file both utilities are subtracted, with the weights
 * stored once: f(left, right) is antisymmetric either way, and 0 for two equal items.
 */
export function buildDecision(model: OnnxModel, contract: ScoringContract, kind: 'pair' | 'item'): Decision {
  if (contract.mode === 'pair') {
    const names = contract.inputs.map(({ name }) => name);
    const of = (...prefixes: string[]): string[] => prefixes.flatMap((prefix) => names.map((name) => prefix + name));
    if (kind === 'item') {
      const cut = extractSubgraph(model, { inputs: of('left_'), outputs: ['left_utility_logit'] });
      return {
        model: finished(cut, [shaped('left_utility_logit', LOGIT)]),
        sides: [{ side: 'item', prefix: 'left_' }],
      };
    }
    const cut = extractSubgraph(model, { inputs: of('left_', 'right_'), outputs: ['pair_logit'] });
    return { model: finished(cut, [shaped('pair_logit', LOGIT)]), sides: pairSides };
  }
  const inputs = contract.inputs.map(({ name }) => name);
  const { output, column } = scoreOf(model, contract);
  const item = extractSubgraph(model, { inputs, outputs: [output] });
  if (kind === 'item') {
    return { model: finished(item, scoreNodes(output, column, LOGIT)), sides: [{ side: 'item', prefix: '' }] };
  }
  const weights = new Set(item.graph.initializer.map(({ name = '' }) => name));
  const [left, right] = (['left', 'right'] as const).map((side) =>
    renameGraph(item.graph, (name) => (weights.has(name) ? name : `${PREFIX[side]}${name}`)),
  );
  const joined: OnnxModel = {
    ...item,
    graph: {
      ...left,
      node: [...left.node, ...right.node],
      input: [...left.input, ...right.input].map(freeBatch),
      output: [],
      valueInfo: [...left.valueInfo, ...right.valueInfo],
    },
  };
  const scores = (['left', 'right'] as const).map((side) => `explanation/${side}`);
  return {
    model: finished(joined, [
      ...scoreNodes(PREFIX.left + output, column, scores[0]),
      ...scoreNodes(PREFIX.right + output, column, scores[1]),
      { node: plainNode('Sub', scores, LOGIT) },
    ]),
    sides: pairSides,
  };
}

const pairSides: readonly DecisionSide[] = [
  { side: 'left', prefix: PREFIX.left },
  { side: 'right', prefix: PREFIX.right },
];

/** Sides of a pair may have other lengths of text or sound: their symbols must not be the same. */
function freeBatch(input: OnnxModel['graph']['input'][number]): OnnxModel['graph']['input'][number] {
  const tensor = input.type?.tensorType;
  const dims = tensor?.shape?.dim;
  if (!dims) return input;
  const dim = dims.map((each, axis) =>
    axis === 0 || each.dimParam === undefined ? each : { dimParam: `${input.name}/${axis}` },
  );
  return { ...input, type: { tensorType: { ...tensor, shape: { dim } } } };
}

interface Added {
  readonly node: NodeProto;
  readonly constants?: readonly TensorProto[];
}

/** The column of an output [batch], [batch, 1] or [batch, columns]. */
interface ScorePlace {
  readonly output: string;
  readonly column: number | null;
}

function scoreOf({ graph }: OnnxModel, { score }: ScoringContract): ScorePlace {
  const output = score?.output ?? 'utility_logit';
  const info = graph.output.find(({ name }) => name === output);
  if (!info) {
    throw new HpsError('ONNX_UNSUPPORTED', `the model has no output ${output}`, {
      hint: 'See its outputs with `hpsv3 inspect`; a contract names one of them.',
      details: { output },
    });
  }
  const columns = info.type?.tensorType?.shape?.dim[1]?.dimValue;
  return { output, column: columns !== undefined && columns > 1 ? (score?.column ?? 0) : null };
}

function scoreNodes(output: string, column: number | null, result: string): Added[] {
  if (column === null) return [shaped(output, result)];
  const taken = `${result}/column`;
  return [
    { node: plainNode('Gather', [output, `${taken}/at`], taken, 1), constants: [ints(`${taken}/at`, [column])] },
    shaped(taken, result),
  ];
}

/** One number a row, whatever axes of size 1 there are. */
const shaped = (value: string, result: string): Added => ({
  node: plainNode('Reshape', [value, `${result}/shape`], result),
  constants: [ints(`${result}/shape`, [-1])],
});

function finished(model: OnnxModel, added: readonly Added[]): OnnxModel {
  const { graph } = model;
  return {
    ...model,
    metadataProps: [],
    graph: {
      ...graph,
      node: [...graph.node, ...added.map(({ node }) => node), plainNode('ReduceSum', [LOGIT], TOTAL)],
      initializer: [...graph.initializer, ...added.flatMap(({ constants = [] }) => constants)],
      output: [LOGIT, TOTAL].map((name) => ({ name })),
    },
  };
}

const plainNode = (opType: string, input: readonly string[], output: string, axis?: number): NodeProto => ({
  name: output,
  opType,
  input: [...input],
  output: [output],
  attribute: [
    ...(opType === 'ReduceSum' ? [{ name: 'keepdims', i: 0n, type: 2 }] : []),
    ...(axis === undefined ? [] : [{ name: 'axis', i: BigInt(axis), type: 2 }]),
  ],
});

const ints = (name: string, values: readonly number[]): TensorProto => ({
  name,
  dims: [values.length],
  dataType: DATA_TYPE.INT64,
  rawData: bytesOf(BigInt64Array.from(values, BigInt)),
});
