import { basename, join } from 'node:path';
import type { Probes } from '../gate/probes.js';
import { batchFeeds, fixedBatch } from '../gate/rows.js';
import { borrowWeights } from '../onnx/borrow.js';
import { DATA_TYPE, intAttribute, type NodeProto, type OnnxModel, type ValueInfoProto } from '../onnx/model.js';
import { withTemporaryModel } from '../onnx/temporary-model.js';
import { type ModelProcess, type ModelProcessOptions, type RemoteSession, withModelProcess } from '../runtime/child.js';
import type { Session } from '../runtime/session.js';
import { floatsOf } from '../runtime/value.js';
import { BinCounter } from '../tensor/bins.js';
import { numel } from '../tensor/shape.js';
import { type Range, widen } from './range.js';
import { rowBatches } from './rows.js';

/** Activations that one run keeps for counting: batches are made as small as that takes, then values are taken in groups. */
const GROUP_BYTES = 128 * 2 ** 20;
const FLOAT_BYTES = 4;
/** What a model without its weights may take; with more, as where weights were computed anew, it goes by a file. */
const STRUCTURE_BYTES = 32 * 2 ** 20;
/**
 * For a handful of runs: weights are read where the file has them, not copied into a form that only many runs pay for, as little
 * as memory is planned for them; and threads do not wait in a loop for the next operator, which costs what else the machine does.
 */
const FEW_RUNS = {
  optimization: 'basic',
  memoryPattern: false,
  config: { 'session.disable_prepacking': '1', 'session.intra_op.allow_spinning': '0' },
} as const;

export interface ObserveOptions {
  readonly child: ModelProcessOptions;
  readonly threads?: number;
  /** The file that the model was read from. */
  readonly path: string;
  /**
   * Values that share a name share a range: what they hold is put together. The two sides of a pair must, or swapping them
   * would change more than the sign.
   */
  readonly keyOf: (value: string) => string;
  readonly onBatch?: () => void;
}

/**
 * Extremes of inner values over all rows, by key; NaN where a value is NaN or infinite. They are reduced inside the graph, so that
 * only three numbers a value and batch leave the process that runs the model.
 */
export async function observeExtremes(
  model: OnnxModel,
  values: readonly string[],
  probes: Probes,
  options: ObserveOptions,
): Promise<Map<string, Range>> {
  const reduced = values.flatMap((value, i) =>
    REDUCTIONS.map(({ opType, suffix }) => reader(opType, value, i, suffix)),
  );
  const observed = new Map<string, Range>();
  await withExposed(exposing(model, reduced), options, async (session) => {
    for (const batch of rowBatches(session, probes)) {
      const results = await session.run(batchFeeds(probes.feeds, batch));
      for (const [i, value] of values.entries()) {
        const [low, high, mean] = REDUCTIONS.map(({ suffix }) => floatsOf(results.get(readerOf(i, suffix))!)[0]);
        const key = options.keyOf(value);
        const known = observed.get(key);
        // The extremes may pass over a NaN; the mean cannot.
        const seen = Number.isFinite(mean)
          ? widen({ low, high }, { low, high })
          : { low: Number.NaN, high: Number.NaN };
        observed.set(key, known ? widen(known, seen) : seen);
      }
      options.onBatch?.();
    }
  });
  return observed;
}

const REDUCTIONS = [
  { opType: 'ReduceMin', suffix: 'min' },
  { opType: 'ReduceMax', suffix: 'max' },
  { opType: 'ReduceMean', suffix: 'mean' },
] as const;

/**
 * Counts of inner values over all rows, by key. The model runs once over the rows where the values of one row fit into memory
 * together, else once for each group of values that do; a group is counted in the process that runs the model.
 */
export async function observeCounts(
  model: OnnxModel,
  values: readonly string[],
  probes: Probes,
  options: ObserveOptions,
): Promise<Map<string, BinCounter>> {
  const counters = new Map<string, BinCounter>();
  const copies = (group: readonly string[]): OnnxModel => exposing(model, readers('Identity', group, COPY));
  const countGroup = async (session: RemoteSession, { values, rowBytes }: ValueGroup): Promise<void> => {
    const most = Math.max(1, Math.floor(GROUP_BYTES / Math.max(1, rowBytes)));
    const outputs = values.map((_, i) => readerOf(i, COPY));
    for (const batch of rowBatches(session, probes, most)) {
      await session.count(batchFeeds(probes.feeds, batch), outputs);
      options.onBatch?.();
    }
    const counts = await session.counts();
    for (const [i, value] of values.entries()) {
      const key = options.keyOf(value);
      const counter = counters.get(key) ?? new BinCounter();
      counters.set(key, counter);
      counter.merge(counts.get(outputs[i])!);
    }
  };
  const left = await withExposed(copies(values), options, async (session) => {
    const bytes = shapedBytes(session, probes) ?? (await measuredBytes(model, values, probes, options));
    const groups = groupsOf(values, bytes);
    if (groups.length > 1) return groups;
    for (const group of groups) await countGroup(session, group);
    return [];
  });
  for (const group of left) await withExposed(copies(group.values), options, (session) => countGroup(session, group));
  return counters;
}

const COPY = 'copy';

/** Bytes that each output takes for one row, by the shapes that the runtime infers; null where it cannot. */
function shapedBytes(session: Session, { feeds }: Probes): number[] | null {
  const sizes = new Map<string, number>();
  for (const { name, shape } of session.inputs)
    for (const [axis, dim] of shape.entries())
      if (typeof dim === 'string' && dim !== '')
        sizes.set(dim, axis === 0 ? 1 : (feeds.get(name)?.shape[axis] ?? Number.NaN));
  const rows = fixedBatch(session) ?? 1;
  const bytes = session.outputs.map(({ shape }) => {
    const dims = shape.map((dim) => (typeof dim === 'number' ? dim : (sizes.get(dim) ?? Number.NaN)));
    return (FLOAT_BYTES * numel(dims)) / rows;
  });
  return bytes.every(Number.isFinite) ? bytes : null;
}

/** The same by a run of the first rows, which keeps no value longer than the model needs it. */
async function measuredBytes(
  model: OnnxModel,
  values: readonly string[],
  probes: Probes,
  options: ObserveOptions,
): Promise<number[]> {
  return withExposed(exposing(model, readers('Size', values, 'size')), options, async (session) => {
    const [batch] = rowBatches(session, probes, 1);
    const results = await session.run(batchFeeds(probes.feeds, batch));
    return values.map((_, i) => (FLOAT_BYTES * floatsOf(results.get(readerOf(i, 'size'))!)[0]) / batch.length);
  });
}

/** Values that are counted in the same runs. */
interface ValueGroup {
  readonly values: string[];
  /** Bytes that they take for one row. */
  rowBytes: number;
}

function groupsOf(values: readonly string[], bytes: readonly number[]): ValueGroup[] {
  const groups: ValueGroup[] = [];
  for (const [i, value] of values.entries()) {
    const last = groups.at(-1);
    const group = last && last.rowBytes + bytes[i] <= GROUP_BYTES ? last : { values: [], rowBytes: 0 };
    if (group !== last) groups.push(group);
    group.values.push(value);
    group.rowBytes += bytes[i];
  }
  return groups;
}

const readerOf = (value: number, suffix: string): string => `observed.${value}.${suffix}`;

/** A node that reads a value; those that reduce leave one number. */
const reader = (opType: string, value: string, i: number, suffix: string): NodeProto => ({
  opType,
  name: readerOf(i, suffix),
  input: [value],
  output: [readerOf(i, suffix)],
  attribute: opType.startsWith('Reduce') ? [intAttribute('keepdims', 0)] : [],
});

const readers = (opType: string, values: readonly string[], suffix: string): NodeProto[] =>
  values.map((value, i) => reader(opType, value, i, suffix));

/**
 * The model with more nodes, and their results as its only outputs. The nodes stand in reverse: onnxruntime runs first what the
 * last of them needs, so that each runs as soon as it can, and no value is kept for it.
 */
function exposing(model: OnnxModel, nodes: readonly NodeProto[]): OnnxModel {
  const output: ValueInfoProto[] = nodes.map(({ opType, output: [name] }) => ({
    name,
    type: { tensorType: { elemType: opType === 'Size' ? DATA_TYPE.INT64 : DATA_TYPE.FLOAT } },
  }));
  const { graph } = model;
  return { ...model, metadataProps: [], graph: { ...graph, node: [...graph.node, ...nodes.toReversed()], output } };
}

async function withExposed<T>(
  model: OnnxModel,
  { child, threads, path }: ObserveOptions,
  use: (session: RemoteSession) => Promise<T>,
): Promise<T> {
  const run = (load: (process: ModelProcess) => Promise<RemoteSession>): Promise<T> =>
    withModelProcess(child, async (process) => use(await load(process)));
  const borrowed = await borrowWeights(model, path, STRUCTURE_BYTES);
  if (borrowed === null)
    return withTemporaryModel(model, (temporary) =>
      run((process) => process.load(temporary, { ...FEW_RUNS, threads })),
    );
  const { bytes, weightBytes, folder } = borrowed;
  return run((process) =>
    process.load(join(folder, basename(path)), { ...FEW_RUNS, threads, bytes }, bytes.byteLength + weightBytes),
  );
}
