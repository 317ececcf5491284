import { copyFile, open } from 'node:fs/promises';
import { join } from 'node:path';
import { withTemporaryFolder } from '../bytes/temporary-folder.js';
import type { NodeProto } from '../onnx/model.js';
import { type ModelProcessOptions, withModelProcess } from '../runtime/child.js';
import { isFloatValue, type TensorValue } from '../runtime/value.js';
import { compareValues, type Outputs } from './compare.js';
import type { Tolerance } from './invariances.js';
import type { ModelFacts } from './model.js';

export interface Divergence {
  /** The first value inside the graph that differs, in topological order. */
  readonly value: string;
  readonly node: string;
  readonly opType: string;
  readonly maxAbsDiff: number;
}

export interface DivergenceOptions {
  readonly feeds: ReadonlyMap<string, TensorValue>;
  readonly tolerance: Tolerance;
  readonly child: ModelProcessOptions;
  readonly threads?: number;
}

/** Either what diverged, or why it was not looked for or found. */
export type DivergenceResult = { readonly found: Divergence } | { readonly note: string };

/** Values looked at in one run; bounds the memory that holds them. */
const VALUES_PER_RUN = 128;
/** Beyond this a copy of the file would cost more than the answer is worth. */
const MAX_MODEL_BYTES = 1 << 30;

/** Finds the first value that differs between two models whose graphs name their values alike, by running both with those as outputs. */
export async function findDivergence(
  reference: ModelFacts,
  candidate: ModelFacts,
  options: DivergenceOptions,
): Promise<DivergenceResult> {
  if (reference.hasExternalData || candidate.hasExternalData)
    return { note: 'not looked for inside models with external data' };
  if (Math.max(reference.bytes, candidate.bytes) > MAX_MODEL_BYTES)
    return { note: `not looked for inside models over ${MAX_MODEL_BYTES} bytes` };
  const shared = sharedValues(reference.nodes, candidate.nodes);
  if (shared.length === 0) return { note: 'the graphs name their values differently' };
  for (let start = 0; start < shared.length; start += VALUES_PER_RUN) {
    const values = shared.slice(start, start + VALUES_PER_RUN);
    const names = values.map(({ value }) => value);
    const expected = await runExposed(reference, names, options);
    const actual = await runExposed(candidate, names, options);
    for (const { value, node } of values) {
      const [a, b] = [expected.get(value), actual.get(value)];
      if (!a || !b || !isFloatValue(a)) continue;
      const { maxAbsDiff, scale } = compareValues(a, b);
      if (maxAbsDiff > options.tolerance(scale))
        return { found: { value, node: node.name ?? '', opType: node.opType, maxAbsDiff } };
    }
  }
  return { note: 'no value that both graphs name alike differs' };
}

interface NamedValue {
  readonly value: string;
  readonly node: NodeProto;
}

/** Values that both graphs compute, by the same operator, in the order of the second. */
function sharedValues(reference: readonly NodeProto[], candidate: readonly NodeProto[]): NamedValue[] {
  const operators = new Map(reference.flatMap((node) => node.output.map((value) => [value, node.opType])));
  return candidate.flatMap((node) =>
    node.output
      .filter((value) => value !== '' && operators.get(value) === node.opType)
      .map((value) => ({ value, node })),
  );
}

async function runExposed(
  model: ModelFacts,
  values: readonly string[],
  { feeds, child, threads }: DivergenceOptions,
): Promise<Outputs> {
  return withTemporaryFolder('gate', async (folder) => {
    const path = join(folder, model.file);
    await copyFile(model.path, path);
    await exposeValues(
      path,
      values.filter((value) => !model.outputs.includes(value)),
    );
    // Unoptimised, so that every value of the file is really computed.
    const options = { optimization: 'disabled', threads, config: model.manifest?.session } as const;
    return withModelProcess(child, async (model) => (await model.load(path, options)).run(feeds));
  });
}

/**
 * Makes values of a model outputs of it, by appending `ModelProto{graph{output{name}}}`: in protobuf, a message that
 * comes twice is merged, and its repeated fields are joined. onnxruntime infers the types.
 */
async function exposeValues(path: string, values: readonly string[]): Promise<void> {
  const outputs = values.map((value) => field(GRAPH_OUTPUT, field(VALUE_INFO_NAME, Buffer.from(value))));
  const file = await open(path, 'a');
  try {
    await file.write(field(MODEL_GRAPH, Buffer.concat(outputs)));
  } finally {
    await file.close();
  }
}

/** Field numbers of onnx.proto. */
const MODEL_GRAPH = 7;
const GRAPH_OUTPUT = 12;
const VALUE_INFO_NAME = 1;
const LENGTH_DELIMITED = 2;

/** A protobuf field of bytes: tag, length, content. */
function field(number: number, content: Uint8Array): Buffer {
  const head = [(number << 3) | LENGTH_DELIMITED];
  for (let rest = content.byteLength; ; rest >>>= 7) {
    head.push(rest > 0x7f ? (rest & 0x7f) | 0x80 : rest);
    if (rest <= 0x7f) break;
  }
  return Buffer.concat([Uint8Array.from(head), content]);
}
