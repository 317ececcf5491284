import { HpsError } from '../errors.js';
import { AVERAGED_OUTPUTS } from '../gate/members.js';
import { typeProto } from '../onnx/graph-core.js';
import type { ContractOutput } from '../onnx/manifest.js';
import { DATA_TYPE, type GraphProto, type NodeProto, type OnnxModel, type TensorProto } from '../onnx/model.js';
import { bytesOf } from '../tensor/values.js';
import { assertOneContract, decisionOutput, type MemberGraph } from './contracts.js';
import { renameGraph } from './rename.js';
import { shareInitializers } from './shared-initializers.js';

/** A member, and how often its logits count. */
export interface WeightedMember extends MemberGraph {
  readonly coefficient: number;
}

export interface MergedModel {
  readonly model: OnnxModel;
  readonly outputs: readonly ContractOutput[];
  /** Initializers that another one stands for, and their bytes. */
  readonly shared: { readonly initializers: number; readonly bytes: number };
}

const prefixOf = (member: number): string => `member_${member}/`;

/**
 * One graph of several: the inputs are shared, each member's values lie under a prefix of its own, equal initializers are stored
 * once, and the outputs are the sums of the members' logits times their coefficients. Weights stay unread where they are, unless
 * they may have an equal.
 *
 * @throws HpsError MODELS_INCOMPARABLE where the members' contracts differ or they have no logits in common; ONNX_UNSUPPORTED for
 *   local functions and plans for several devices, whose names would clash
 */
export async function mergeModels(members: readonly WeightedMember[], signal?: AbortSignal): Promise<MergedModel> {
  assertOneContract(members);
  for (const member of members) assertMergeable(member);
  const inputs = new Set(members[0].manifest.inputs.map(({ name }) => name));
  const prefixed = members.map(({ model }, m) =>
    renameGraph(model.graph, (name) => (inputs.has(name) ? name : `${prefixOf(m)}${name}`)),
  );
  const shared = await shareInitializers(
    prefixed.flatMap(({ initializer }) => initializer),
    signal,
  );
  const parts = prefixed.map((graph) => renameGraph(graph, (name) => shared.replacedBy.get(name) ?? name));
  const combined = combineOutputs(members);
  return {
    model: {
      irVersion: Math.max(...members.map(({ model }) => model.irVersion)),
      producerName: 'hpsv3',
      graph: {
        name: ['hpsv3', 'ensemble', members[0].manifest.modality, members[0].manifest.mode].filter(Boolean).join('-'),
        node: [...parts.flatMap(({ node }) => node), ...combined.nodes],
        initializer: [...shared.kept, ...combined.coefficients],
        sparseInitializer: all(parts, 'sparseInitializer'),
        input: members[0].model.graph.input.filter(({ name }) => inputs.has(name)),
        output: combined.outputs.map(({ name, shape }) => ({ name, type: typeProto('F32', shape) })),
        valueInfo: parts.flatMap(({ valueInfo, output }) => [...valueInfo, ...output]),
        quantizationAnnotation: all(parts, 'quantizationAnnotation'),
      },
      opsetImport: members[0].model.opsetImport,
      metadataProps: [],
    },
    outputs: combined.outputs,
    shared: { initializers: shared.replacedBy.size, bytes: shared.savedBytes },
  };
}

/** A list of all graphs together; absent where no graph has any. */
function all<K extends 'sparseInitializer' | 'quantizationAnnotation'>(
  graphs: readonly GraphProto[],
  key: K,
): GraphProto[K] {
  const joined = graphs.flatMap((graph): unknown[] => graph[key] ?? []);
  return joined.length === 0 ? undefined : (joined as unknown as GraphProto[K]);
}

interface Combined {
  readonly nodes: NodeProto[];
  readonly coefficients: TensorProto[];
  readonly outputs: ContractOutput[];
}

/** The nodes that sum the members' logits; `utility` of an item is the tanh of its sum. */
function combineOutputs(members: readonly WeightedMember[]): Combined {
  const coefficients = members.map(
    ({ coefficient }, m): TensorProto => ({
      name: coefficientName(m),
      dims: [],
      dataType: DATA_TYPE.FLOAT,
      rawData: bytesOf(Float32Array.of(coefficient)),
    }),
  );
  const nodes: NodeProto[] = [];
  const outputs: ContractOutput[] = [];
  for (const name of AVERAGED_OUTPUTS.filter((output) => isSharedFloat(members, output))) {
    nodes.push(...weightedSum(name, members.length));
    outputs.push(averaged(members, name));
    if (name !== 'utility_logit' || !isSharedFloat(members, 'utility')) continue;
    nodes.push(node('Tanh', ['utility_logit'], 'utility'));
    outputs.push(averaged(members, 'utility'));
  }
  const decision = decisionOutput(members[0].manifest);
  if (outputs.some(({ name }) => name === decision)) return { nodes, coefficients, outputs };
  throw new HpsError('MODELS_INCOMPARABLE', `the members have no output ${decision} of float32 in common`, {
    hint: 'Give models that hpsv3 export wrote.',
    details: { files: members.map(({ file }) => file), output: decision },
  });
}

const coefficientName = (member: number): string => `ensemble/coefficient_${member}`;

const node = (opType: string, input: string[], output: string): NodeProto => ({
  name: output,
  opType,
  input,
  output: [output],
  attribute: [],
});

function weightedSum(name: string, members: number): NodeProto[] {
  const terms = Array.from({ length: members }, (_, m) => `ensemble/${name}/term_${m}`);
  const products = terms.map((term, m) => node('Mul', [`${prefixOf(m)}${name}`, coefficientName(m)], term));
  return [...products, node('Sum', terms, name)];
}

const isSharedFloat = (members: readonly MemberGraph[], name: string): boolean =>
  members.every(({ model, manifest }) => {
    const output = model.graph.output.find((candidate) => candidate.name === name);
    const elemType = output?.type?.tensorType?.elemType;
    return elemType === DATA_TYPE.FLOAT && manifest.outputs.some((stated) => stated.name === name);
  });

/** What the manifest says of an averaged output, from what the first member says of its own. */
function averaged(members: readonly MemberGraph[], name: string): ContractOutput {
  const stated = members[0].manifest.outputs.find((output) => output.name === name)!;
  return { ...stated, dtype: 'F32', meaning: `Weighted average of ${members.length} models: ${stated.meaning}` };
}

function assertMergeable({ file, model, manifest }: MemberGraph): void {
  const taken = model.graph.input.map(({ name }) => name);
  const unknown = manifest.inputs.find(({ name }) => !taken.includes(name));
  const reason =
    (unknown && `its manifest names the input ${unknown.name}, which the graph has not`) ??
    (model.functions?.length ? 'it defines functions of its own' : undefined) ??
    (model.configuration?.length ? 'it is laid out for several devices' : undefined) ??
    (model.trainingInfo?.length ? 'it holds training information' : undefined);
  if (reason === undefined) return;
  throw new HpsError('ONNX_UNSUPPORTED', `${file}: ${reason}`, {
    hint: 'Export the member with hpsv3 export.',
    details: { file, reason },
  });
}
