import { basename, join } from 'node:path';
import type { Probes } from '../gate/probes.js';
import { batchFeeds } from '../gate/rows.js';
import { borrowWeights } from '../onnx/borrow.js';
import { encodeModel } from '../onnx/encode.js';
import { DATA_TYPE, intAttribute, type NodeProto, type OnnxModel, type ValueInfoProto } from '../onnx/model.js';
import { withTemporaryModel } from '../onnx/temporary-model.js';
import { type ModelProcess, type ModelProcessOptions, type RemoteSession, withModelProcess } from '../runtime/child.js';
import { floatsOf } from '../runtime/value.js';
import { Histogram } from './histogram.js';
import { isFiniteRange, type Range, widen } from './range.js';
import { rowBatches } from './rows.js';

/** Activations that one run keeps for counting: batches are made as small as that takes, then values are taken in groups. */
const GROUP_BYTES = 128 * 2 ** 20;
/** What a model without its weights may take; with more, as where weights were computed anew, it goes by a file. */
const STRUCTURE_BYTES = 32 * 2 ** 20;
/**
 * For a handful of runs: weights are read where the file has them, not copied into a form that only many runs pay for, and
 * threads do not wait in a loop for the next operator, which costs what else the machine does.
 */
const FEW_RUNS = {
  optimization: 'basic',
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

/** What calibration saw of a value, or of several with one key. */
export interface Observed {
  /** With NaN where a value is NaN or infinite. */
  readonly range: Range;
  /** Elements of one row, at most. */
  readonly elements: number;
}

/**
 * Extremes of inner values over all rows, by key. They are reduced inside the graph, so that only three numbers a value and
 * batch leave the process that runs the model.
 */
export async function observeExtremes(
  model: OnnxModel,
  values: readonly string[],
  probes: Probes,
  options: ObserveOptions,
): Promise<Map<string, Observed>> {
  const reduced = values.flatMap((value, i) =>
    REDUCTIONS.map(({ opType, suffix, keepdims }) => ({
      opType,
      name: `observed.${i}.${suffix}`,
      input: [value],
      output: [`observed.${i}.${suffix}`],
      attribute: keepdims ? [intAttribute('keepdims', 0)] : [],
    })),
  );
  const observed = new Map<string, Observed>();
  await runExposed(exposing(model, reduced), probes, options, async (session, feeds, rows) => {
    const results = await session.run(feeds);
    const outputs = (name: string): Float32Array => floatsOf(results.get(name)!);
    for (const [i, value] of values.entries()) {
      const [low, high, mean, elements] = REDUCTIONS.map(({ suffix }) => outputs(`observed.${i}.${suffix}`)[0]);
      const key = options.keyOf(value);
      const known = observed.get(key);
      // The extremes may pass over a NaN; the mean cannot.
      const seen = Number.isFinite(mean) ? widen({ low, high }, { low, high }) : { low: Number.NaN, high: Number.NaN };
      observed.set(key, {
        range: known ? widen(known.range, seen) : seen,
        elements: Math.max(known?.elements ?? 0, elements / rows),
      });
    }
  });
  return observed;
}

const REDUCTIONS = [
  { opType: 'ReduceMin', suffix: 'min', keepdims: true },
  { opType: 'ReduceMax', suffix: 'max', keepdims: true },
  { opType: 'ReduceMean', suffix: 'mean', keepdims: true },
  { opType: 'Size', suffix: 'size', keepdims: false },
] as const;

/** Histograms over the extremes, by key; memory is a group of values of one batch, in the process of the model. */
export async function observeHistograms(
  model: OnnxModel,
  values: readonly string[],
  extremes: ReadonlyMap<string, Observed>,
  probes: Probes,
  options: ObserveOptions,
): Promise<Map<string, Histogram>> {
  const histograms = new Map<string, Histogram>();
  const usable = values.filter((value) => {
    const seen = extremes.get(options.keyOf(value))?.range;
    return (
      seen !== undefined && isFiniteRange(seen) && seen.high - seen.low > 0 && Number.isFinite(seen.high - seen.low)
    );
  });
  for (const value of usable) {
    const key = options.keyOf(value);
    if (!histograms.has(key)) histograms.set(key, new Histogram(extremes.get(key)!.range));
  }
  const bytesOf = (value: string): number => 4 * (extremes.get(options.keyOf(value))?.elements ?? 0);
  const rowBytes = usable.reduce((sum, value) => sum + bytesOf(value), 0);
  const most = Math.max(1, Math.floor(GROUP_BYTES / Math.max(1, rowBytes)));
  for (const group of groupsOf(usable, bytesOf)) {
    const copies = group.map((value, i) => ({
      opType: 'Identity',
      name: `observed.${i}`,
      input: [value],
      output: [`observed.${i}`],
      attribute: [],
    }));
    const histogramOf = (i: number): Histogram => histograms.get(options.keyOf(group[i]))!;
    const bins = new Map(group.map((_, i) => [`observed.${i}`, histogramOf(i).bins]));
    const take = async (session: RemoteSession, feeds: Probes['feeds']): Promise<void> => {
      const counts = await session.count(feeds, bins);
      for (const i of group.keys()) histogramOf(i).addCounts(counts.get(`observed.${i}`)!);
    };
    await runExposed(exposing(model, copies), probes, { ...options, most }, take);
  }
  return histograms;
}

function groupsOf(values: readonly string[], bytesOf: (value: string) => number): string[][] {
  const groups: string[][] = [];
  let room = 0;
  for (const value of values) {
    const bytes = bytesOf(value);
    if (groups.length === 0 || bytes > room) {
      groups.push([]);
      room = GROUP_BYTES;
    }
    groups[groups.length - 1].push(value);
    room -= bytes;
  }
  return groups;
}

/** The model with more nodes, and their results as its only outputs. */
function exposing(model: OnnxModel, nodes: readonly NodeProto[]): OnnxModel {
  const output: ValueInfoProto[] = nodes.map(({ opType, output: [name] }) => ({
    name,
    type: { tensorType: { elemType: opType === 'Size' ? DATA_TYPE.INT64 : DATA_TYPE.FLOAT } },
  }));
  const { graph } = model;
  return { ...model, metadataProps: [], graph: { ...graph, node: [...graph.node, ...nodes], output } };
}

async function runExposed(
  model: OnnxModel,
  probes: Probes,
  { child, threads, path, onBatch, most }: ObserveOptions & { readonly most?: number },
  take: (session: RemoteSession, feeds: Probes['feeds'], rows: number) => Promise<void>,
): Promise<void> {
  const run = (load: (process: ModelProcess) => Promise<RemoteSession>): Promise<void> =>
    withModelProcess(child, async (process) => {
      const session = await load(process);
      for (const batch of rowBatches(session, probes, most)) {
        await take(session, batchFeeds(probes.feeds, batch), batch.length);
        onBatch?.();
      }
    });
  const borrowed = await borrowWeights(model, path, STRUCTURE_BYTES);
  if (borrowed === null)
    return withTemporaryModel(model, (temporary) =>
      run((process) => process.load(temporary, { ...FEW_RUNS, threads })),
    );
  const { bytes, folder } = borrowed;
  await run((process) =>
    process.load(join(folder, basename(path)), { ...FEW_RUNS, threads, bytes }, encodeModel(model).byteLength),
  );
}
