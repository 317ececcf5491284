import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type {
  Architecture,
  ArchitectureExporter,
  Contract,
  ExportRequest,
} from '../../src/core/architectures/architecture.js';
import { readHead, withHeadFile } from '../../src/core/architectures/head-file.js';
import { recogniseArchitecture } from '../../src/core/architectures/registry.js';
import type { Checkpoint } from '../../src/core/checkpoint/checkpoint.js';
import { openCheckpoint } from '../../src/core/checkpoint/open.js';
import { HpsError } from '../../src/core/errors.js';
import { GraphBuilder } from '../../src/core/onnx/builder.js';
import type { Mode } from '../../src/core/onnx/manifest.js';
import { checkOpset } from '../../src/core/onnx/opset.js';
import { castValue, floatsOf, isValueDtype, type TensorValue, valueFromBytes } from '../../src/core/runtime/value.js';
import { formatShape } from '../../src/core/tensor/shape.js';
import { readTensor, type Tensor } from '../../src/core/tensor/tensor.js';
import { runModel } from './graphs.js';
import { tempFolder } from './temp.js';

const GOLDEN = fileURLToPath(new URL('../golden/', import.meta.url));

/** Folders with a checkpoint and golden.safetensors of the reference implementation; their makers lie beside them. */
export const FAMILY_FIXTURES: readonly string[] = [
  join(GOLDEN, 'hpsv3'),
  ...['families', 'encoders', 'decoders'].flatMap((group) =>
    readdirSync(join(GOLDEN, group))
      .map((name) => join(GOLDEN, group, name))
      .filter((folder) => existsSync(join(folder, 'golden.safetensors'))),
  ),
];

/** What a fixture is exported with beside its checkpoint. */
interface FixtureRequest {
  readonly options?: Record<string, string>;
  /** Name of the file of its head. */
  readonly headFile?: string;
}

function requestOf(folder: string): FixtureRequest {
  const file = join(folder, 'request.json');
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {};
}

const CHECKPOINTS = ['checkpoint.safetensors', 'model.safetensors'];

/** The checkpoint of a fixture. */
export const openFixture = (folder: string): Promise<Checkpoint> => {
  const file = CHECKPOINTS.map((name) => join(folder, name)).find((path) => existsSync(path));
  return openCheckpoint(file ?? folder);
};

/** The fixtures of each architecture, as the registry recognises them. */
export async function fixturesByArchitecture(folders = FAMILY_FIXTURES): Promise<Map<string, string[]>> {
  const found = new Map<string, string[]>();
  for (const folder of folders) {
    const checkpoint = await openFixture(folder);
    const id = recogniseArchitecture(checkpoint)?.id ?? '';
    found.set(id, [...(found.get(id) ?? []), folder]);
    checkpoint.close();
  }
  return found;
}

interface Built {
  readonly contract: Contract;
  readonly run: (feeds: ReadonlyMap<string, TensorValue>) => Promise<Map<string, TensorValue>>;
  readonly problems: readonly string[];
  readonly tensors: readonly string[];
}

/** The graph of a fixture; null where the mode is refused for it. */
export async function buildFixture(
  exporter: ArchitectureExporter,
  folder: string,
  { mode = 'item' as Mode, opset = 14, overrides = {} as Partial<ExportRequest> } = {},
): Promise<Built | null> {
  const encoder = await openFixture(folder);
  const { options = {}, headFile } = requestOf(folder);
  const headCheckpoint = headFile === undefined ? undefined : await openCheckpoint(join(folder, headFile));
  const head = headCheckpoint && readHead(headCheckpoint, headFile!, {});
  const checkpoint = headCheckpoint ? withHeadFile(encoder, headCheckpoint) : encoder;
  const published = head?.published?.preprocess;
  const request: ExportRequest = {
    modality: undefined,
    mode,
    config: null,
    configOrigin: null,
    dtype: 'F32',
    options: published && exporter.options?.preprocess ? { preprocess: published, ...options } : options,
    head,
    ...overrides,
  };
  const graph = new GraphBuilder(opset, checkpoint.tensors);
  try {
    const contract = exporter.buildGraph(checkpoint, graph, request);
    const model = graph.build('conformance');
    const used = [...graph.parametersUsed.keys(), ...contract.ignored.map(({ name }) => name)].sort();
    const all = [...checkpoint.tensors.keys()].sort();
    const problems = [
      ...checkOpset(model, opset).map((problem) => `opset ${opset}: ${JSON.stringify(problem)}`),
      ...(JSON.stringify(used) === JSON.stringify(all) ? [] : ['a tensor is neither used nor ignored with a reason']),
    ];
    return { contract, problems, tensors: all, run: (feeds) => runModel(model, tempFolder(), feeds) };
  } catch (error) {
    if (error instanceof HpsError && error.code === 'USAGE') return null;
    throw error;
  }
}

const TOLERANCE_AT_MOST = 1e-3;
/** Between forms of one graph at two opsets, of a score some units wide. */
const SAME_GRAPH = 1e-4;

/** What a registered architecture lacks of what its kind must have, or does otherwise than its reference; empty where all is well. */
export async function architectureProblems(architecture: Architecture, folders: readonly string[]): Promise<string[]> {
  const { id } = architecture;
  const problems: string[] = [];
  if (folders.length === 0) problems.push(`${id}: no fixture in tests/golden`);
  const exporter = await architecture.load();
  const { parityTolerance: tolerance } = exporter;
  if (!(tolerance > 0 && tolerance <= TOLERANCE_AT_MOST))
    problems.push(`${id}: no parityTolerance above 0 and at most ${TOLERANCE_AT_MOST}`);
  if (typeof exporter.exampleInputs !== 'function') problems.push(`${id}: no exampleInputs`);
  if (problems.length > 0) return problems;
  for (const folder of folders) {
    const name = `${id}, ${folder.slice(GOLDEN.length)}`;
    const found = [
      ...(await parityProblems(exporter, folder)),
      ...(await exampleProblems(exporter, folder)),
      ...(await pairProblems(exporter, folder)),
    ];
    problems.push(...found.map((problem) => `${name}: ${problem}`));
  }
  return problems;
}

/** Groups of a golden file that hold inputs of single items. */
export const itemGroups = (tensors: ReadonlyMap<string, Tensor>): string[] =>
  [...new Set([...tensors.keys()].map((key) => key.split('/')[0]))].filter(
    (group) => group.startsWith('item') || group.startsWith('raw'),
  );

async function goldenValues(tensors: ReadonlyMap<string, Tensor>, prefix: string): Promise<Map<string, TensorValue>> {
  const values = new Map<string, TensorValue>();
  for (const [key, tensor] of tensors) {
    if (key.startsWith(prefix) && isValueDtype(tensor.dtype))
      values.set(key.slice(prefix.length), valueFromBytes(tensor.dtype, tensor.shape, await readTensor(tensor)));
  }
  return values;
}

/** Outputs of a fixture's graph that are not those of its reference. */
export async function parityProblems(exporter: ArchitectureExporter, folder: string): Promise<string[]> {
  const built = await buildFixture(exporter, folder);
  if (!built) return ['mode item is refused'];
  const golden = await openCheckpoint(join(folder, 'golden.safetensors'));
  const problems = [...built.problems];
  const { inputs, modality } = built.contract;
  const groups = itemGroups(golden.tensors);
  for (const group of groups.length > 0 ? groups : [String(modality)]) {
    const feeds = await goldenValues(golden.tensors, `${group}/in/`);
    const given = new Map(inputs.map(({ name, dtype }) => [name, castValue(feeds.get(name)!, dtype as 'F32' | 'I64')]));
    const outputs = await built.run(given);
    for (const [name, want] of await goldenValues(golden.tensors, `${group}/out/`)) {
      const got = outputs.get(name);
      if (!got) problems.push(`${group}: no output ${name}`);
      else if (!(distance(got, want) <= exporter.parityTolerance))
        problems.push(`${group}: ${name} is off by ${distance(got, want)}`);
    }
  }
  golden.close();
  return problems;
}

async function exampleProblems(exporter: ArchitectureExporter, folder: string): Promise<string[]> {
  const [old, recent] = [await buildFixture(exporter, folder), await buildFixture(exporter, folder, { opset: 20 })];
  if (!old || !recent) return [];
  const feeds = exporter.exampleInputs(old.contract, 1);
  const missing = missingInputs(old.contract, feeds);
  if (missing.length > 0) return missing;
  const [a, b] = [await old.run(feeds), await recent.run(feeds)];
  return [...a].flatMap(([name, value]) => {
    if (!floatsOf(value).every(Number.isFinite)) return [`${name} of example inputs is not finite`];
    const off = distance(value, b.get(name)!);
    return off <= SAME_GRAPH ? [] : [`${name} differs by ${off} between opsets 14 and 20`];
  });
}

const missingInputs = ({ inputs }: Contract, feeds: ReadonlyMap<string, unknown>): string[] =>
  inputs.filter(({ name }) => !feeds.has(name)).map(({ name }) => `exampleInputs gives no ${name}`);

/** A pair file gives what two items give, whichever comes first, from one copy of the weights. */
async function pairProblems(exporter: ArchitectureExporter, folder: string): Promise<string[]> {
  const pair = await buildFixture(exporter, folder, { mode: 'pair' });
  if (!pair) return [];
  const { contract } = pair;
  const feeds = exporter.exampleInputs(contract, 2);
  const missing = missingInputs(contract, feeds);
  if (missing.length > 0) return missing;
  const swapped = new Map([...feeds].map(([name, value]) => [swapSide(name), value]));
  const [there, back] = [await pair.run(feeds), await pair.run(swapped)];
  const logits = [there, back].map((outputs) => floatsOf(outputs.get('pair_logit')!));
  const sum = Math.max(...logits[0].map((logit, i) => Math.abs(logit + logits[1][i])));
  const problems =
    sum <= SAME_GRAPH ? [...pair.problems] : [...pair.problems, `pair_logit is not antisymmetric: ${sum}`];
  if (contract.decision !== 'utility-difference') return problems;
  const [left, right] = ['left', 'right'].map((side) => floatsOf(there.get(`${side}_utility_logit`)!));
  const off = Math.max(...logits[0].map((logit, i) => Math.abs(logit - (left[i] - right[i]))));
  return off <= SAME_GRAPH ? problems : [...problems, `pair_logit is not the difference of the utilities: ${off}`];
}

const swapSide = (name: string): string =>
  name.replace(/^(left|right)/, (side) => (side === 'left' ? 'right' : 'left'));

function distance(got: TensorValue, want: TensorValue): number {
  const [a, b] = [floatsOf(got), floatsOf(want)];
  if (a.length !== b.length)
    throw new RangeError(`${formatShape(got.shape)} does not compare with ${formatShape(want.shape)}`);
  return a.reduce((worst, value, i) => Math.max(worst, Math.abs(value - b[i])), 0);
}
