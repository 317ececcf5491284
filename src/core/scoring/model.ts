import { availableParallelism } from 'node:os';
import { basename } from 'node:path';
import { hashFile } from '../bytes/hash.js';
import { withTemporaryFolder } from '../bytes/temporary-folder.js';
import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import { checkModel } from '../onnx/check.js';
import { type Cut, extractSubgraph } from '../onnx/extract.js';
import { manifestOf, TOKENIZER_KEY } from '../onnx/manifest.js';
import { isTextual, PAIR_EMBEDDINGS } from '../onnx/manifest-names.js';
import { metadataOf, type OnnxModel } from '../onnx/model.js';
import { openOnnx } from '../onnx/read.js';
import { writeTemporaryModel } from '../onnx/temporary-model.js';
import { ModelProcess, type ThreadSession } from '../runtime/child.js';
import { startAhead } from '../runtime/child-start.js';
import { CPU, type Device, type DeviceChoice, formatDevice } from '../runtime/device.js';
import { runtimeVersion } from '../runtime/ort.js';
import type { OptimizationLevel } from '../runtime/session.js';
import { contractOf, type ScoringContract } from '../samples/contract.js';

/** What a score was computed with; it stands beside every score. */
export interface RuntimeInfo {
  /** Of onnxruntime. */
  readonly version: string;
  readonly device: string;
  readonly threads: number;
  readonly optimization: OptimizationLevel;
}

export interface OpenModelOptions {
  /** Of a model without a manifest. */
  readonly contract?: ScoringContract;
  readonly device: DeviceChoice;
  /** Threads inside one operator; the cores by default. */
  readonly threads?: number;
  readonly optimization?: OptimizationLevel;
  /** Receives what is worth knowing, one sentence each. */
  readonly onWarning?: (warning: string) => void;
}

/** A model opened for scoring, cut in two where it is a pair file. */
export interface ScoringModel {
  /** Base name. */
  readonly file: string;
  readonly sha256: string;
  readonly contract: ScoringContract;
  readonly tokenizer: string | null;
  readonly runtime: RuntimeInfo;
  /** Item inputs to features; null for a pair file without named embeddings, whose head reads the inputs themselves. */
  readonly encoder: ThreadSession | null;
  /** Features of two items to a decision; null for an item file. */
  readonly head: ThreadSession | null;
  /** Ends the process of the sessions, once they have answered. */
  close(): Promise<void>;
}

/** What a process may take that runs somebody's model on somebody's items, beyond what their sizes explain. */
const SCORING_LIMITS = { memoryBytes: LIMITS.scoringMemoryBytes, processorMs: LIMITS.scoringProcessorMs };

/**
 * Opens a model for scoring, its sessions in a process of their own: whoever made it, it takes neither the memory nor the time
 * of this machine.
 * @throws HpsError as `openOnnx` and `openSession`; ONNX_UNSUPPORTED for a file without manifest or contract, or a head alone
 */
export async function openScoringModel(path: string, options: OpenModelOptions): Promise<ScoringModel> {
  const file = basename(path);
  const opened = openOnnx(path);
  const endUnused = startAhead();
  let host: ModelProcess | undefined;
  try {
    const { model, source, externalFiles } = opened;
    checkModel(model, file);
    const contract = options.contract ?? contractOf(manifestOf(model, file) ?? refuseForeign(file), file);
    const fileBytes = [source, ...externalFiles].reduce((sum, { byteLength }) => sum + byteLength, 0);
    host = new ModelProcess({ limits: SCORING_LIMITS, background: true });
    const sessions = await openSessions({ path, model, contract, host, fileBytes }, options);
    const { device } = (sessions.encoder ?? sessions.head)!;
    const { sha256 } = await hashFile(path);
    const opening = host;
    return {
      file,
      sha256,
      contract,
      tokenizer: metadataOf(model, TOKENIZER_KEY) ?? null,
      runtime: {
        version: runtimeVersion(),
        device: formatDevice(device),
        threads: threadsOf(options),
        optimization: options.optimization ?? 'all',
      },
      ...sessions,
      async close() {
        await Promise.allSettled([sessions.encoder?.release(), sessions.head?.release()]); // what failed was reported before
        await opening.close();
      },
    };
  } catch (error) {
    endUnused();
    await host?.close();
    throw error;
  } finally {
    opened.close();
  }
}

const threadsOf = ({ threads = availableParallelism() }: OpenModelOptions): number => threads;

function refuseForeign(file: string): never {
  throw new HpsError('ONNX_UNSUPPORTED', `${file}: carries no manifest, so nothing says what its inputs mean`, {
    hint: 'Give --contract FILE.yaml with its inputs and its score, or export the checkpoint with hpsv3.',
    details: { file },
  });
}

interface Source {
  readonly path: string;
  readonly model: OnnxModel;
  readonly contract: ScoringContract;
  readonly host: ModelProcess;
  /** Of all files of the model. */
  readonly fileBytes: number;
}

async function openSessions(
  source: Source,
  options: OpenModelOptions,
): Promise<Pick<ScoringModel, 'encoder' | 'head'>> {
  const { path, model, contract, host, fileBytes } = source;
  const config = { ...spinning(contract), ...contract.session };
  const { device, optimization } = options;
  const onFallback = (missing: Device, next: Device) => options.onWarning?.(fallback(missing, next));
  const open = (part: string) =>
    host.openThread(part, { device, threads: threadsOf(options), optimization, config, onFallback }, fileBytes);
  if (contract.mode === 'item') return { encoder: await open(path), head: null };
  if (!isCuttable(model)) return { encoder: null, head: await open(path) };
  // Open sessions have it all in memory.
  return withTemporaryFolder('parts', async (folder) => {
    const writePart = (name: string, cut: Cut): Promise<string> =>
      writeTemporaryModel({ ...extractSubgraph(model, cut), metadataProps: [] }, folder, `${name}.onnx`);
    const encoder = await open(
      await writePart('encoder', {
        inputs: contract.inputs.map(({ name }) => `left_${name}`),
        outputs: [PAIR_EMBEDDINGS[0]],
      }),
    );
    const outputs = model.graph.output.map(({ name }) => name);
    const part = await writePart('head', { inputs: [...PAIR_EMBEDDINGS], outputs });
    // A few small matrices: a second pool of threads, or the way to another device, would cost more than it saves.
    const head = await host.openThread(
      part,
      { device: CPU, threads: 1, optimization, config: contract.session },
      fileBytes,
    );
    return { encoder, head };
  });
}

/**
 * Where media are decoded beside inference, the runtime's threads must not wait by spinning: they would take the processor
 * from those that decode (measured with both on two cores: 8 % less time of the processors). It changes no result.
 */
const spinning = ({ inputs }: ScoringContract): Readonly<Record<string, string>> =>
  inputs.every(({ preprocess }) => isTextual(preprocess.kind)) ? {} : { 'session.intra_op.allow_spinning': '0' };

const isCuttable = ({ graph }: OnnxModel): boolean =>
  PAIR_EMBEDDINGS.every((name) => graph.valueInfo.some((info) => info.name === name));

const fallback = (missing: Device, next: Device): string =>
  `Device ${formatDevice(missing)} is not available here: running on ${formatDevice(next)}.`;
