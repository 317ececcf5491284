import { HpsError } from '../errors.js';
import type { NodeProto } from '../onnx/model.js';
import { isStandard } from '../onnx/passes/uses.js';
import { formatShape, numel } from '../tensor/shape.js';
import { Emitter, sameShape } from './emitter.js';
import { RULES } from './registry.js';
import type { GradientContext, GradientRule } from './rule.js';
import { type BoundGraph, isFloatType, type Operand } from './types.js';

export interface GradientRequest {
  /** A float value of one element. */
  readonly loss: string;
  /** Initializers, inputs or inner values, all floats. */
  readonly wrt: readonly string[];
}

export interface GradientGraph extends BoundGraph {
  /** For each value of `wrt` that the loss depends on, the name of its gradient, of the same dtype and shape. */
  readonly gradients: ReadonlyMap<string, string>;
}

/**
 * Appends to a graph the nodes that compute the gradient of a loss: reverse-mode differentiation, one rule an operator.
 * Only what lies between `wrt` and the loss is differentiated. Through integers, booleans and comparisons no gradient flows.
 * Outputs are as they were: `withOutputs` makes gradients outputs.
 * @param rules - one an operator
 * @throws HpsError GRADIENT_UNSUPPORTED naming operator and node where an operator, or its form, has no gradient; or a value
 *   of `wrt` or the loss is not what it must be
 */
export function gradients(
  bound: BoundGraph,
  { loss, wrt }: GradientRequest,
  rules: readonly GradientRule[] = RULES,
): GradientGraph {
  checkRequest(bound, loss, wrt);
  const ruleOf = byOperator(rules);
  const graph = new Emitter(bound, 'gradient/');
  const nodes = bound.model.graph.node;
  const active = activeValues(bound, loss, wrt);
  const tape = new Tape(graph, active);
  if (active.has(loss)) {
    const { dtype, shape } = graph.operand(loss);
    tape.add(loss, graph.floats(dtype, shape, [1]));
  }
  for (const node of nodes.toReversed()) {
    if (!node.output.some((name) => active.has(name) && tape.has(name))) continue;
    if (!node.input.some((name) => active.has(name))) continue;
    ruleOf(node).backward(contextOf(node, graph, tape, active));
  }
  const result = new Map<string, string>();
  for (const name of wrt) if (tape.has(name)) result.set(name, tape.total(name).name);
  return { ...graph.finish(), gradients: result };
}

/** Values whose gradient is needed: floats on the way from `wrt` to the loss. */
function activeValues({ model, types }: BoundGraph, loss: string, wrt: readonly string[]): Set<string> {
  const { node } = model.graph;
  const reached = new Set(wrt);
  for (const each of node) {
    if (FLAT.has(each.opType) || !each.input.some((name) => reached.has(name))) continue;
    for (const name of each.output) {
      const type = types.get(name);
      if (type && isFloatType(type)) reached.add(name);
    }
  }
  const leads = new Set([loss]);
  for (const each of node.toReversed()) {
    if (each.output.some((name) => leads.has(name))) for (const name of each.input) leads.add(name);
  }
  return new Set([...reached].filter((name) => leads.has(name)));
}

/** Operators of floats whose derivative is 0 wherever it exists. */
const FLAT: ReadonlySet<string> = new Set(['Ceil', 'Floor', 'Round', 'Sign', 'Shape', 'Size', 'ConstantOfShape']);

/** Gradients found so far: contributions are added up when the value's own node is reached. */
class Tape {
  private readonly parts = new Map<string, Operand[]>();

  constructor(
    private readonly graph: Emitter,
    private readonly active: ReadonlySet<string>,
  ) {}

  has(name: string): boolean {
    return this.parts.has(name);
  }

  add(name: string, gradient: Operand): void {
    if (!this.active.has(name)) return;
    const { shape, dtype } = this.graph.operand(name);
    if (!sameShape(shape, gradient.shape) || dtype !== gradient.dtype) {
      const what = `${gradient.dtype} ${formatShape(gradient.shape)}`;
      throw new RangeError(`the gradient of ${name} (${dtype} ${formatShape(shape)}) came as ${what}`);
    }
    const parts = this.parts.get(name);
    if (parts) parts.push(gradient);
    else this.parts.set(name, [gradient]);
  }

  total(name: string): Operand {
    const parts = this.parts.get(name) ?? [];
    const total = this.graph.sum(parts);
    this.parts.set(name, [total]);
    return total;
  }
}

function contextOf(node: NodeProto, graph: Emitter, tape: Tape, active: ReadonlySet<string>): GradientContext {
  const unsupported = (reason: string): never => {
    throw gradientUnsupported(node, reason);
  };
  const constant: GradientContext['constant'] = (index) => {
    const name = node.input[index];
    if (!name) return undefined;
    return graph.constantOf(name) ?? unsupported(`its input ${index} must be a constant`);
  };
  return {
    node,
    graph,
    unsupported,
    constant,
    numbers: (index) => {
      const value = constant(index);
      return value && Array.from(value.data as Float32Array, Number);
    },
    input: (index) => graph.operand(node.input[index]),
    hasInput: (index) => Boolean(node.input[index]),
    output: (index = 0) => graph.operand(node.output[index]),
    gradient: (index = 0) =>
      tape.has(node.output[index]) ? tape.total(node.output[index]) : graph.zeros(graph.operand(node.output[index])),
    hasGradient: (index) => tape.has(node.output[index]),
    wants: (index) => active.has(node.input[index]),
    give: (index, gradient) => tape.add(node.input[index], gradient),
  };
}

function byOperator(rules: readonly GradientRule[]): (node: NodeProto) => GradientRule {
  const known = new Map(rules.flatMap((rule) => rule.opTypes.map((opType) => [opType, rule] as const)));
  return (node) => {
    const rule = isStandard(node) ? known.get(node.opType) : undefined;
    if (rule) return rule;
    throw gradientUnsupported(node, 'the operator has no gradient rule');
  };
}

function gradientUnsupported(node: NodeProto, reason: string): HpsError {
  const name = node.name || node.output[0];
  const opType = node.domain ? `${node.domain}.${node.opType}` : node.opType;
  return new HpsError('GRADIENT_UNSUPPORTED', `no gradient through ${opType} ${name}: ${reason}`, {
    hint: 'Train only what comes after that node, or export the model with another form of it.',
    details: { opType, node: name, reason },
  });
}

function checkRequest({ types }: BoundGraph, loss: string, wrt: readonly string[]): void {
  const refuse = (value: string, reason: string): never => {
    throw new HpsError('GRADIENT_UNSUPPORTED', `value ${value}: ${reason}`, {
      hint: 'Name float values of the graph, and a loss of one element.',
      details: { value, reason },
    });
  };
  for (const name of [loss, ...wrt]) {
    const type = types.get(name) ?? refuse(name, 'the graph has no such value');
    if (!isFloatType(type)) refuse(name, `a gradient needs a float, not ${type.dtype}`);
  }
  const { shape } = types.get(loss)!;
  if (numel(shape) !== 1) refuse(loss, `a loss has one element, not the shape ${formatShape(shape)}`);
}
