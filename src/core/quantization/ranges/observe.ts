import { basename, join } from 'node:path';
import type { Probes } from '../../gate/probes.js';
import { batchFeeds, fixedBatch } from '../../gate/rows.js';
import { borrowWeights } from '../../onnx/borrow.js';
import {
  type AttributeProto,
  DATA_TYPE,
  intAttribute,
  intsAttribute,
  type NodeProto,
  type OnnxModel,
  opsetOf,
  type TensorProto,
  type ValueInfoProto,
} from '../../onnx/model.js';
import { withTemporaryModel } from '../../onnx/temporary-model.js';
import type { ModelProcess, RemoteSession } from '../../runtime/child.js';
import type { Session } from '../../runtime/session.js';
import type { TallyKinds } from '../../runtime/tally.js';
import { floatsOf } from '../../runtime/value.js';
import { BinCounter } from '../../tensor/bins.js';
import { numel } from '../../tensor/shape.js';
import { RowsAtOnce, rowBatches } from '../rows.js';
import { floats, ints64 } from '../tensors.js';
import type { ChannelRange } from './range.js';

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
  /** Where the model runs. */
  readonly child: ModelProcess;
  readonly threads?: number;
  /** May fall while the model runs. */
  readonly rowsAtOnce?: RowsAtOnce;
  /** The file that the model was read from. */
  readonly path: string;
  /**
   * Values that share a name share a range: what they hold is put together. The two sides of a pair must, or swapping them
   * would change more than the sign.
   */
  readonly keyOf: (value: string) => string;
  readonly onBatch?: () => void;
}

/** Scales of the channels of a value, with as many axes behind them. */
export interface PlacedScales {
  readonly scales: Float64Array;
  readonly trailing: number;
}

/** Where the channels of a value lie: this many of them, and as many axes behind. */
export interface ChannelPlace {
  readonly channels: number;
  readonly trailing: number;
}

/** What was seen of inner values. */
export interface Seen<T> {
  readonly byKey: ReadonlyMap<string, T>;
  /** How many elements a value has for one row, by value. */
  readonly elements: ReadonlyMap<string, number>;
}

/**
 * Extremes of inner values over all rows; NaN where a value is NaN or infinite. They are reduced inside the graph, so that
 * only a few numbers a channel and batch leave the process that runs the model.
 * @param placeOf - where the channels of a value lie that are told apart; of others all elements are put together
 */
export async function observeExtremes(
  model: OnnxModel,
  values: readonly string[],
  probes: Probes,
  options: ObserveOptions,
  placeOf: (value: string) => ChannelPlace | undefined = () => undefined,
): Promise<Seen<ChannelRange>> {
  const observed = new Map<string, { low: Float64Array; high: Float64Array; count: number }>();
  const elements = new Map<string, number>();
  const reducing = exposing(
    model,
    values.map((value, i) => reducers(value, i, opsetOf(model) ?? 0, placeOf(value))),
  );
  const kinds = new Map(
    values.flatMap((_, i) => READINGS.map(({ suffix, over }) => [readerOf(i, suffix), over] as const)),
  );
  const { folded, rows } = await withExposed(reducing, options, async (session) => {
    const rows = await tallyRows(session, probes, kinds, options.rowsAtOnce, options);
    return { rows, folded: (await session.tallies()).folded };
  });
  for (const [i, value] of values.entries()) {
    const [low, high, mean, [size]] = READINGS.map(({ suffix }) => folded.get(readerOf(i, suffix))!);
    const key = options.keyOf(value);
    const range = observed.get(key) ?? {
      low: new Float64Array(low.length),
      high: new Float64Array(low.length),
      count: 0,
    };
    observed.set(key, range);
    elements.set(value, size / rows);
    range.count += size / low.length;
    for (let c = 0; c < low.length; c++) {
      // The extremes may pass over a NaN; the mean cannot.
      const poison = mean[c] - mean[c];
      range.low[c] = Math.min(range.low[c], low[c]) + poison;
      range.high[c] = Math.max(range.high[c], high[c]) + poison;
    }
  }
  return { byKey: observed, elements };
}

/** Runs all rows, outputs put together in the process. @returns how many rows that was, those included that filled the last batch up */
async function tallyRows(
  session: RemoteSession,
  probes: Probes,
  kinds: TallyKinds,
  limit: { readonly most: number } | undefined,
  { onBatch }: ObserveOptions,
): Promise<number> {
  let rows = 0;
  for (const batch of rowBatches(session, probes, limit)) {
    await session.tally(batchFeeds(probes, batch), kinds);
    rows += batch.length;
    onBatch?.();
  }
  return rows;
}

const COPY = 'copy';
const SIZE = 'size';

/** What a value is reduced to at each run, and how runs are put together. */
const REDUCTIONS = [
  { opType: 'ReduceMin', suffix: 'min', over: 'min' },
  { opType: 'ReduceMax', suffix: 'max', over: 'max' },
  { opType: 'ReduceMean', suffix: 'mean', over: 'sum' },
] as const;
const READINGS = [...REDUCTIONS, { suffix: SIZE, over: 'sum' }] as const;

/**
 * Counts of inner values over all rows. The model runs once over the rows where the values of one row fit into memory
 * together, else once for each group of values that do; a group is counted in the process that runs the model.
 * @param scalesOf - what the channels of a value are divided by before they are counted
 */
export async function observeCounts(
  model: OnnxModel,
  values: readonly string[],
  probes: Probes,
  options: ObserveOptions,
  scalesOf: (value: string) => PlacedScales | undefined = () => undefined,
): Promise<Seen<BinCounter>> {
  const counters = new Map<string, BinCounter>();
  const elements = new Map<string, number>();
  const copies = (group: readonly string[]): OnnxModel =>
    exposing(
      model,
      group.map((value, i) => copier(value, i, scalesOf(value))),
    );
  const countGroup = async (session: RemoteSession, { values, rowBytes }: ValueGroup): Promise<void> => {
    const inGroup = Math.max(1, Math.floor(GROUP_BYTES / Math.max(1, rowBytes)));
    const { rowsAtOnce = new RowsAtOnce() } = options;
    const limit = {
      get most() {
        return Math.min(inGroup, rowsAtOnce.most);
      },
    };
    const outputs = values.map((_, i) => readerOf(i, COPY));
    const kinds = new Map(outputs.map((output) => [output, 'bins'] as const));
    const rows = await tallyRows(session, probes, kinds, limit, options);
    const { bins } = await session.tallies();
    for (const [i, value] of values.entries()) {
      const key = options.keyOf(value);
      const counter = counters.get(key) ?? new BinCounter();
      counters.set(key, counter);
      const own = bins.get(outputs[i])!;
      counter.merge(own);
      elements.set(value, own.counts.reduce((sum, count) => sum + count, 0) / rows);
    }
  };
  const left = await withExposed(copies(values), options, async (session) => {
    const bytes = shapedBytes(session, probes) ?? (await rowBytes(model, values, probes, options));
    const groups = groupsOf(values, bytes);
    if (groups.length > 1) return groups;
    for (const group of groups) await countGroup(session, group);
    return [];
  });
  for (const group of left) await withExposed(copies(group.values), options, (session) => countGroup(session, group));
  return { byKey: counters, elements };
}

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

/** Bytes that each value takes for one row, by a run of the first rows, which keeps no value longer than the model needs it. */
async function rowBytes(
  model: OnnxModel,
  values: readonly string[],
  probes: Probes,
  options: ObserveOptions,
): Promise<number[]> {
  return withExposed(exposing(model, values.map(sizer)), options, async (session) => {
    const [batch] = rowBatches(session, probes, { most: 1 });
    const results = await session.run(batchFeeds(probes, batch));
    return values.map((_, i) => (FLOAT_BYTES * floatsOf(results.get(readerOf(i, SIZE))!)[0]) / batch.length);
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

/** What is added to a graph to read a value. */
interface Reading {
  readonly nodes: readonly NodeProto[];
  readonly constants?: readonly TensorProto[];
  readonly outputs: readonly string[];
}

const node = (
  opType: string,
  input: readonly string[],
  output: string,
  attribute: AttributeProto[] = [],
): NodeProto => ({
  opType,
  name: output,
  input: [...input],
  output: [output],
  attribute,
});

/** Axes of a reduction are an input since this opset. */
const AXES_INPUT_OPSET = 18;

/** The extremes and the mean of a value: of all elements, or of each channel. */
function reducers(value: string, i: number, opset: number, place: ChannelPlace | undefined): Reading {
  const size = sizer(value, i);
  const outputs = [...REDUCTIONS.map(({ suffix }) => readerOf(i, suffix)), ...size.outputs];
  const scalar = intAttribute('keepdims', 0);
  if (place === undefined) {
    const nodes = REDUCTIONS.map(({ opType }, r) => node(opType, [value], outputs[r], [scalar]));
    return { nodes: [...nodes, ...size.nodes], outputs };
  }
  // As [elements, channels, elements], whatever the rank.
  const { channels, trailing } = place;
  const [shape, rows, axes] = ['shape', 'rows', 'axes'].map((name) => readerOf(i, name));
  const reduced = trailing === 0 ? [0] : [0, 2];
  const byInput = opset >= AXES_INPUT_OPSET;
  return {
    nodes: [
      node('Reshape', [value, shape], rows),
      ...REDUCTIONS.map(({ opType }, r) =>
        byInput
          ? node(opType, [rows, axes], outputs[r], [scalar])
          : node(opType, [rows], outputs[r], [scalar, intsAttribute('axes', reduced)]),
      ),
      ...size.nodes,
    ],
    constants: [ints64(shape, trailing === 0 ? [-1, channels] : [0, channels, -1]), ints64(axes, reduced)],
    outputs,
  };
}

/** A value itself, or its channels divided. */
function copier(value: string, i: number, placed: PlacedScales | undefined): Reading {
  const output = readerOf(i, COPY);
  if (placed === undefined) return { nodes: [node('Identity', [value], output)], outputs: [output] };
  const { scales, trailing } = placed;
  const name = readerOf(i, 'scales');
  const dims = [scales.length, ...new Array<number>(trailing).fill(1)];
  return {
    nodes: [node('Div', [value, name], output)],
    constants: [floats(name, dims, scales)],
    outputs: [output],
  };
}

const sizer = (value: string, i: number): Reading => {
  const output = readerOf(i, SIZE);
  return { nodes: [node('Size', [value], output)], outputs: [output] };
};

/**
 * The model with more nodes, and their results as its only outputs. The readings stand in reverse: onnxruntime runs first what the
 * last of them needs, so that each runs as soon as it can, and no value is kept for it.
 */
function exposing(model: OnnxModel, readings: readonly Reading[]): OnnxModel {
  const nodes = readings.toReversed().flatMap((each) => each.nodes);
  const constants = readings.flatMap((each) => each.constants ?? []);
  const kinds = new Map(nodes.map(({ opType, output: [name] }) => [name, opType]));
  const output: ValueInfoProto[] = readings.flatMap(({ outputs }) =>
    outputs.map((name) => ({
      name,
      type: { tensorType: { elemType: kinds.get(name) === 'Size' ? DATA_TYPE.INT64 : DATA_TYPE.FLOAT } },
    })),
  );
  const { graph } = model;
  return {
    ...model,
    metadataProps: [],
    graph: { ...graph, node: [...graph.node, ...nodes], initializer: [...graph.initializer, ...constants], output },
  };
}

async function withExposed<T>(
  model: OnnxModel,
  { child, threads, path }: ObserveOptions,
  use: (session: RemoteSession) => Promise<T>,
): Promise<T> {
  const run = async (session: RemoteSession): Promise<T> => {
    try {
      return await use(session);
    } finally {
      await session.release();
    }
  };
  const borrowed = await borrowWeights(model, path, STRUCTURE_BYTES);
  if (borrowed === null)
    return withTemporaryModel(model, async (temporary) => run(await child.load(temporary, { ...FEW_RUNS, threads })));
  const { bytes, weightBytes, folder } = borrowed;
  const options = { ...FEW_RUNS, threads, bytes };
  return run(await child.load(join(folder, basename(path)), options, bytes.byteLength + weightBytes));
}
