import { HpsError } from '../errors.js';
import { type FunctionProto, type GraphProto, type NodeProto, type OnnxModel, subgraphsOf } from './model.js';
import { NEWEST_OPSET } from './operator-table.js';
import { formAt, normalDomain, operatorForms } from './operators.js';
import { corruptOnnx } from './refusal.js';

/** onnx.proto's own newest, which model.ts describes. */
const NEWEST_IR_VERSION = 14;
/** Domains whose operators onnxruntime brings but ONNX does not describe. */
const RUNTIME_DOMAINS: ReadonlySet<string> = new Set(['com.microsoft']);

/**
 * Checks that a model is whole and made of operators that can be run.
 * @param name - what errors call it
 * @throws HpsError ONNX_UNSUPPORTED for a newer format, unknown operators or domains (training operators among them), all listed;
 *   ONNX_CORRUPT for a graph that is no graph: a cycle, an undefined input, two values of one name, no nodes, no outputs
 */
export function checkModel(model: OnnxModel, name = 'model'): void {
  checkVersions(model, name);
  checkOperators(model, name);
  if (model.graph.node.length === 0) throw corruptOnnx(name, 'the graph has no nodes');
  if (model.graph.output.length === 0) throw corruptOnnx(name, 'the graph has no outputs');
  const inputs = new Set(model.graph.input.map((input) => input.name));
  const echoed = model.graph.output.find((output) => inputs.has(output.name));
  if (echoed) throw corruptOnnx(name, `output ${echoed.name} is an input too`);
  checkGraph(model.graph, undefined, name);
  for (const each of model.functions ?? []) checkFunction(each, name);
}

function checkVersions({ irVersion, opsetImport, functions = [] }: OnnxModel, name: string): void {
  if (irVersion > NEWEST_IR_VERSION || irVersion < 1) {
    throw unsupported(name, `IR version ${irVersion} is not known here (up to ${NEWEST_IR_VERSION})`, { irVersion });
  }
  if (opsetImport.length === 0 && irVersion >= 3) throw corruptOnnx(name, 'no opset is imported');
  for (const { domain, version } of [opsetImport, ...functions.map((each) => each.opsetImport)].flat()) {
    if (normalDomain(domain) === '' && (version > NEWEST_OPSET || version < 1)) {
      throw unsupported(name, `opset ${version} is not known here (up to ${NEWEST_OPSET})`, { opset: version });
    }
  }
}

function unsupported(name: string, rule: string, details: Readonly<Record<string, unknown>>): HpsError {
  return new HpsError('ONNX_UNSUPPORTED', `${name}: ${rule}`, {
    hint: 'Export the model with standard operators of an opset that is known here.',
    details,
  });
}

function checkOperators(model: OnnxModel, name: string): void {
  const local = new Set((model.functions ?? []).map((each) => operatorKey(each.domain, each.name ?? '')));
  const opsets = opsetsOf(model.opsetImport);
  const unknown = new Set<string>();
  const visit = (nodes: readonly NodeProto[], imports: ReadonlyMap<string, number>) => {
    for (const node of nodes) {
      const key = operatorKey(node.domain, node.opType);
      if (!local.has(key) && !isKnown(node, imports)) unknown.add(key);
      for (const graph of subgraphsOf(node)) visit(graph.node, imports);
    }
  };
  visit(model.graph.node, opsets);
  for (const each of model.functions ?? []) visit(each.node, opsetsOf(each.opsetImport));
  if (unknown.size === 0) return;
  const operators = [...unknown].sort();
  throw unsupported(name, `operators that are not known at the model's opset: ${operators.join(', ')}`, { operators });
}

const operatorKey = (domain: string | undefined, opType: string): string =>
  normalDomain(domain) === '' ? opType : `${domain}.${opType}`;

const opsetsOf = (imports: OnnxModel['opsetImport']): ReadonlyMap<string, number> =>
  new Map(imports.map(({ domain, version }) => [normalDomain(domain), version]));

function isKnown({ domain, opType }: NodeProto, opsets: ReadonlyMap<string, number>): boolean {
  const forms = operatorForms(domain, opType);
  if (forms === undefined) return RUNTIME_DOMAINS.has(normalDomain(domain));
  return formAt(forms, opsets.get(normalDomain(domain)) ?? 1) !== undefined;
}

/** Names that a graph can see: its own, then those of the graphs around it. */
class Scope {
  private readonly names = new Set<string>();

  constructor(private readonly outer: Scope | undefined) {}

  /** @returns false where this graph has the name already */
  define(name: string): boolean {
    if (this.names.has(name)) return false;
    this.names.add(name);
    return true;
  }

  has(name: string): boolean {
    return this.names.has(name) || (this.outer?.has(name) ?? false);
  }
}

function checkGraph(graph: GraphProto, outer: Scope | undefined, file: string): void {
  const scope = new Scope(outer);
  for (const { name } of graph.input) defineOnce(scope, name, file);
  defineInitializers(graph, scope, file);
  checkNodes(graph.node, scope, file);
  for (const { name } of graph.output) {
    if (!scope.has(name)) throw corruptOnnx(file, `output ${name} is not computed`);
  }
}

/** An initializer may have an input's name: it is that input's default. */
function defineInitializers(graph: GraphProto, scope: Scope, file: string): void {
  const own = new Scope(undefined);
  const sparse = graph.sparseInitializer ?? [];
  for (const name of [...graph.initializer, ...sparse.map(({ values }) => values)].map(
    (tensor) => tensor?.name ?? '',
  )) {
    if (name === '') throw corruptOnnx(file, 'an initializer has no name');
    defineOnce(own, name, file);
    scope.define(name);
  }
}

function checkNodes(nodes: readonly NodeProto[], scope: Scope, file: string): void {
  for (const node of nodes) {
    const label = `${node.opType} ${node.name || node.output[0] || '(unnamed)'}`;
    for (const name of node.input) {
      if (name === '' || scope.has(name)) continue;
      const later = nodes.some(({ output }) => output.includes(name));
      const why = later ? 'is used before it is computed: a cycle, or nodes out of order' : 'is not defined anywhere';
      throw corruptOnnx(file, `${label}: input ${name} ${why}`);
    }
    for (const graph of subgraphsOf(node)) checkGraph(graph, scope, file);
    for (const name of node.output) if (name !== '') defineOnce(scope, name, file);
  }
}

function checkFunction({ name, input, output, node }: FunctionProto, file: string): void {
  const scope = new Scope(undefined);
  for (const each of input) defineOnce(scope, each, file);
  checkNodes(node, scope, file);
  const missing = output.find((each) => !scope.has(each));
  if (missing !== undefined) throw corruptOnnx(file, `output ${missing} of function ${name} is not computed`);
}

function defineOnce(scope: Scope, name: string, file: string): void {
  if (!scope.define(name)) throw corruptOnnx(file, `two values are named ${JSON.stringify(name)}`);
}
