import { availableParallelism } from 'node:os';
import { basename } from 'node:path';
import { setImmediate as immediate } from 'node:timers/promises';
import { hashFile } from '../bytes/hash.js';
import type { Auxiliary } from '../data/rows.js';
import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import { checkModel } from '../onnx/check.js';
import { extractSubgraph } from '../onnx/extract.js';
import { manifestOf, TOKENIZER_KEY } from '../onnx/manifest.js';
import { isTextual, PAIR_EMBEDDINGS } from '../onnx/manifest-names.js';
import { DATA_TYPE, metadataOf, type NodeProto, type OnnxModel, subgraphsOf } from '../onnx/model.js';
import { type OnnxFile, openOnnx } from '../onnx/read.js';
import { ModelProcess, type ThreadSession } from '../runtime/child.js';
import { startAhead } from '../runtime/child-start.js';
import { CPU, type Device, type DeviceChoice, formatDevice } from '../runtime/device.js';
import { dequantizedBytes, keepsQuantized, leastCopies, machineMemory, WEIGHT_COPIES } from '../runtime/memory.js';
import { PROCESSOR_KEY } from '../runtime/processors.js';
import { runtimeVersion } from '../runtime/runtime-version.js';
import type { OptimizationLevel } from '../runtime/session.js';
import { SessionPool } from '../runtime/session-pool.js';
import { contractOf, type ScoringContract } from '../samples/contract.js';
import { headsOf } from './auxiliary.js';

/** What decides the digits of a score beside the model and its inputs. */
export interface RuntimeInfo {
  /** Of onnxruntime. */
  readonly version: string;
  readonly device: string;
  /**
   * Threads inside one operator: 1, whatever the machine has, since kernels that share their work among threads round by how many
   * there are. More only for a model that is too large for two copies in memory.
   */
  readonly threads: number;
  readonly optimization: OptimizationLevel;
}

export interface OpenModelOptions {
  /** Of a model without a manifest. */
  readonly contract?: ScoringContract;
  readonly device: DeviceChoice;
  /** Most sessions that run side by side, each with a copy of the weights; the cores by default. */
  readonly threads?: number;
  /** Bytes of memory in half of which all sessions should have room. */
  readonly maxMemory?: number;
  readonly optimization?: OptimizationLevel;
  /** Runs the model in segments of so many bytes of weights, each read anew for every batch: for one that does not fit into memory. */
  readonly segmentBytes?: number;
  /** Receives what is worth knowing, one sentence each. */
  readonly onWarning?: (warning: string) => void;
  /** Called while the sessions load: what else scoring needs can get ready beside that. */
  readonly onContract?: (contract: ScoringContract, tokenizer: string | null) => void;
}

/** A model opened for scoring, cut in two where it is a pair file. */
export interface ScoringModel {
  /** Base name. */
  readonly file: string;
  readonly sha256: string;
  readonly contract: ScoringContract;
  readonly tokenizer: string | null;
  readonly runtime: RuntimeInfo;
  /** Whether rows of one batch change each other, as where ranges are measured over all of it: such rows run alone. */
  readonly mixesRows: boolean;
  /**
   * Tokens that keep a session as busy as any more would; null where only full batches do, as on a GPU, or where every batch reads the
   * weights anew.
   */
  readonly busyPositions: number | null;
  /** Item inputs to features; null for a pair file without named embeddings, whose head reads the inputs themselves. */
  readonly encoder: SessionPool | null;
  /** Features of two items to a decision; null for an item file. */
  readonly head: SessionPool | null;
  /** Heads beside the preference, of a file of items: not of another tool's, whose outputs may mean anything. */
  readonly auxiliary: readonly Auxiliary[];
  /** Ends the process of the sessions, once they have answered. */
  close(): Promise<void>;
}

/** What a process may take that runs somebody's model on somebody's items, beyond what their sizes explain. */
const SCORING_LIMITS = { memoryBytes: LIMITS.scoringMemoryBytes, processorMs: LIMITS.scoringProcessorMs };

/**
 * Opens a model for scoring, its sessions in a process of their own: whoever made it, it takes neither the memory nor the time
 * of this machine.
 * @throws HpsError as `openOnnx` and `openSession`; ONNX_UNSUPPORTED for a file without manifest or contract, or a head alone;
 *   FILE_UNREADABLE for one that is written to meanwhile
 */
export async function openScoringModel(path: string, options: OpenModelOptions): Promise<ScoringModel> {
  const file = basename(path);
  const opened = openOnnx(path);
  const endUnused = startAhead('thread');
  const pools: SessionPool[] = [];
  const failed = new AbortController();
  let host: ModelProcess | undefined;
  const close = async (): Promise<void> => {
    await Promise.allSettled(pools.map((pool) => pool.release())); // what failed was reported before
    await host?.close();
    await Promise.allSettled(pools.map((pool) => pool.settled()));
    opened.close(); // not before: every session that is opened later reads the weights again
  };
  try {
    const { model } = opened;
    checkModel(model, file);
    const contract = options.contract ?? contractOf(manifestOf(model, file) ?? refuseForeign(file), file);
    if (options.segmentBytes === undefined) assertFits(opened, file, options);
    const plan = options.segmentBytes === undefined ? planSessions(heldBytes(opened, contract), options) : ONE_BY_ONE;
    host = new ModelProcess({ limits: SCORING_LIMITS, background: true });
    if (metadataOf(model, PROCESSOR_KEY) === 'vnni') await assertSumsAreExact(host, file);
    const setting = { opened, host, contract, plan, options };
    const openPools = async (): Promise<void> => {
      for (const part of partsOf(model, contract)) pools.push(await openPool(part, setting));
    };
    const tokenizer = metadataOf(model, TOKENIZER_KEY) ?? null;
    const [{ sha256 }] = await Promise.all([
      hashFile(path, { signal: failed.signal }),
      openPools(),
      immediate().then(() => options.onContract?.(contract, tokenizer)), // once the process has been asked
    ]);
    const [{ device }] = pools;
    if (plan.threads > 1 && device.kind === 'cpu') options.onWarning?.(tooLarge(file, plan));
    assertUnchanged(opened);
    const isItem = contract.mode === 'item';
    return {
      file,
      sha256,
      contract,
      tokenizer,
      runtime: {
        version: runtimeVersion(),
        device: formatDevice(device),
        threads: plan.threads,
        optimization: options.optimization ?? 'all',
      },
      mixesRows: mixesRows(model),
      busyPositions:
        device.kind === 'cpu' && options.segmentBytes === undefined && !keepsQuantized(contract.session)
          ? busyPositions(heldBytes(opened, contract), plan)
          : null,
      encoder: isItem || pools.length === 2 ? pools[0] : null,
      head: isItem ? null : pools[pools.length - 1],
      auxiliary: isItem && !contract.score ? headsOf(pools[0].outputs) : [],
      close,
    };
  } catch (error) {
    failed.abort();
    endUnused();
    await close();
    throw error;
  }
}

function refuseForeign(file: string): never {
  throw new HpsError('ONNX_UNSUPPORTED', `${file}: carries no manifest, so nothing says what its inputs mean`, {
    hint: 'Give `contract` FILE.yaml, which `hpsv3 contract init` drafts from the graph, or export the checkpoint with hpsv3.',
    details: { file },
  });
}

/** Float16 in float32: weights that a session turns into others. */
const isHalf = ({ model }: OnnxFile): boolean =>
  model.graph.initializer.some(({ dataType }) => dataType === DATA_TYPE.FLOAT16);

/** Refuses, before anything is loaded, a model whose weights take more than all memory there is. */
function assertFits(opened: OnnxFile, file: string, { device }: OpenModelOptions): void {
  if (device.kind === 'cuda' || device.kind === 'webgpu') return;
  const bytes = bytesOf(opened);
  const needed = bytes * leastCopies(isHalf(opened));
  const memory = machineMemory();
  if (needed <= memory) return;
  throw new HpsError(
    'MODEL_OUT_OF_MEMORY',
    `${file}: ${gib(bytes)} GiB of weights take ${gib(needed)} GiB in memory, and this machine has ${gib(memory)}`,
    {
      hint: 'Run it in segments (`segments`), in large batches: each batch reads all weights. Or quantize it with `hpsv3 quantize`.',
      details: { file, bytes, neededBytes: needed, memoryBytes: memory },
    },
  );
}

const gib = (bytes: number): string => (bytes / 2 ** 30).toFixed(1);

interface SessionPlan {
  /** Most sessions that run side by side. */
  readonly sessions: number;
  /** Threads inside one operator of each. */
  readonly threads: number;
}

/** Of a model in segments: all cores work on one batch. */
const ONE_BY_ONE: SessionPlan = { sessions: 1, threads: availableParallelism() };

/** One thread for each session, and a session for each core, as far as half of the memory holds their weights. */
function planSessions(
  weightBytes: number,
  { device, threads = availableParallelism(), maxMemory = Number.POSITIVE_INFINITY }: OpenModelOptions,
): SessionPlan {
  if (device.kind === 'cuda' || device.kind === 'webgpu') return { sessions: 1, threads: 1 };
  const copiesIn = (memory: number): number => Math.floor(memory / 2 / (WEIGHT_COPIES * weightBytes));
  const copies = copiesIn(machineMemory());
  if (copies < 2) return { sessions: 1, threads };
  // The threads inside an operator decide digits: they are by the machine alone.
  return { sessions: Math.max(1, Math.min(threads, copies, copiesIn(maxMemory))), threads: 1 };
}

const bytesOf = ({ source, externalFiles }: OnnxFile): number =>
  [source, ...externalFiles].reduce((sum, { byteLength }) => sum + byteLength, 0);

/** What memory grows with: the files, and quantized weights as the floats that a session makes of them. */
const heldBytes = (opened: OnnxFile, { session }: ScoringContract): number =>
  bytesOf(opened) + dequantizedBytes(opened.model, session);

/**
 * Rows of a matrix product that one thread computes as fast, for each of them, as any more: its kernels take a dozen at a time
 * (BERT-base with AVX-512: 160 rows, or 2 texts, take as long a text as 16 do; one by itself a seventh more).
 */
const BUSY_ROWS = 160;
/** Parameters times tokens that take long enough, some 10 ms, for the way of a batch to its session not to count. */
const BUSY_PRODUCTS = 1e9;
const BYTES_PER_PARAMETER = 4;

const busyPositions = (weightBytes: number, { threads }: SessionPlan): number =>
  Math.max(BUSY_ROWS * threads, Math.ceil(BUSY_PRODUCTS / (weightBytes / BYTES_PER_PARAMETER)));

const tooLarge = (file: string, { threads }: SessionPlan): string =>
  `${file} is too large for two copies in memory: one runs with ${threads} threads, and the last digits of its scores may depend on their number.`;

const inSegments = (file: string, segments: number, bytes: number): string =>
  `${file} is run in ${segments} segments: every batch reads its ${gib(bytes)} GiB of weights anew, so that large batches pay.`;

/** What runs as a session of its own: the model as it is, or a part that is cut out. */
interface Part {
  /** Null for the whole file. */
  readonly model: OnnxModel | null;
  readonly isHead: boolean;
}

async function assertSumsAreExact(host: ModelProcess, file: string): Promise<void> {
  const { sumsAreCutOff } = await import('../runtime/integer-sums.js');
  if (!(await sumsAreCutOff(host))) return;
  throw new HpsError(
    'BACKEND_UNAVAILABLE',
    `${file}: was quantized for processors with VNNI, and this one cuts its sums off`,
    {
      hint: 'Quantize the float model again for any processor (`processor: any`), or score on a processor with VNNI.',
      details: { file, processor: 'vnni' },
    },
  );
}

/** Encoder before head. A pair file without named embeddings cannot be cut. */
function partsOf(model: OnnxModel, contract: ScoringContract): readonly Part[] {
  if (contract.mode === 'item' || !isCuttable(model)) return [{ model: null, isHead: false }];
  const cut = (inputs: readonly string[], outputs: readonly string[]): OnnxModel => ({
    ...extractSubgraph(model, { inputs, outputs }),
    metadataProps: [],
  });
  const inputs = contract.inputs.map(({ name }) => `left_${name}`);
  const outputs = model.graph.output.map(({ name }) => name);
  return [
    { model: cut(inputs, [PAIR_EMBEDDINGS[0]]), isHead: false },
    { model: cut(PAIR_EMBEDDINGS, outputs), isHead: true },
  ];
}

const isCuttable = ({ graph }: OnnxModel): boolean =>
  PAIR_EMBEDDINGS.every((name) => graph.valueInfo.some((info) => info.name === name));

interface PoolSetting {
  readonly opened: OnnxFile;
  readonly host: ModelProcess;
  readonly contract: ScoringContract;
  readonly plan: SessionPlan;
  readonly options: OpenModelOptions;
}

async function openPool(
  { model, isHead }: Part,
  { opened, host, contract, plan, options }: PoolSetting,
): Promise<SessionPool> {
  const { path, name: file } = opened.source;
  const { optimization, onWarning, segmentBytes } = options;
  if (segmentBytes !== undefined && !isHead) {
    const setting = {
      optimization: optimization ?? 'basic',
      threads: plan.threads,
      config: contract.session,
      segmentBytes,
    };
    const { SegmentedSession } = await import('../runtime/segmented.js');
    const session = SegmentedSession.of(model ?? opened.model, path, host, setting);
    onWarning?.(inSegments(file, session.count, bytesOf(opened)));
    const none = (): void => undefined;
    return new SessionPool(Object.assign(session, { device: CPU }), {
      open: () => Promise.reject(new RangeError('one is enough')),
      most: 1,
      onRefused: none,
    });
  }
  // A head is a few small matrices: a second copy, or the way to another device, would cost more than it saves.
  const { sessions, threads } = isHead ? { sessions: 1, threads: 1 } : plan;
  const config = { ...(threads > 1 ? spinning(contract) : {}), ...contract.session };
  const onFallback = (missing: Device, next: Device) => onWarning?.(fallback(missing, next));
  const open = async (device: DeviceChoice, another: boolean): Promise<ThreadSession> => {
    const load = (from: string): Promise<ThreadSession> =>
      host.openThread(
        from,
        { device, threads, optimization, config, onFallback, another },
        heldBytes(opened, contract),
      );
    assertUnchanged(opened);
    const session = await (model ? loadCut(model, load, file) : load(path));
    try {
      assertUnchanged(opened);
      return session;
    } catch (error) {
      await session.release();
      throw error;
    }
  };
  const first = await open(isHead ? CPU : options.device, false);
  return new SessionPool(first, {
    open: () => open(first.device, true),
    most: first.device.kind === 'cpu' ? sessions : 1,
    onRefused: ({ message }, count) => onWarning?.(`${file} runs in ${count} of ${sessions} sessions: ${message}.`),
  });
}

/** Loads what is cut out of a file, by a copy of it. */
async function loadCut<T>(model: OnnxModel, load: (path: string) => Promise<T>, file: string): Promise<T> {
  const { withTemporaryModel } = await import('../onnx/temporary-model.js');
  return withTemporaryModel(model, load, file);
}

/** Sessions of one model must have the same weights, however late they are opened. */
function assertUnchanged({ source, externalFiles }: OnnxFile): void {
  const changed = [source, ...externalFiles].find((file) => !file.isUnchanged());
  if (!changed) return;
  throw new HpsError('FILE_UNREADABLE', `${changed.name}: was replaced or written to while it was in use`, {
    hint: 'Load the model again once its file is complete.',
    details: { file: changed.name },
  });
}

/**
 * Where media are decoded beside inference, the runtime's threads must not wait by spinning: they would take the processor
 * from those that decode (measured with both on two cores: 8 % less time of the processors). It changes no result.
 */
const spinning = ({ inputs }: ScoringContract): Readonly<Record<string, string>> =>
  inputs.every(({ preprocess }) => isTextual(preprocess.kind)) ? {} : { 'session.intra_op.allow_spinning': '0' };

/** Operators that choose the scale of a value by all of it, and so of a batch by all its rows: DynamicQuantizeLinear and its fused forms. */
const MEASURES_BATCH = /^DynamicQuantize/;

/** Whether rows of one batch change each other. */
export function mixesRows({ graph, functions }: OnnxModel): boolean {
  const mixes = (nodes: readonly NodeProto[]): boolean =>
    nodes.some((node) => MEASURES_BATCH.test(node.opType) || [...subgraphsOf(node)].some((inner) => mixes(inner.node)));
  return mixes(graph.node) || (functions ?? []).some(({ node }) => mixes(node));
}

const fallback = (missing: Device, next: Device): string =>
  `Device ${formatDevice(missing)} is not available here: running on ${formatDevice(next)}.`;
