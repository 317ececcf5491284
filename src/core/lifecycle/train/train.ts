import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { ArchitectureExporter, ModelSection } from '../../architectures/architecture.js';
import { chooseArchitecture, initialModel } from '../../architectures/registry.js';
import { withLockedFolder } from '../../bytes/folder-lock.js';
import { hashFile } from '../../bytes/hash.js';
import type { JsonObject } from '../../bytes/json.js';
import { withAtomicOutput } from '../../bytes/output.js';
import { outputError } from '../../bytes/output-error.js';
import { isStaging } from '../../bytes/staging.js';
import { NOTHING_BESIDE } from '../../checkpoint/beside.js';
import type { Checkpoint } from '../../checkpoint/checkpoint.js';
import { openCheckpoint } from '../../checkpoint/open.js';
import { writeConfigured } from '../../checkpoint/write-safetensors.js';
import { type ErrorRows, errorsOf, withErrorRows } from '../../data/row-files.js';
import { DEFAULT_DEVICE, DEFAULT_SEED, type Filled, filled } from '../../defaults.js';
import { HpsError } from '../../errors.js';
import { type RemoteFileOptions, withAddresses } from '../../hub/with-addresses.js';
import { assertTokenizes } from '../../media/text/tokenizer.js';
import { type Modality, partsOf } from '../../modality.js';
import {
  byteLevelTokenizer,
  maskTokenOf,
  parseTokenizer,
  readTokenizer,
  type Tokenizer,
  tokenizerBeside,
  withTokenizer,
} from '../../onnx/tokenizer-file.js';
import { type Run, runOf } from '../../run.js';
import { parseDevice } from '../../runtime/device.js';
import { type Tensor, tensorFromBytes, verifyUnread } from '../../tensor/tensor.js';
import { bytesOf } from '../../tensor/values.js';
import { onnxruntimeEngine } from '../../training/engines/onnxruntime.js';
import { observeBatchNorms } from '../../training/graph/batch-norm.js';
import { buildForward, type ForwardModel } from '../../training/graph/forward.js';
import type { RankOptions } from '../../training/ranks/group.js';
import { followedBy, joined, meetingOf } from '../../training/ranks/joined.js';
import { ItemBatch } from '../../training/run/batch.js';
import { completeTraining, identityOf, type TrainingConfig, type TrainingSettings } from '../../training/run/config.js';
import { type ModalityData, streamsOf } from '../../training/run/dataset.js';
import {
  type LeftOutRows,
  labelSources,
  leftOutRows,
  leftOutWarnings,
  type ModalityContract,
  readTrainingData,
  refuseOneSided,
  splitData,
  type TrainingData,
  whyLeftOut,
} from '../../training/run/labelled-data.js';
import { isCheckpointName, LOG_FILE, type TrainingOutcome } from '../../training/run/run.js';
import { diverged, trainSession } from '../../training/run/session.js';
import { hasState } from '../../training/run/state.js';
import { Trainer } from '../../training/run/trainer.js';
import { Parameters } from '../../training/update/parameters.js';
import { drawTrainingCurve } from './curve.js';

export interface TrainOptions extends Run {
  /** Model and training sections; what the second leaves out has the defaults of the seed model. */
  readonly config: ModelSection & { readonly training?: TrainingSettings };
  /** Folders of `hpsv3 synth`, or files of labels. */
  readonly data: readonly string[];
  /** The same, held out; without any, a share of the clusters of `data`. */
  readonly validation?: readonly string[];
  /** Where the media paths of rows are taken from; by default the folder of their file. */
  readonly mediaRoot?: string;
  /** Folder where prepared media are kept for the next run. */
  readonly cache?: string;
  /** A checkpoint to go on from; without it, weights are drawn. */
  readonly checkpoint?: string;
  /** tokenizer.json; by default the one beside the checkpoint, else one of bytes. */
  readonly tokenizer?: string;
  /** Folder of the run. */
  readonly out: string;
  readonly seed?: number;
  readonly device?: string;
  readonly threads?: number;
  /** Goes on where the run in `out` was stopped. */
  readonly resume?: boolean;
  /** The place of this process among several that train together; without it, it trains alone. */
  readonly ranks?: RankOptions;
  /** How files on other machines are reached, where an option names one: hf://, https://, s3://. */
  readonly remote?: RemoteFileOptions;
  /** Replace the run in `out`. */
  readonly force?: boolean;
}

export const TRAIN_DEFAULTS = {
  validation: [],
  seed: DEFAULT_SEED,
  device: DEFAULT_DEVICE,
  resume: false,
  force: false,
} as const satisfies Partial<TrainOptions>;

type Settled = Omit<Filled<TrainOptions, typeof TRAIN_DEFAULTS>, 'config'> & {
  readonly config: Required<ModelSection> & { readonly training: TrainingConfig };
};

const settled = (given: TrainOptions): Settled => ({
  ...filled(given, TRAIN_DEFAULTS),
  config: { name: 'config', ...given.config, training: completeTraining(given.config.training) },
});

export interface TrainReport extends TrainingOutcome, LeftOutRows {
  /** Base name of the folder. */
  readonly out: string;
  readonly checkpoint: { readonly name: string; readonly sha256: string };
  readonly seed: number;
  readonly trainedParameters: number;
  readonly examples: Readonly<
    Record<string, { readonly pairs: number; readonly absolutes: number; readonly validationPairs: number }>
  >;
  /** Base name of the file with the refused rows; null where there is none. */
  readonly errors: string | null;
  readonly device: string;
}

const CHECKPOINT_FILE = 'checkpoint.safetensors';

/**
 * Trains a model from scratch, or on from a checkpoint, on labelled pairs and items of several modalities.
 * The folder gets checkpoint.safetensors (the best by validation AUC, else the last), config.json, tokenizer.json, log.jsonl,
 * environment.json and state.safetensors, from which the run goes on bit for bit after it was stopped.
 * @throws HpsError CONFIG_INVALID, DATA_INVALID, TRAINING_DIVERGED, and the OUTPUT_… codes, OUTPUT_BUSY at once where another
 *   process trains in the folder
 */
export function trainModel(given: TrainOptions): Promise<TrainReport> {
  return withAddresses(
    given,
    { checkpoints: ['checkpoint', 'tokenizer'], files: ['data', 'validation'] },
    trainLocally,
  );
}

function trainLocally(given: TrainOptions): Promise<TrainReport> {
  const asked = settled(given);
  const { out, resume, force, data, validation, ranks } = asked;
  if (ranks && ranks.rank > 0) {
    // Rank 0 alone writes; whether there is something to resume is plain to all before it does.
    const options = { ...asked, resume: resume && hasState(out) };
    return withErrorRows(undefined, { force: false, inputs: [] }, (refused) => trainInto(options, refused));
  }
  const existed = existsSync(out);
  return withLockedFolder(out, () => {
    const anew = resume && beginsAnew(out, existed, asked);
    const options = anew ? { ...asked, resume: false, force: true } : asked;
    checkFolder(options);
    const inputs = [...data, ...validation].flatMap((path) => labelSources(path).map((source) => source.path));
    return withErrorRows(errorsOf(out), { force: force || resume, inputs }, (refused) => trainInto(options, refused));
  });
}

async function trainInto(options: Settled, refused: ErrorRows): Promise<TrainReport> {
  const { config, out, seed } = options;
  const tokenizer = findTokenizer(options);
  if (tokenizer) await assertTokenizes(tokenizer);
  const initial = await openInitial(options);
  try {
    const exporter = await chooseArchitecture(initial, undefined).load();
    const request = { config: config.model, configOrigin: config.name };
    const wanted = wantedModalities(initial, exporter, config.training);
    const contracts = new Map<Modality, ModalityContract>();
    for (const modality of wanted) {
      const { inputs } = await buildForward(initial, exporter, { modality, ...request });
      contracts.set(modality, { inputs: withTokenizer(inputs, tokenizer), tokenizer: tokenizer?.json ?? null });
    }
    const { train, validation, leftOut } = await readData(options, contracts, refused);
    const errors = await refused.finish();
    if (errors !== null) options.onWarning?.(`The refused rows are in ${errors}.`);
    const used = train.map(({ modality }) => modality);
    let checkpoint = initial;
    if (options.checkpoint === undefined && config.training.batch_norm_items > 0)
      checkpoint = await startNormalized(initial, exporter, request, train, options);
    const forwards = new Map<Modality, ForwardModel>();
    for (const modality of used)
      forwards.set(modality, await buildForward(checkpoint, exporter, { modality, ...request }));
    const parameters = await Parameters.read(checkpoint, [...forwards.values()], {
      isTrained: () => true,
      decayVectors: config.training.decay_vectors,
      average: config.training.ema_decay > 0,
      loraRank: config.training.lora_rank,
    });
    const read = new Set(parameters.tensors().keys());
    await verifyUnread(checkpoint.tensors, read, options.signal); // they are written out with every state
    const fingerprint = await fingerprintOf(options, initial.files);
    const ranks = await joined(options.ranks, { meeting: meetingOf(out), fingerprint, ...options });
    const run = followedBy(ranks, options);
    const trainer = new Trainer({
      engine: onnxruntimeEngine,
      device: parseDevice(options.device),
      threads: options.threads,
      config: config.training,
      seed,
      forwards,
      parameters,
      train,
      validation,
      maskToken: tokenizer ? maskTokenOf(tokenizer) : null,
      onWarning: options.onWarning,
      ranks,
    });
    try {
      const writeCheckpoint = (name: string): Promise<void> =>
        writeModel(join(out, name), checkpoint, parameters, config.model);
      const examples = countExamples(train, validation);
      const outcome = await trainSession({
        folder: out,
        engine: onnxruntimeEngine.id,
        device: options.device,
        trainer,
        parameters,
        config: config.training,
        seed,
        resume: options.resume,
        fingerprint,
        about: { model: config.model, examples },
        prepare: () => openFolder(options, tokenizer),
        writeCheckpoint,
        ranks,
        ...run,
      });
      if (ranks && ranks.rank > 0) return await ranks.conclude<TrainReport>();
      if (outcome.best) copyFileSync(join(out, outcome.best.file), join(out, CHECKPOINT_FILE));
      else if (outcome.ended !== 'not-finite') await writeCheckpoint(CHECKPOINT_FILE);
      await drawTrainingCurve(out);
      refuseDiverged(outcome);
      const { sha256 } = await hashFile(join(out, CHECKPOINT_FILE));
      const report: TrainReport = {
        out: basename(out),
        ...outcome,
        checkpoint: { name: CHECKPOINT_FILE, sha256 },
        seed,
        trainedParameters: parameters.count,
        examples,
        ...leftOut,
        errors,
        device: options.device,
      };
      await ranks?.conclude(report);
      return report;
    } finally {
      ranks?.close();
      await trainer.release();
    }
  } finally {
    initial.close();
  }
}

const CONFIG_FILE = 'config.json';
const TOKENIZER_FILE = 'tokenizer.json';

/** Whether a run that is to go on was killed before its first saved state, so that there is nothing to go on from. */
function beginsAnew(folder: string, existed: boolean, { onWarning }: Run): boolean {
  if (!existed || hasState(folder) || !isRun(folder)) return false;
  onWarning?.(`${basename(folder)} has no saved state: the run begins anew.`);
  return true;
}

/** Refuses, before anything is read, a folder that the run may not write into. */
function checkFolder({ out, resume, force }: Settled): void {
  if (resume && !hasState(out)) {
    throw new HpsError('FILE_NOT_FOUND', `${basename(out)}: has no saved state to resume`, {
      hint: 'Give the folder of a run that was stopped, or leave `resume` out.',
      details: { folder: basename(out) },
    });
  }
  if (!resume && !(force && isRun(out)) && entriesOf(out).length > 0) {
    throw new HpsError('OUTPUT_EXISTS', `${basename(out)}: is not empty`, {
      hint: 'Set `resume` to resume, `force` to replace an earlier run, or another folder.',
      details: { folder: basename(out) },
    });
  }
}

const entriesOf = (folder: string): string[] =>
  statSync(folder, { throwIfNoEntry: false })?.isDirectory()
    ? readdirSync(folder).filter((name) => !isStaging(name))
    : [];

/** Whether a folder is an earlier run's: that of a run killed before its first step has at most the two small files. */
const isRun = (folder: string): boolean =>
  hasState(folder) ||
  existsSync(join(folder, LOG_FILE)) ||
  entriesOf(folder).every((name) => name === CONFIG_FILE || name === TOKENIZER_FILE);

/** Makes the folder as training starts, with the two small files that make its checkpoint complete. */
async function openFolder({ out, config, resume }: Settled, tokenizer: Tokenizer | null): Promise<void> {
  try {
    mkdirSync(out, { recursive: true });
    // Checkpoints of a run that is replaced would pass for this one's.
    if (!resume) for (const name of entriesOf(out).filter(isCheckpointName)) rmSync(join(out, name));
  } catch (error) {
    throw outputError(basename(out), error);
  }
  await withAtomicOutput(join(out, CONFIG_FILE), { force: true }, async (output) => {
    await output.writeFile(CONFIG_FILE, `${JSON.stringify(config.model, null, 2)}\n`);
    if (tokenizer) await output.writeFile(TOKENIZER_FILE, tokenizer.json);
  });
}

function findTokenizer({ tokenizer, checkpoint, config }: Settled): Tokenizer | null {
  const { modalities } = config.model;
  if (Array.isArray(modalities) && !modalities.includes('text')) return null;
  if (tokenizer !== undefined) return readTokenizer(tokenizer);
  const beside = checkpoint === undefined ? null : tokenizerBeside(checkpoint);
  return beside ?? parseTokenizer(Buffer.from(byteLevelTokenizer()), TOKENIZER_FILE);
}

/** The checkpoint to start from: one that is there, or drawn weights that read like one. */
const openInitial = async ({ checkpoint, config, seed }: Settled): Promise<Checkpoint> =>
  checkpoint === undefined ? drawnCheckpoint(config.model, seed) : openCheckpoint(checkpoint);

/** The weights of a new model as a checkpoint that was read. */
export async function drawnCheckpoint(model: JsonObject, seed: number): Promise<Checkpoint> {
  const { tensors } = await initialModel(model, seed);
  return {
    format: 'init',
    tensors: new Map(tensors.map((tensor) => [tensor.name, tensor])),
    config: null,
    configs: [],
    key: '',
    strippedPrefix: '',
    strippedInside: [],
    ignored: [],
    files: [],
    beside: NOTHING_BESIDE,
    close: () => {},
  };
}

function wantedModalities(checkpoint: Checkpoint, exporter: ArchitectureExporter, config: TrainingConfig): Modality[] {
  const available = exporter.modalities(checkpoint);
  const wanted = (Object.keys(config.modality_mix) as Modality[]).filter(
    (modality) => config.modality_mix[modality]! > 0,
  );
  return wanted.filter((modality) => available.includes(modality));
}

interface SplitData {
  readonly train: readonly ModalityData[];
  readonly validation: readonly ModalityData[];
  readonly leftOut: LeftOutRows;
}

async function readData(
  options: Settled,
  contracts: ReadonlyMap<Modality, ModalityContract>,
  refused: ErrorRows,
): Promise<SplitData> {
  const { training, model } = options.config;
  const read = (paths: readonly string[]): Promise<TrainingData> =>
    readTrainingData({
      sources: paths.flatMap((path) => labelSources(path, options.mediaRoot)),
      contracts,
      balance: training.balance,
      scoreRange: training.score_range,
      classes: { quality: Number(model.quality_classes) },
      cache: options.cache,
      onRefused: refused.add,
      ...runOf(options),
    });
  const all = await read(options.data);
  const held = options.validation.length > 0 ? await read(options.validation) : null;
  const { train, validation } = held
    ? { train: all.modalities, validation: held.modalities }
    : splitData(all.modalities, training.val_fraction, options.seed);
  const filled = train.filter(({ pairs, absolutes }) => pairs.length + absolutes.length > 0);
  const everything = [all, ...(held ? [held] : [])];
  if (filled.length === 0) {
    throw new HpsError('DATA_INVALID', `no labelled row can be trained on${whyLeftOut(everything)}`, {
      hint: 'Give rows with votes or scores, of a modality in training.modality_mix.',
      details: { ...leftOutRows(everything), modalities: [...contracts.keys()] },
    });
  }
  for (const data of filled) refuseOneSided(data, `of ${data.modality} to train on`);
  for (const data of held?.modalities ?? []) refuseOneSided(data, `of ${data.modality} that is held out`);
  for (const warning of leftOutWarnings(everything)) options.onWarning?.(warning);
  const limited = validation
    .filter(({ modality, pairs }) => pairs.length > 0 && filled.some((data) => data.modality === modality))
    .map((data) => ({ ...data, pairs: data.pairs.slice(0, training.val_pairs) }));
  if (limited.length === 0)
    options.onWarning?.('No pair is held out: the last weights are kept, and nothing says how good they are.');
  return { train: filled, validation: limited, leftOut: leftOutRows(everything) };
}

/** The drawn weights with the statistics of their batch norms taken from the data. */
async function startNormalized(
  initial: Checkpoint,
  exporter: ArchitectureExporter,
  request: { readonly config: JsonObject; readonly configOrigin: string },
  train: readonly ModalityData[],
  { config, threads }: Settled,
): Promise<Checkpoint> {
  const tensors = new Map<string, Tensor>(initial.tensors);
  const settled = new Set<string>();
  // A tower alone before two together.
  const ordered = train.toSorted((a, b) => partsOf(a.modality).length - partsOf(b.modality).length);
  for (const data of ordered) {
    const [stream] = streamsOf(data);
    const rows = Math.min(config.training.batch_norm_items, data.items.length);
    const batch = new ItemBatch(data.inputs, rows, stream.shape);
    const indices = [
      ...new Set(stream.pairs.flatMap(({ left, right }) => [left, right])),
      ...stream.absolutes.map(({ item }) => item),
    ];
    for (let row = 0; row < rows; row++) batch.set(row, data.items[indices[row % indices.length]]);
    const forward = await buildForward({ ...initial, tensors }, exporter, { modality: data.modality, ...request });
    for (const [key, values] of await observeBatchNorms(forward, batch.feeds, threads)) {
      if (settled.has(key)) continue;
      settled.add(key);
      tensors.set(key, tensorFromBytes({ name: key, dtype: 'F32', shape: [values.length] }, bytesOf(values)));
    }
  }
  return { ...initial, tensors };
}

async function writeModel(
  path: string,
  checkpoint: Checkpoint,
  parameters: Parameters,
  model: JsonObject,
): Promise<void> {
  const trained = parameters.tensors();
  const tensors = Array.from(checkpoint.tensors.values(), (tensor) => trained.get(tensor.name) ?? tensor);
  await withAtomicOutput(path, { force: true }, async (output) => {
    const sink = await output.create();
    await writeConfigured(sink, tensors, model);
    await sink.finish();
  });
}

/** Identifies what a run was started with, so that a state is not put into another. @param checkpoint - files of the one it goes on from */
async function fingerprintOf(
  { config, seed, data, validation, mediaRoot }: Settled,
  checkpoint: readonly string[],
): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify([config.model, identityOf(config.training), seed]));
  const labels = [...data, ...validation].flatMap((path) => labelSources(path, mediaRoot).map((source) => source.path));
  for (const path of [...labels, ...checkpoint]) hash.update((await hashFile(path)).sha256);
  return hash.digest('hex');
}

const countExamples = (train: readonly ModalityData[], validation: readonly ModalityData[]): TrainReport['examples'] =>
  Object.fromEntries(
    train.map(({ modality, pairs, absolutes }) => [
      modality,
      {
        pairs: pairs.length,
        absolutes: absolutes.length,
        validationPairs: validation.find((data) => data.modality === modality)?.pairs.length ?? 0,
      },
    ]),
  );

function refuseDiverged(outcome: TrainingOutcome): void {
  if (outcome.ended !== 'not-finite') return;
  const { best } = outcome;
  const hint = best
    ? `The best checkpoint, of step ${best.step}, is kept. Lower training.lr, or raise training.warmup_steps.`
    : 'Lower training.lr, raise training.warmup_steps, or set training.clip_norm.';
  throw diverged(outcome, hint);
}
