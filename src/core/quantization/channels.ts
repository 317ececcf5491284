import {
  DATA_TYPE,
  floatOf,
  type GraphProto,
  intOf,
  type NodeProto,
  type OnnxModel,
  type TensorProto,
} from '../onnx/model.js';
import { countUses, isOp, isStandard, producers } from '../onnx/passes/uses.js';
import { numel } from '../tensor/shape.js';
import type { Channels } from './channel-layout.js';
import { fixedInitializers } from './graph-edit.js';

/** A constant whose channels are those of a value: `reads` by the inputs it multiplies, `writes` by the results it makes. */
export interface ConstantSide extends Channels {
  readonly constant: string;
  readonly role: 'reads' | 'writes';
  readonly value: string;
}

/**
 * Values whose channels can be divided by any positive numbers without a change of what the graph computes, if the constants
 * that write them are divided too, and those that read them multiplied.
 */
export interface ChannelClass {
  readonly channels: number;
  /** Axes behind the channels, by value. */
  readonly values: ReadonlyMap<string, number>;
  readonly sides: readonly ConstantSide[];
}

/** The classes of a graph, by the operators that are linear or positively homogeneous in each channel; all else ends a class. */
export function channelClasses(model: OnnxModel): ChannelClass[] {
  const analysis = new Analysis(model.graph);
  for (const node of model.graph.node) analysis.visit(node);
  return analysis.classes();
}

type Tie = ConstantSide | { readonly value: string; readonly other: string };

/** The ties of a node: values in them are scaled as they say, others of the node not at all. */
type Rule = (node: NodeProto, graph: Analysis) => readonly Tie[];

class Analysis {
  readonly constants: ReadonlyMap<string, TensorProto>;
  readonly makers: ReadonlyMap<string, NodeProto>;
  /** Axes behind the channels of each value that has some. */
  readonly trailing = new Map<string, number>();
  private readonly uses: ReadonlyMap<string, number>;
  /** How many uses of values and of sides of constants are tied. */
  private readonly known = new Map<string, number>();
  private readonly parents = new Map<string, string>();
  private readonly sides: ConstantSide[] = [];

  constructor(graph: GraphProto) {
    this.constants = fixedInitializers(graph);
    this.makers = producers(graph);
    this.uses = countUses(graph);
  }

  visit(node: NodeProto): void {
    const ties = isStandard(node) ? (RULES.get(node.opType)?.(node, this) ?? []) : [];
    const tied = new Set<string>();
    for (const tie of ties) {
      const other = 'other' in tie ? tie.other : slotOf(tie);
      this.parents.set(this.find(tie.value), this.find(other));
      tied.add(tie.value).add(other);
      if ('constant' in tie) {
        this.sides.push(tie);
        this.count(other);
      }
    }
    for (const name of node.input) if (tied.has(name)) this.count(name);
  }

  private count(slot: string): void {
    this.known.set(slot, (this.known.get(slot) ?? 0) + 1);
  }

  /** Says where the channels of a result lie. */
  place(value: string, trailing: number): string {
    this.trailing.set(value, trailing);
    return value;
  }

  /** The shape of a float32 constant that no caller can replace. */
  shapeOf(name: string | undefined): readonly number[] | undefined {
    const tensor = name ? this.constants.get(name) : undefined;
    return tensor?.dataType === DATA_TYPE.FLOAT ? tensor.dims : undefined;
  }

  classes(): ChannelClass[] {
    const groups = new Map<string, { fixed: boolean; values: Map<string, number>; sides: ConstantSide[] }>();
    const groupOf = (name: string) => {
      const root = this.find(name);
      const group = groups.get(root) ?? { fixed: false, values: new Map<string, number>(), sides: [] };
      groups.set(root, group);
      return group;
    };
    for (const [value, axes] of this.trailing) {
      const group = groupOf(value);
      group.values.set(value, axes);
      if (this.uses.get(value) !== this.known.get(value)) group.fixed = true;
    }
    for (const side of this.sides) {
      const group = groupOf(side.value);
      group.sides.push(side);
      if (this.uses.get(side.constant) !== this.known.get(slotOf(side))) group.fixed = true;
    }
    return [...groups.values()].flatMap(({ fixed, values, sides }) => {
      const channels = sides[0]?.channels ?? 1;
      const agree = sides.every((side) => side.channels === channels);
      return fixed || !agree || channels === 1 ? [] : [{ channels, values, sides }];
    });
  }

  private find(name: string): string {
    let root = name;
    for (let next = this.parents.get(root); next !== undefined && next !== root; next = this.parents.get(root))
      root = next;
    return root;
  }
}

/** All that read a constant share its scales, and so do all that it writes. */
const slotOf = ({ constant, role, inner }: ConstantSide): string => `${role} ${inner} ${constant}`;

function convRule(node: NodeProto, graph: Analysis): Tie[] {
  const [input, constant, bias] = node.input;
  const [output] = node.output;
  const shape = graph.shapeOf(constant);
  if (!shape || (bias && !graph.shapeOf(bias))) return [];
  const [outputs, inputs] = shape;
  const kernel = numel(shape.slice(2));
  const groups = intOf(node, 'group', 1);
  const trailing = shape.length - 2;
  graph.place(output, trailing);
  const ties: Tie[] = [
    { value: output, constant, role: 'writes', channels: outputs, inner: inputs * kernel },
    ...vectorTie(bias, output, outputs),
  ];
  if (graph.trailing.get(input) === trailing) {
    if (groups === 1) ties.push({ value: input, constant, role: 'reads', channels: inputs, inner: kernel });
    else if (inputs === 1)
      ties.push({ value: input, constant, role: 'reads', channels: groups, inner: (outputs / groups) * kernel });
  }
  return ties;
}

const vectorTie = (constant: string | undefined, value: string, channels: number): Tie[] =>
  constant ? [{ value, constant, role: 'writes', channels, inner: 1 }] : [];

function matrixRule(node: NodeProto, graph: Analysis): Tie[] {
  const [input, constant, bias] = node.input;
  const [output] = node.output;
  const shape = graph.shapeOf(constant);
  const plain = intOf(node, 'transA', 0) === 0 && floatOf(node, 'alpha', 1) === 1 && floatOf(node, 'beta', 1) === 1;
  if (shape?.length !== 2 || !plain || graph.constants.has(input)) return [];
  const [rows, columns] = shape;
  const transposed = intOf(node, 'transB', 0) === 1;
  const [inputs, outputs] = transposed ? [columns, rows] : [rows, columns];
  const biasShape = graph.shapeOf(bias);
  if (bias && (biasShape?.at(-1) !== outputs || numel(biasShape) !== outputs)) return [];
  graph.place(output, 0);
  const ties: Tie[] = [
    { value: output, constant, role: 'writes', channels: outputs, inner: transposed ? columns : 1 },
    ...vectorTie(bias, output, outputs),
  ];
  if (graph.trailing.get(input) === 0)
    ties.push({ value: input, constant, role: 'reads', channels: inputs, inner: transposed ? 1 : columns });
  return ties;
}

/** Results by the channels of the first input. */
function passRule(node: NodeProto, graph: Analysis): Tie[] {
  const [input] = node.input;
  const trailing = graph.trailing.get(input);
  if (trailing === undefined || node.output.slice(1).some(Boolean)) return [];
  return [{ value: graph.place(node.output[0], trailing), other: input }];
}

/** Pooled to one place, channels are all that is left to flatten. */
function flattenRule(node: NodeProto, graph: Analysis): Tie[] {
  const [input] = node.input;
  const maker = graph.makers.get(input);
  const flat = isOp(maker, 'GlobalAveragePool') || isOp(maker, 'GlobalMaxPool');
  if (!flat || intOf(node, 'axis', 1) !== 1 || !graph.trailing.has(input)) return [];
  return [{ value: graph.place(node.output[0], 0), other: input }];
}

function sumRule(node: NodeProto, graph: Analysis): Tie[] {
  const [left, right] = node.input;
  const [output] = node.output;
  const constant = node.input.find((name) => graph.constants.has(name));
  if (constant !== undefined) {
    const value = left === constant ? right : left;
    const trailing = graph.trailing.get(value);
    const channels = channelVector(graph.shapeOf(constant), trailing);
    if (trailing === undefined || channels === undefined) return [];
    return [{ value: graph.place(output, trailing), other: value }, ...vectorTie(constant, output, channels)];
  }
  const trailing = graph.trailing.get(left);
  if (trailing === undefined || trailing !== graph.trailing.get(right)) return [];
  graph.place(output, trailing);
  return [
    { value: output, other: left },
    { value: output, other: right },
  ];
}

/** The number of channels of a constant that holds one number a channel, where `trailing` axes are behind them. */
function channelVector(shape: readonly number[] | undefined, trailing: number | undefined): number | undefined {
  if (shape === undefined || trailing === undefined) return undefined;
  const channels = shape.at(-1 - trailing);
  return channels !== undefined && numel(shape) === channels ? channels : undefined;
}

/** Multiplied by a constant, channels may be of other scales in front of it than behind it. */
function scaleRule(node: NodeProto, graph: Analysis): Tie[] {
  const [left, right] = node.input;
  const constant = node.input.find((name) => graph.constants.has(name));
  if (constant === undefined) return [];
  const value = left === constant ? right : left;
  const shape = graph.shapeOf(constant);
  if (shape && numel(shape) === 1) return passRule({ ...node, input: [value] }, graph);
  // Where nothing has said yet where channels lie, the constant does: behind the last axis that is not 1.
  const trailing = graph.trailing.get(value) ?? trailingOnes(shape ?? []);
  const channels = channelVector(shape, trailing);
  if (channels === undefined) return [];
  const writes: Tie = { value: graph.place(node.output[0], trailing), constant, role: 'writes', channels, inner: 1 };
  return graph.trailing.has(value) ? [writes, { value, constant, role: 'reads', channels, inner: 1 }] : [writes];
}

const trailingOnes = (shape: readonly number[]): number => shape.length - 1 - shape.findLastIndex((dim) => dim !== 1);

function layerNormRule(node: NodeProto, graph: Analysis): Tie[] {
  const [, scale, bias] = node.input;
  const shape = graph.shapeOf(scale);
  if (intOf(node, 'axis', -1) !== -1 || shape?.length !== 1 || (bias && !graph.shapeOf(bias))) return [];
  const output = graph.place(node.output[0], 0);
  return [...vectorTie(scale, output, shape[0]), ...vectorTie(bias, output, shape[0])];
}

const RULES: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ['Conv', convRule],
  ['MatMul', matrixRule],
  ['Gemm', matrixRule],
  ['Add', sumRule],
  ['Sub', sumRule],
  ['Mul', scaleRule],
  ['LayerNormalization', layerNormRule],
  ['Flatten', flattenRule],
  ...['Relu', 'LeakyRelu', 'Identity', 'MaxPool', 'AveragePool', 'GlobalAveragePool', 'GlobalMaxPool'].map(
    (opType) => [opType, passRule] as const,
  ),
]);
