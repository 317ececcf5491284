import { HpsError } from '../errors.js';
import { type GraphProto, type NodeProto, type OnnxModel, subgraphsOf } from './model.js';
import { formAt, normalDomain, type OperatorForm, operatorForms } from './operators.js';
import { dataTypeName } from './tensor-data.js';

/** A node that an opset does not have, or not in this form. */
export interface OpsetViolation {
  /** The node's name, or its first output where it has none. */
  readonly node: string;
  readonly opType: string;
  readonly reason: string;
  /** The first opset that has the node as it is; undefined where none has. */
  readonly needs: number | undefined;
}

/**
 * Nodes of the standard operators, in all graphs and functions, that do not exist at an opset: operators, attributes, numbers of
 * inputs and outputs, and element types where a value's type is stated (inputs, initializers, value_info).
 * It does not look at meaning: a form that changed without changing its attributes or inputs passes.
 */
export function checkOpset(model: OnnxModel, opset: number): OpsetViolation[] {
  const violations = checkGraph(model.graph, opset, new Map());
  for (const { node } of model.functions ?? []) violations.push(...checkNodes(node, opset, new Map()));
  return violations;
}

/** @throws HpsError OPSET_UNSUPPORTED, listing every violation */
export function assertOpset(model: OnnxModel, opset: number, name: string): void {
  const violations = checkOpset(model, opset);
  if (violations.length === 0) return;
  const [{ node, opType, reason }] = violations;
  const more = violations.length > 1 ? ` and ${violations.length - 1} more` : '';
  const needs = violations.map((violation) => violation.needs ?? Number.NaN).reduce((a, b) => Math.max(a, b));
  throw new HpsError('OPSET_UNSUPPORTED', `${name}: not valid at opset ${opset}: ${opType} ${node}: ${reason}${more}`, {
    hint: Number.isNaN(needs)
      ? 'Export the model again for this opset.'
      : `Use \`opset\` ${needs} or later, or export it again.`,
    details: { opset, violations },
  });
}

type TypeOf = ReadonlyMap<string, number>;

function checkGraph(graph: GraphProto, opset: number, outer: TypeOf): OpsetViolation[] {
  return checkNodes(graph.node, opset, statedTypes(graph, outer));
}

function statedTypes(graph: GraphProto, outer: TypeOf): TypeOf {
  const types = new Map(outer);
  for (const { name, type } of [...graph.valueInfo, ...graph.output, ...graph.input]) {
    const elemType = type?.tensorType?.elemType;
    if (elemType) types.set(name, elemType);
    else types.delete(name); // an outer value of that name is hidden
  }
  for (const { name = '', dataType } of graph.initializer) types.set(name, dataType);
  return types;
}

function checkNodes(nodes: readonly NodeProto[], opset: number, types: TypeOf): OpsetViolation[] {
  return nodes.flatMap((node) => {
    const inner = [...subgraphsOf(node)].flatMap((graph) => checkGraph(graph, opset, types));
    const own = normalDomain(node.domain) === '' ? checkNode(node, opset, types) : undefined;
    return own ? [own, ...inner] : inner;
  });
}

interface Rule {
  holds(form: OperatorForm): boolean;
  readonly reason: string;
}

function checkNode(node: NodeProto, opset: number, types: TypeOf): OpsetViolation | undefined {
  const forms = operatorForms('', node.opType) ?? [];
  const form = formAt(forms, opset);
  const violation = (reason: string, accepts: (form: OperatorForm) => boolean): OpsetViolation => ({
    node: node.name || node.output[0] || '(unnamed)',
    opType: node.opType,
    reason,
    needs: forms.find((candidate) => candidate.since > opset && !candidate.deprecated && accepts(candidate))?.since,
  });
  const rules = rulesOf(node, types);
  const acceptsAll = (candidate: OperatorForm) => rules.every((rule) => rule.holds(candidate));
  if (form === undefined)
    return violation(forms.length ? 'the operator does not exist yet' : 'no such operator', acceptsAll);
  if (form.deprecated) return violation('the operator is deprecated', acceptsAll);
  const broken = rules.find((rule) => !rule.holds(form));
  return broken && violation(broken.reason, acceptsAll);
}

/** What a form must allow to hold this node. */
function rulesOf(node: NodeProto, types: TypeOf): Rule[] {
  const inputs = node.input.findLastIndex((name) => name !== '') + 1;
  const outputs = node.output.findLastIndex((name) => name !== '') + 1;
  return [
    ...node.attribute.map(({ name }) => ({
      holds: (form: OperatorForm) => form.attributes.has(name),
      reason: `attribute ${name} is not allowed`,
    })),
    {
      holds: (form) => inputs <= form.maxInputs && node.input.length >= form.minInputs,
      reason: `${inputs} inputs are not allowed`,
    },
    { holds: (form) => outputs <= form.maxOutputs, reason: `${outputs} outputs are not allowed` },
    ...node.input.flatMap((name, index) => {
      const type = name === '' ? undefined : types.get(name);
      if (type === undefined) return [];
      return {
        holds: (form: OperatorForm) => allowsType(form, index, type),
        reason: `input ${index} cannot be ${dataTypeName(type)}`,
      };
    }),
  ];
}

function allowsType({ inputTypes }: OperatorForm, index: number, type: number): boolean {
  const mask = inputTypes[Math.min(index, inputTypes.length - 1)];
  return mask === undefined || (type < 32 && (mask & (1 << type)) !== 0);
}
