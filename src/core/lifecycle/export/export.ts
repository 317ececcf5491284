import { basename } from 'node:path';
import {
  type Architecture,
  type ArchitectureExporter,
  type Contract,
  type ExportRequest,
  type ModelSection,
  parseOptions,
} from '../../architectures/architecture.js';
import { type FamilySource, loadFamily } from '../../architectures/family-file.js';
import { type HeadFile, readHead, withHeadFile } from '../../architectures/head-file.js';
import { chooseArchitecture } from '../../architectures/registry.js';
import { withAtomicOutput } from '../../bytes/output.js';
import { isMounted } from '../../bytes/source.js';
import type { Checkpoint } from '../../checkpoint/checkpoint.js';
import { openCheckpoint } from '../../checkpoint/open.js';
import { DEFAULT_GATE, DEFAULT_SEED, type Filled, filled } from '../../defaults.js';
import { formatDocument } from '../../documents/define.js';
import { readWhole } from '../../documents/read-whole.js';
import { HpsError } from '../../errors.js';
import { type Budget, GOLDEN_ATOL } from '../../gate/budget.js';
import { reportOff } from '../../gate/off.js';
import type { GateOptions, GateReference } from '../../gate/options.js';
import type { GateLevel, GateReport } from '../../gate/report.js';
import {
  type AddressKeys,
  type RemoteFileOptions,
  type RemoteReport,
  type Sources,
  withAddresses,
} from '../../hub/with-addresses.js';
import { LIMITS } from '../../limits.js';
import { assertTokenizes } from '../../media/text/tokenizer.js';
import { GraphBuilder } from '../../onnx/builder.js';
import { OPSETS } from '../../onnx/graph-core.js';
import type { LineageStep, Manifest } from '../../onnx/manifest.js';
import { type Modality, type Mode, TOKENIZER_KEY } from '../../onnx/manifest-names.js';
import { manifestSchemaFor } from '../../onnx/manifest-schema.js';
import type { OnnxModel } from '../../onnx/model.js';
import { foldAffineChains } from '../../onnx/passes/fold-affine.js';
import { foldBatchNorm } from '../../onnx/passes/fold-batch-norm.js';
import { foldConstants } from '../../onnx/passes/fold-constants.js';
import { readTokenizer, type Tokenizer, tokenizerBeside, withTokenizer } from '../../onnx/tokenizer-file.js';
import { hashAhead, type StepInput, settled, startLineage } from '../../release/lineage.js';
import { assertReleasable, ModelRelease } from '../../release/model-release.js';
import { type Run, runOf } from '../../run.js';
import { byteLength, verifyUnread } from '../../tensor/tensor.js';
import { TOOL } from '../../version.js';

export interface ExportOptions extends Run {
  readonly checkpoint: string;
  readonly out: string;
  /** Path of the state dict inside a nested checkpoint. */
  readonly key?: string;
  /** A tokenizer.json; by default the one beside the checkpoint, where the modality has text. */
  readonly tokenizer?: string;
  /** 14 to 21. */
  readonly opset?: number;
  /** The first that the checkpoint has, where omitted. */
  readonly modality?: Modality;
  readonly mode?: Mode;
  /** Id of an architecture; recognised by the tensors where omitted. */
  readonly arch?: string;
  /** A family from outside the package: the path of a module, whose code is run, or the architecture itself. */
  readonly family?: FamilySource;
  readonly config?: ModelSection;
  /** Of the weights; inputs and outputs stay float32. */
  readonly dtype?: 'fp32' | 'fp16';
  /** Between the layers of a score head. */
  readonly activation?: 'none' | 'relu';
  /** A score head in a file of its own, over the embeddings of the checkpoint. */
  readonly headFile?: string;
  /** What is done to an embedding before the head reads it; as the published head of these names does where omitted, else nothing. */
  readonly headNormalize?: 'none' | 'l2';
  /** LoRA adapter to merge into the checkpoint: its folder, or the file of its weights. */
  readonly adapter?: string;
  /** Which of several labels of a classifier is the score, by name or number. */
  readonly outputLabel?: string;
  /** How pictures are prepared, by the names the architecture has for it; as the checkpoint's files say where omitted. */
  readonly preprocess?: string;
  /** File of the text that prompts are put into. */
  readonly promptTemplate?: string;
  /** Pixels that pictures of any size are resized to. */
  readonly pixelBudget?: string;
  /** Inputs and outputs of the reference implementation (safetensors) to compare with. */
  readonly golden?: string;
  /** Largest accepted |exported - golden|; by the checkpoint's dtype where omitted. */
  readonly atol?: number;
  readonly gate?: GateLevel;
  readonly budget?: Budget;
  readonly seed?: number;
  /** Fold batch norms and affine chains; gives up the way back to the checkpoint's names. */
  readonly optimize?: boolean;
  /** Weights in `OUT.data`; always so above 2 GiB. */
  readonly externalData?: boolean;
  /** Writes the scores of seeded inputs as they are here to this file, for `recorded` of `verify` and `serve` elsewhere. */
  readonly record?: string;
  /** Accept NaN and infinities among the weights. */
  readonly allowNonfinite?: boolean;
  /** Replace `out`. */
  readonly force?: boolean;
  /** Check everything, write nothing; of files on other machines, tell what would be fetched. */
  readonly dryRun?: boolean;
  /** How files on other machines are reached, where an option names one: hf://, https://, s3://. */
  readonly remote?: RemoteFileOptions;
}

/** The options that may name files on other machines. */
const ADDRESSES: AddressKeys<ExportOptions> = {
  checkpoints: ['checkpoint', 'adapter', 'headFile', 'tokenizer', 'golden', 'promptTemplate'],
};

export const EXPORT_DEFAULTS = {
  opset: 14,
  mode: 'item',
  dtype: 'fp32',
  gate: DEFAULT_GATE,
  seed: DEFAULT_SEED,
  optimize: false,
  externalData: false,
  allowNonfinite: false,
  force: false,
  dryRun: false,
} as const satisfies Partial<ExportOptions>;

type Settled = Filled<ExportOptions, typeof EXPORT_DEFAULTS>;

export interface ExportReport {
  /** Base name of the model. */
  readonly out: string;
  /** Null where nothing was written (`--dry-run`), as is `bytes`. */
  readonly sha256: string | null;
  readonly bytes: number | null;
  readonly externalData: { readonly name: string; readonly sha256: string; readonly bytes: number } | null;
  readonly opset: number;
  readonly architecture: string;
  readonly modality: Modality | null;
  readonly mode: Mode;
  readonly dtype: 'fp32' | 'fp16';
  readonly nodes: number;
  /** Elements of all weights in the file. */
  readonly parameters: number;
  readonly tensors: { readonly used: number; readonly ignored: Contract['ignored'] };
  readonly parity: { readonly golden: GateReport['parity']['golden'] };
  readonly gate: GateReport | null;
  /** Base name of the file that scores were recorded in. */
  readonly record?: string;
  /** As in the model, and of inputs on other machines where they lie, pinned. */
  readonly lineage: readonly ExportedStep[];
  /** What was read over the network, or would be; null where all files are of this machine. */
  readonly remote: RemoteReport | null;
  readonly warnings: readonly string[];
}

export type ExportedStep = Omit<LineageStep, 'inputs'> & {
  readonly inputs: readonly (LineageStep['inputs'][number] & {
    /** `hf://org/name@commit/model.safetensors`; absent for a file of this machine. */
    readonly source?: string;
  })[];
};

/**
 * Turns a checkpoint into a verified ONNX file. Weights stream from file to file; the target changes only when the gate passed.
 * @throws HpsError for a checkpoint that cannot be read or does not fit, NONFINITE_WEIGHTS, GATE_FAILED with the gate's report
 *   in `details`, and the OUTPUT_… codes
 */
export function exportModel(given: ExportOptions): Promise<ExportReport> {
  return withAddresses(given, ADDRESSES, exportAndRecord);
}

/** The scores are those of the file as it lies there, so they are recorded last. */
async function exportAndRecord(given: ExportOptions, sources: Sources): Promise<ExportReport> {
  const { record, dryRun, force = EXPORT_DEFAULTS.force, out, checkpoint, seed = EXPORT_DEFAULTS.seed } = given;
  if (record === undefined || dryRun) return exportFiles(given, sources);
  return withAtomicOutput(record, { force, inputs: [out, checkpoint] }, async (output) => {
    const report = await exportFiles(given, sources);
    const { recordScores } = await import('../../gate/recorded.js');
    const scores = await recordScores(out, { seed: `${seed}`, tool: TOOL, signal: given.signal });
    await output.writeFile(output.name, formatDocument(scores));
    return { ...report, record: output.name };
  });
}

async function exportFiles(given: ExportOptions, sources: Sources): Promise<ExportReport> {
  const options = filled(given, EXPORT_DEFAULTS);
  if (!OPSETS.includes(options.opset)) {
    throw new HpsError('OPSET_UNSUPPORTED', `opset ${options.opset} cannot be written`, {
      hint: `Choose \`opset\` ${OPSETS[0]} to ${OPSETS[OPSETS.length - 1]}; 14 runs everywhere.`,
      details: { opset: options.opset, supported: OPSETS },
    });
  }
  const architectures = options.family === undefined ? undefined : await loadFamily(options.family);
  const stop = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal;
  try {
    const begun = hashAhead([options.checkpoint], signal); // nothing takes longer
    const { checkpoint, head } = await openSources(options);
    let release: ModelRelease | null = null;
    try {
      if (!options.dryRun) release = await reserve(checkpoint, options);
      const architecture = chooseArchitecture(checkpoint, options.arch, architectures);
      const files = hashAhead(checkpoint.files, signal, begun);
      return await exportCheckpoint({ checkpoint, files, architecture, head, sources }, release, options);
    } finally {
      await release?.close();
      checkpoint.close();
    }
  } finally {
    stop.abort();
  }
}

/** The checkpoint, and the head from another file, its tensors beside those of the checkpoint. */
async function openSources(options: Settled): Promise<{ checkpoint: Checkpoint; head?: HeadFile }> {
  const encoder = await openAdapted(options);
  if (options.headFile === undefined) return { checkpoint: encoder };
  try {
    const head = await openCheckpoint(options.headFile);
    const told = { activation: options.activation, normalize: options.headNormalize };
    try {
      return {
        checkpoint: withHeadFile(encoder, head),
        head: readHead(head, basename(options.headFile), told),
      };
    } catch (error) {
      head.close();
      throw error;
    }
  } catch (error) {
    encoder.close();
    throw error;
  }
}

/** The checkpoint, with the adapter merged into it where there is one. */
async function openAdapted({ checkpoint: path, key, adapter }: Settled): Promise<Checkpoint> {
  const base = await openCheckpoint(path, { key });
  try {
    const { withAdapter, withOwnAdapters } = await import('../../checkpoint/lora.js');
    return adapter === undefined ? withOwnAdapters(base) : await withAdapter(base, adapter);
  } catch (error) {
    base.close();
    throw error;
  }
}

function reserve(checkpoint: Checkpoint, options: Settled): Promise<ModelRelease> {
  const { out, force, externalData, tokenizer, golden, family, promptTemplate } = options;
  const given = [tokenizer, golden, family, promptTemplate].filter((path) => typeof path === 'string');
  const inputs = [...checkpoint.files, ...given];
  return ModelRelease.reserve(out, { force, inputs, suffixes: externalData ? ['.data'] : [] });
}

interface Subject {
  readonly checkpoint: Checkpoint;
  /** Of the checkpoint, being hashed. */
  readonly files: readonly StepInput[];
  readonly architecture: Architecture;
  readonly head: HeadFile | undefined;
  readonly sources: Sources;
}

/** @param release - null where nothing is to be written */
async function exportCheckpoint(
  { checkpoint, files, architecture, head, sources }: Subject,
  release: ModelRelease | null,
  options: Settled,
): Promise<ExportReport> {
  const built = await buildModel(checkpoint, architecture, head, options);
  const given = lineageInputs(files, built, options);
  const isHere = !given.some(({ path }) => isMounted(path));
  if (release === null) sources.trustHashes();
  const lineage = startLineage({ step: 'export', options: lineageOptions(options, built) }, given, options.signal);
  const withSource = (step: LineageStep): ExportedStep => ({
    ...step,
    inputs: step.inputs.map((input, i) => {
      const source = sources.addressOf(given[i].path);
      return source === null ? input : { ...input, source };
    }),
  });
  const inputs = withTokenizer(built.contract.inputs, built.tokenizer, { asStated: built.contract.textAsStated });
  const manifest: Manifest = {
    schema: manifestSchemaFor(inputs),
    architecture: architecture.id,
    modality: built.contract.modality,
    mode: built.contract.mode,
    dtype: options.dtype,
    decision: built.contract.decision,
    inputs,
    outputs: [...built.contract.outputs],
    session: {},
    calibrator: null,
    ...(options.optimize ? {} : { parameters: Object.fromEntries(built.parameters) }),
    lineage: [],
  };
  const model = { ...built.model, metadataProps: tokenizerEntry(built.tokenizer) };
  const facts = {
    out: basename(options.out),
    opset: options.opset,
    architecture: architecture.id,
    modality: manifest.modality,
    mode: manifest.mode,
    dtype: options.dtype,
    nodes: model.graph.node.length,
    parameters: model.graph.initializer.reduce((sum, { dims }) => sum + dims.reduce((a, b) => a * b, 1), 0),
    tensors: { used: built.parameters.size, ignored: [...built.contract.ignored, ...checkpoint.ignored] },
    warnings: built.warnings,
  };
  const verify = (signal = options.signal) => verifyUnread(checkpoint.tensors, built.parameters, signal);
  if (release === null) {
    assertReleasable(model, facts.out);
    if (isHere) await verify();
    const nothing = { sha256: null, bytes: null, externalData: null, parity: { golden: null }, gate: null };
    // The hash of a file elsewhere is told by its host, or not at all: a dry run does not fetch it.
    const isKnown = given.every(({ path }) => sources.knowsHash(path));
    const steps = isKnown ? [withSource(await settled(lineage))] : [];
    return { ...facts, ...nothing, lineage: steps, remote: sources.report() };
  }
  const loading = loadGate(options.gate);
  const { externalData, allowNonfinite } = options;
  const order = isHere ? undefined : orderOf(checkpoint, built);
  const publish = (verified: () => Promise<void>) =>
    release.publish<ExportReport>(
      { model, manifest, lineage, externalData, allowNonfinite, order },
      {
        schema: 'export',
        judge: async ({ path }) => {
          await verified();
          return judge(await loading, path, checkpoint, options);
        },
        report: ({ sha256, bytes, externalData, gate, step }) => ({
          ...facts,
          sha256,
          bytes,
          externalData,
          parity: { golden: gate.parity.golden },
          gate,
          lineage: [withSource(step)],
          remote: sources.report(),
        }),
        ...runOf(options),
      },
    );
  if (isHere) return besides(verify, publish, options.signal);
  const isStated = given.every(({ path }) => sources.statesHash(path));
  return publish(async () => (isStated ? undefined : verify()));
}

/** Runs `use` while `work` goes on, which `use` can wait for; where `use` fails, `work` is stopped first. */
async function besides<T>(
  work: (signal: AbortSignal) => Promise<void>,
  use: (done: () => Promise<void>) => Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T> {
  const stop = new AbortController();
  const working = work(signal ? AbortSignal.any([signal, stop.signal]) : stop.signal);
  working.catch(() => undefined); // reported by whoever waits for it
  try {
    return await use(() => working);
  } finally {
    stop.abort();
    await working.catch(() => undefined);
  }
}

/** Weights in the order of the checkpoint's files: what comes over a network is then read from beginning to end. */
function orderOf(checkpoint: Checkpoint, { parameters }: BuiltModel): (initializer: string) => number | undefined {
  const places = new Map([...checkpoint.tensors.keys()].map((name, i) => [name, i]));
  return (initializer) => places.get(parameters.get(initializer)?.key ?? '');
}

interface BuiltModel {
  readonly model: OnnxModel;
  readonly contract: Contract;
  readonly parameters: GraphBuilder['parametersUsed'];
  readonly tokenizer: Tokenizer | null;
  readonly warnings: readonly string[];
  /** What the architecture was told. */
  readonly options: ExportRequest['options'];
  readonly head: HeadFile | undefined;
}

async function buildModel(
  checkpoint: Checkpoint,
  architecture: Architecture,
  head: HeadFile | undefined,
  options: Settled,
): Promise<BuiltModel> {
  const exporter = await architecture.load();
  if (head && !exporter.takesHead) {
    throw new HpsError('USAGE', `${architecture.label} makes no embeddings for a head of another file`, {
      hint: 'Leave `headFile` out.',
    });
  }
  const request: ExportRequest = {
    modality: options.modality,
    mode: options.mode,
    config: options.config?.model ?? null,
    configOrigin: options.config ? (options.config.name ?? 'config') : null,
    dtype: options.dtype === 'fp16' ? 'F16' : 'F32',
    options: architectureOptions(options, exporter, head),
    head,
  };
  parseOptions(architecture.id, exporter.options ?? {}, request.options);
  const graph = new GraphBuilder(options.opset, checkpoint.tensors);
  const contract = exporter.buildGraph(checkpoint, graph, request);
  const parameters = graph.parametersUsed;
  const built = graph.build(['hpsv3', contract.modality, contract.mode].filter(Boolean).join('-'));
  // Parameters stay apart and under their names unless folding them together was asked for.
  const folded = await foldConstants(
    built,
    options.optimize && !graph.storesHalves ? new Set() : new Set(parameters.keys()),
  );
  const model = options.optimize ? await foldAffineChains(await foldBatchNorm(folded)) : folded;
  const { tokenizer, warnings } = await findTokenizer(contract, options);
  const all = [...(contract.warnings ?? []), ...warnings];
  return { model, contract, parameters, tokenizer, warnings: all, options: request.options, head };
}

/** The tokenizer of a model that reads text: the one given, or tokenizer.json beside the checkpoint. */
async function findTokenizer(
  contract: Contract,
  options: Settled,
): Promise<{ tokenizer: Tokenizer | null; warnings: string[] }> {
  const text = contract.inputs.find(({ preprocess }) => preprocess.kind === 'text')?.preprocess;
  if (text?.kind !== 'text') {
    return {
      tokenizer: null,
      warnings: options.tokenizer ? ['The model reads no text: the tokenizer is not put into it.'] : [],
    };
  }
  const tokenizer =
    options.tokenizer === undefined ? tokenizerBeside(options.checkpoint) : readTokenizer(options.tokenizer);
  if (tokenizer === null)
    return {
      tokenizer: null,
      warnings: ['No tokenizer: the file takes token ids. Give `tokenizer` tokenizer.json to put one into it.'],
    };
  if (tokenizer.size > text.vocabSize) {
    throw new HpsError(
      'CONFIG_INVALID',
      `${tokenizer.name}: its ids reach ${tokenizer.size - 1}, the model embeds ${text.vocabSize}`,
      {
        hint: 'Give the tokenizer the model was trained with.',
        details: { tokenizer: tokenizer.name, ids: tokenizer.size, vocabSize: text.vocabSize },
      },
    );
  }
  try {
    await assertTokenizes(tokenizer);
  } catch (error) {
    // One that was not asked for is no reason to refuse: a program that knows its kind gives token ids.
    if (options.tokenizer !== undefined || (error as HpsError).code !== 'ONNX_UNSUPPORTED') throw error;
    return {
      tokenizer: null,
      warnings: [`${(error as HpsError).message}: it is left out, and the file takes token ids.`],
    };
  }
  return { tokenizer, warnings: [] };
}

const tokenizerEntry = (tokenizer: Tokenizer | null): OnnxModel['metadataProps'] =>
  tokenizer ? [{ key: TOKENIZER_KEY, value: tokenizer.json }] : [];

/** Options that some architectures take and others do not, by name. */
function architectureOptions(
  { activation, outputLabel, preprocess, promptTemplate, pixelBudget }: Settled,
  exporter: ArchitectureExporter,
  head: HeadFile | undefined,
): Record<string, string> {
  const published = exporter.options?.preprocess ? head?.published?.preprocess : undefined;
  const told = {
    activation: head ? undefined : activation,
    outputLabel,
    preprocess: preprocess ?? published,
    promptTemplate: promptTemplate === undefined ? undefined : readTemplate(promptTemplate),
    pixelBudget,
  };
  return Object.fromEntries(Object.entries(told).filter((entry): entry is [string, string] => entry[1] !== undefined));
}

function readTemplate(path: string): string {
  const { name, bytes } = readWhole(path, {
    limit: LIMITS.configBytes,
    what: 'a prompt template',
    hint: 'Give the text that the package puts prompts into.',
  });
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new HpsError('CONFIG_INVALID', `${name}: not valid UTF-8`, {
      hint: 'Give the text that the package puts prompts into.',
      details: { file: name },
      cause,
    });
  }
}

/** What changed the content, and nothing else: no paths, threads or figures. */
function lineageOptions(options: Settled, built: BuiltModel): LineageStep['options'] {
  return {
    opset: options.opset,
    modality: built.contract.modality,
    mode: built.contract.mode,
    dtype: options.dtype,
    optimize: options.optimize,
    ...(options.key === undefined ? {} : { key: options.key }),
    ...(options.adapter === undefined ? {} : { adapter: basename(options.adapter) }),
    ...built.options,
    ...(options.promptTemplate === undefined ? {} : { promptTemplate: basename(options.promptTemplate) }),
    ...(built.head
      ? { head: { name: built.head.name, activation: built.head.activation, normalize: built.head.normalize } }
      : {}),
    ...(options.config === undefined ? {} : { config: options.config.model }),
  };
}

function lineageInputs(
  files: readonly StepInput[],
  { tokenizer, contract }: BuiltModel,
  { family, promptTemplate }: Settled,
): StepInput[] {
  const given = [family, promptTemplate].filter((path) => typeof path === 'string');
  const further = new Set([...given, ...(contract.sources ?? []), ...(tokenizer?.files ?? [])]);
  return [...files, ...[...further].map((path) => ({ path }))];
}

type Gate = (options: GateOptions) => GateReport | Promise<GateReport>;

/** It takes a while to load what runs models: beside the writing, and only for a gate that does. */
const loadGate = async (level: GateLevel): Promise<Gate> =>
  level === 'off' ? reportOff : (await import('../../gate/gate.js')).runGate;

async function judge(runGate: Gate, candidate: string, checkpoint: Checkpoint, options: Settled): Promise<GateReport> {
  const golden = options.golden && options.gate !== 'off' ? await openCheckpoint(options.golden, {}) : null;
  try {
    const reference: GateReference = golden
      ? {
          kind: 'golden',
          file: basename(options.golden!),
          tensors: golden.tensors,
          atol: options.atol ?? atolFor(checkpoint, options.dtype),
        }
      : { kind: 'none' };
    return await runGate({
      candidate,
      reference,
      level: options.gate,
      budget: options.budget,
      seed: String(options.seed),
      ...runOf(options),
    });
  } finally {
    golden?.close();
  }
}

/** By the coarsest float dtype that holds a good part of the weights, or of the export itself. */
function atolFor(checkpoint: Checkpoint, dtype: 'fp32' | 'fp16'): number {
  const bytes = new Map<string, number>();
  for (const tensor of checkpoint.tensors.values())
    bytes.set(tensor.dtype, (bytes.get(tensor.dtype) ?? 0) + byteLength(tensor));
  const [most] = [...bytes].sort(([, a], [, b]) => b - a)[0] ?? ['F32'];
  if (most === 'BF16') return GOLDEN_ATOL.bf16;
  return most === 'F16' || dtype === 'fp16' ? GOLDEN_ATOL.fp16 : GOLDEN_ATOL.fp32;
}
