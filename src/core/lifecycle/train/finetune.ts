import { existsSync, mkdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { ModelSection } from '../../architectures/architecture.js';
import { withLockedFolder } from '../../bytes/folder-lock.js';
import { hashFile, sha256Hex } from '../../bytes/hash.js';
import { type StagedOutput, withAtomicOutput, withOptionalOutput } from '../../bytes/output.js';
import { withTemporaryFolder } from '../../bytes/temporary-folder.js';
import { removeCalibrator } from '../../calibration/embed.js';
import { openCheckpoint } from '../../checkpoint/open.js';
import { writeSafetensors } from '../../checkpoint/write-safetensors.js';
import { writeTorchCheckpoint } from '../../checkpoint/write-torch.js';
import type { LabelLayout } from '../../data/layouts/apply.js';
import { type ErrorRows, errorsOf, withErrorRows } from '../../data/row-files.js';
import { DEFAULT_DEVICE, DEFAULT_GATE, DEFAULT_SEED, type Filled, filled } from '../../defaults.js';
import { HpsError } from '../../errors.js';
import type { GateLevel, GateReport } from '../../gate/report.js';
import { type RemoteFileOptions, withAddresses } from '../../hub/with-addresses.js';
import { checkModel } from '../../onnx/check.js';
import { type LineageStep, type Manifest, manifestOf } from '../../onnx/manifest.js';
import { type Modality, TOKENIZER_KEY } from '../../onnx/manifest-names.js';
import { metadataOf, type OnnxModel } from '../../onnx/model.js';
import { openOnnx } from '../../onnx/read.js';
import { maskTokenOf, parseTokenizer } from '../../onnx/tokenizer-file.js';
import { weightOfTensor } from '../../onnx/weight.js';
import { startLineage } from '../../release/lineage.js';
import { ModelRelease } from '../../release/model-release.js';
import { type Run, runOf } from '../../run.js';
import { parseDevice } from '../../runtime/device.js';
import { numel } from '../../tensor/shape.js';
import type { Tensor } from '../../tensor/tensor.js';
import { transposeMatrix } from '../../tensor/transform.js';
import type { EngineId, TrainingEngine } from '../../training/engines/engine.js';
import { loadEngine } from '../../training/engines/registry.js';
import { headKeys } from '../../training/graph/forward.js';
import { type OpenedForward, openForward } from '../../training/graph/onnx-forward.js';
import type { RankGroup, RankOptions } from '../../training/ranks/group.js';
import { followedBy, joined, meetingOf } from '../../training/ranks/joined.js';
import { type Comparison, compareJudged } from '../../training/run/compare.js';
import { completeTraining, identityOf, type TrainingConfig, type TrainingSettings } from '../../training/run/config.js';
import type { ModalityData } from '../../training/run/dataset.js';
import { Evaluator } from '../../training/run/evaluator.js';
import { cutFrozen } from '../../training/run/frozen.js';
import {
  type LeftOutRows,
  labelSources,
  leftOutRows,
  leftOutWarnings,
  readTrainingData,
  refuseOneSided,
  splitData,
  whyLeftOut,
} from '../../training/run/labelled-data.js';
import type { TrainingOutcome } from '../../training/run/run.js';
import { diverged, trainSession } from '../../training/run/session.js';
import { hasState } from '../../training/run/state.js';
import { Trainer } from '../../training/run/trainer.js';
import { isBuffer, Parameters } from '../../training/update/parameters.js';
import { trainSelector } from '../../training/update/selection.js';
import { exportModel } from '../export/export.js';
import { drawTrainingCurve } from './curve.js';
import { type FinetuneSettings, finetuneSchedule } from './finetune-defaults.js';

export interface FinetuneOptions extends Run, LabelLayout {
  /** A model of mode pair or item; or a checkpoint, which is exported first. */
  readonly source:
    | { readonly model: string }
    | {
        readonly checkpoint: string;
        readonly modality?: Modality;
        readonly tokenizer?: string;
        readonly config?: ModelSection;
      };
  /** Files of labels, or folders of `hpsv3 synth`. */
  readonly labels: readonly string[];
  /** Held-out labels; without any, a share of the clusters of `labels`. */
  readonly validation?: readonly string[];
  /** Labels of what the model could do before, to see what it forgets. */
  readonly old?: readonly string[];
  /** Largest accepted loss of AUC on `old`. */
  readonly forget?: number;
  /** Where the media paths of rows are taken from; by default the folder of their file. */
  readonly mediaRoot?: string;
  /** Folder where prepared media are kept for the next run. */
  readonly cache?: string;
  readonly out: string;
  /** A checkpoint to write too: F.safetensors, or F.pt for PyTorch. */
  readonly checkpointOut?: string;
  /** `head`, `fusion` (and the head), `all`, or a glob of checkpoint names. */
  readonly train?: string;
  /** What differs from `FINETUNE_TRAINING`, from what `finetuneSchedule` chooses, and from the defaults of training from scratch. */
  readonly training?: TrainingSettings;
  /** Passes over the labels; without these and `steps`, as many as the labels need. */
  readonly epochs?: number;
  readonly steps?: number;
  /** What runs the training steps. */
  readonly engine?: EngineId | TrainingEngine;
  readonly device?: string;
  readonly threads?: number;
  readonly seed?: number;
  readonly gate?: GateLevel;
  /** Accept NaN and infinities among the weights. */
  readonly allowNonfinite?: boolean;
  /** Replace the files that are written. */
  readonly force?: boolean;
  /** Folder for log and state, kept and resumable; a temporary one by default. */
  readonly run?: string;
  /** The place of this process among several that train together; without it, it trains alone. */
  readonly ranks?: RankOptions;
  /** How files on other machines are reached, where an option names one: hf://, https://, s3://. */
  readonly remote?: RemoteFileOptions;
  /** Goes on where the run in `run` was stopped. */
  readonly resume?: boolean;
}

export const FINETUNE_DEFAULTS = {
  validation: [],
  old: [],
  forget: 0.02,
  train: 'head',
  engine: 'onnxruntime',
  device: DEFAULT_DEVICE,
  seed: DEFAULT_SEED,
  gate: DEFAULT_GATE,
  allowNonfinite: false,
  force: false,
  resume: false,
} as const satisfies Partial<FinetuneOptions>;

/** Where training differs from training from scratch, beside what `finetuneSchedule` chooses: the weights are good already. */
export const FINETUNE_TRAINING = {
  batch_size: 16,
  warmup_steps: 20,
  mixup: 0.2,
  val_fraction: 0.2,
} as const satisfies TrainingSettings;

type Settled = Omit<Filled<FinetuneOptions, typeof FINETUNE_DEFAULTS>, 'training' | 'engine'> & {
  readonly training: FinetuneSettings;
  readonly engine: TrainingEngine;
};

async function settled(given: FinetuneOptions): Promise<Settled> {
  const options = filled(given, FINETUNE_DEFAULTS);
  return {
    ...options,
    training: {
      ...completeTraining(filled(given.training ?? {}, FINETUNE_TRAINING)),
      lr: given.training?.lr,
      patience: given.training?.patience,
    },
    engine: typeof options.engine === 'string' ? await loadEngine(options.engine) : options.engine,
  };
}

export interface FinetuneReport {
  readonly out: string;
  readonly sha256: string;
  readonly bytes: number;
  readonly checkpoint: { readonly name: string; readonly sha256: string } | null;
  readonly modality: Modality;
  readonly engine: string;
  readonly device: string;
  readonly trained: { readonly tensors: number; readonly parameters: number; readonly selection: string };
  /** Where the graph was cut because all before it is frozen; null where it was run whole. */
  readonly frozenUpTo: readonly string[] | null;
  readonly steps: number;
  /** Peak learning rate. */
  readonly lr: number;
  readonly bestStep: number | null;
  readonly ended: TrainingOutcome['ended'];
  readonly gained: Comparison;
  readonly forgotten: Comparison | null;
  /** Whether the held-out AUC rose by more than chance. */
  readonly helped: boolean;
  readonly gate: GateReport | null;
  readonly lineage: readonly LineageStep[];
  readonly skippedRows: LeftOutRows['skippedRows'];
  readonly rows: LeftOutRows['rows'];
  /** Rows refused. */
  readonly failed: number;
  /** Base name of the file that has them; null where there is none. */
  readonly errors: string | null;
  readonly warnings: readonly string[];
}

/**
 * Adapts a model to a domain by a few hundred labels; the result is the same graph with new weights.
 * @throws HpsError DATA_INVALID, TOO_FEW_CLUSTERS, USAGE where nothing is trained, TRAINING_DIVERGED; GATE_FAILED where more than
 *   `forget` is lost on the old labels: the target is then as it was; OUTPUT_BUSY at once where another process trains in the
 *   folder of the run
 */
export function finetuneModel(given: FinetuneOptions): Promise<FinetuneReport> {
  const { source } = given;
  const { checkpoint, tokenizer } = 'checkpoint' in source ? source : { checkpoint: undefined, tokenizer: undefined };
  const keys = { checkpoints: ['checkpoint', 'tokenizer'], files: ['labels', 'validation', 'old'] } as const;
  return withAddresses({ ...given, checkpoint, tokenizer }, keys, ({ checkpoint, tokenizer, ...found }) =>
    finetuneLocally(checkpoint === undefined ? found : { ...found, source: { ...source, checkpoint, tokenizer } }),
  );
}

async function finetuneLocally(given: FinetuneOptions): Promise<FinetuneReport> {
  const options = await settled(given);
  const { run, ranks } = options;
  if (ranks && ranks.rank > 0) return finetuneBeside(options);
  if (run === undefined) return finetuneLocked(options);
  const existed = existsSync(run);
  return withLockedFolder(run, () => {
    // Killed before its first saved state, a run has nothing to go on from.
    const anew = options.resume && existed && !hasState(run);
    if (anew) options.onWarning?.(`${basename(run)} has no saved state: the run begins anew.`);
    return finetuneLocked({ ...options, resume: options.resume && !anew });
  });
}

/** Of a process that takes part in the training of rank 0, which alone writes. */
function finetuneBeside(asked: Settled): Promise<FinetuneReport> {
  const { run, resume } = asked;
  const options = { ...asked, resume: resume && run !== undefined && hasState(run) };
  return withErrorRows(undefined, { force: false, inputs: [] }, (refused) =>
    finetuneInto({ release: null, checkpoint: null, refused }, options),
  );
}

async function finetuneLocked(options: Settled): Promise<FinetuneReport> {
  if (options.resume && (options.run === undefined || !hasState(options.run))) {
    throw new HpsError('USAGE', 'there is no saved state to resume', {
      hint: 'Give `run` with the folder of a run that was stopped.',
    });
  }
  const { out, checkpointOut, force } = options;
  const inputs = [...(await sourceFiles(options.source)), ...labelFiles(options)];
  return withErrorRows(errorsOf(out), { force, inputs }, (refused) =>
    withOptionalOutput(checkpointOut, { force, inputs }, async (checkpoint) => {
      const release = await ModelRelease.reserve(out, { force, inputs });
      try {
        return await finetuneInto({ release, checkpoint, refused }, options);
      } finally {
        await release.close();
      }
    }),
  );
}

/** Where the results go, kept from before the training. */
interface Places {
  /** Null where another process writes. */
  readonly release: ModelRelease | null;
  /** Null where no checkpoint is asked for. */
  readonly checkpoint: StagedOutput | null;
  /** Rows that were left out. */
  readonly refused: ErrorRows;
}

function finetuneInto(places: Places, options: Settled): Promise<FinetuneReport> {
  return withTemporaryFolder('finetune', async (folder) => {
    const path = await modelPath(options, folder);
    const opened = openOnnx(path);
    try {
      const { model } = opened;
      const file = 'model' in options.source ? basename(path) : basename(options.source.checkpoint);
      checkModel(model, file);
      const manifest = manifestOf(model, file);
      if (manifest === null) {
        throw new HpsError('ONNX_UNSUPPORTED', `${file}: carries no manifest, so nothing says what its inputs mean`, {
          hint: 'Export the checkpoint with hpsv3, then fine-tune that file.',
          details: { file },
        });
      }
      const run = options.run ?? join(folder, 'run');
      if (places.release) mkdirSync(run, { recursive: true });
      const source = {
        path,
        file,
        ...removeCalibrator(model, manifest),
        hadCalibrator: manifest.calibrator !== null,
        files: [path, ...opened.externalFiles.map(({ path: data }) => data)],
        run,
      };
      return await new Finetuning(options, source, places).go();
    } finally {
      opened.close();
    }
  });
}

/** All files of what is tuned. */
async function sourceFiles(source: Settled['source']): Promise<readonly string[]> {
  if ('checkpoint' in source) {
    const checkpoint = await openCheckpoint(source.checkpoint);
    checkpoint.close();
    return checkpoint.files;
  }
  const { externalFiles, close } = openOnnx(source.model);
  close();
  return [source.model, ...externalFiles.map(({ path }) => path)];
}

const labelFiles = ({ labels, validation }: Settled): string[] =>
  [...labels, ...validation].flatMap((path) => labelSources(path).map((each) => each.path));

async function modelPath(options: Settled, folder: string): Promise<string> {
  const { source, seed, allowNonfinite } = options;
  if ('model' in source) return source.model;
  const out = join(folder, 'model.onnx');
  await exportModel({ ...source, out, mode: 'pair', gate: 'off', seed, allowNonfinite, ...runOf(options) });
  return out;
}

interface Source {
  readonly path: string;
  readonly file: string;
  readonly model: OnnxModel;
  readonly manifest: Manifest;
  /** Whether a calibrator was embedded, which `model` and `manifest` are without. */
  readonly hadCalibrator: boolean;
  readonly files: readonly string[];
  readonly run: string;
}

interface Sets {
  readonly train: ModalityData;
  readonly validation: ModalityData;
  readonly old: ModalityData | null;
  readonly leftOut: LeftOutRows;
  readonly errors: string | null;
}

interface Session {
  readonly trainer: Trainer;
  readonly parameters: Parameters;
  readonly config: TrainingConfig;
  readonly fingerprint: string;
  readonly ranks: RankGroup | null;
}

class Finetuning {
  private readonly opened: OpenedForward;
  private readonly warnings: string[] = [];

  constructor(
    private readonly options: Settled,
    private readonly source: Source,
    private readonly places: Places,
  ) {
    this.opened = openForward(source.model, source.manifest, source.file);
    if (source.hadCalibrator) {
      this.warn(
        `The calibrator of ${source.file} is left out: it was fitted to scores of the old weights. Score labels with the tuned file, then run \`hpsv3 calibrate\` again.`,
      );
    }
    if (this.opened.hasWayBack) return;
    const reason = `${source.file} was folded across parameters: its weights have no names of a checkpoint any more`;
    if (options.checkpointOut !== undefined) {
      throw new HpsError('ONNX_UNSUPPORTED', `${reason}, so no checkpoint can be written`, {
        hint: 'Fine-tune the checkpoint, or a file exported without `optimize`; or leave `checkpointOut` out.',
        details: { file: source.file },
      });
    }
    this.warn(`${reason}. The tuned file has no way back to one.`);
  }

  async go(): Promise<FinetuneReport> {
    const { options } = this;
    const isTrained = this.selected();
    const sets = await this.data();
    const all = [sets.train, sets.validation, ...(sets.old ? [sets.old] : [])];
    const engineOptions = { device: parseDevice(options.device), threads: options.threads };
    const cut = await cutFrozen(this.opened.forward, (name) => isTrained(this.keyOf(name)), all, engineOptions);
    const forward = cut?.forward ?? this.opened.forward;
    const [train, validation, old] = cut?.data ?? all;
    const parameters = await Parameters.read(this.opened, [forward], {
      isTrained,
      decayVectors: options.training.decay_vectors,
      average: options.training.ema_decay > 0,
      loraRank: options.training.lora_rank,
    });
    const config = this.configFor(sets.train, parameters.count);
    const fingerprint = await this.fingerprintOf(config);
    const ranks = await joined(options.ranks, { meeting: meetingOf(options.out), fingerprint, ...options });
    const { modality } = forward;
    const text = metadataOf(this.source.model, TOKENIZER_KEY);
    const trainer = new Trainer({
      ...engineOptions,
      engine: options.engine,
      config,
      seed: options.seed,
      forwards: new Map([[modality, forward]]),
      parameters,
      train: [train],
      validation: [validation],
      maskToken: text === undefined ? null : maskTokenOf(parseTokenizer(Buffer.from(text), 'tokenizer.json')),
      onWarning: options.onWarning,
      ranks,
    });
    const oldEvaluator =
      old && this.places.release
        ? await Evaluator.open(forward, old, {
            ...engineOptions,
            slabs: parameters.slabsOf.get(modality)!,
            pairs: trainer.pairsPerRun,
          })
        : null;
    try {
      const judge = async () => ({
        fresh: (await trainer.judge()).judged[0],
        old: oldEvaluator && (await oldEvaluator.judge(parameters.feeds(true))),
      });
      const before = this.places.release && (await judge());
      const outcome = await this.train({ trainer, parameters, config, fingerprint, ranks });
      if (before === null) return await ranks!.conclude<FinetuneReport>();
      if (outcome.best) await this.takeBest(parameters, outcome.best.file);
      const after = await judge();
      const gained = await compareJudged(before.fresh, after.fresh, options);
      const forgotten = before.old && after.old ? await compareJudged(before.old, after.old, options) : null;
      this.refuseForgetting(forgotten);
      const helped = gained.auc.verdict === 'better';
      if (!helped) this.warn('Fine-tuning did not help: the held-out AUC did not rise by more than chance.');
      const report = await this.write(parameters, config, {
        modality,
        engine: options.engine.id,
        device: options.device,
        trained: {
          tensors: parameters.states.reduce((sum, { slab }) => sum + slab.entries.length, 0),
          parameters: parameters.count,
          selection: options.train,
        },
        frozenUpTo: cut?.frontier ?? null,
        steps: outcome.steps,
        lr: config.lr,
        bestStep: outcome.best?.step ?? null,
        ended: outcome.ended,
        gained,
        forgotten,
        helped,
        ...sets.leftOut,
        errors: sets.errors,
      });
      await ranks?.conclude(report);
      return report;
    } finally {
      ranks?.close();
      await trainer.release();
      await oldEvaluator?.release();
    }
  }

  /** @throws HpsError USAGE where the selection has no tensor */
  private selected(): (key: string) => boolean {
    const matches = trainSelector(this.options.train, () => headKeys(this.opened.forward));
    const keys = Array.from(this.opened.forward.parameters.values(), ({ key }) => key).filter((key) => !isBuffer(key));
    if (keys.some(matches)) return matches;
    throw new HpsError(
      'USAGE',
      `\`train\` ${this.options.train} leaves everything frozen: it names no tensor of the model`,
      {
        hint: 'Choose head, fusion, all, or a glob of checkpoint names such as "visual.blocks.*".',
        details: { train: this.options.train, tensors: keys.slice(0, 20) },
      },
    );
  }

  private keyOf(initializer: string): string {
    return this.opened.forward.parameters.get(initializer)?.key ?? initializer;
  }

  private async data(): Promise<Sets> {
    const { options, source } = this;
    const { modality, inputs, item } = this.opened.forward;
    const classes = item.graph.output.find(({ name }) => name === 'quality')?.type?.tensorType?.shape?.dim?.[1]
      ?.dimValue;
    const read = async (paths: readonly string[]) =>
      readTrainingData({
        sources: paths.flatMap((path) => labelSources(path, options.mediaRoot, options)),
        contracts: new Map([[modality, { inputs, tokenizer: metadataOf(source.model, TOKENIZER_KEY) ?? null }]]),
        balance: options.training.balance,
        scoreRange: options.training.score_range,
        classes: { quality: classes ?? Number.MAX_SAFE_INTEGER },
        cache: options.cache,
        onRefused: this.places.refused.add,
        ...runOf(options),
      });
    const fresh = await read(options.labels);
    const [all] = fresh.modalities;
    if (!all) throw noData(`no row of ${modality} has a label${whyLeftOut([fresh])}`, { ...leftOutRows([fresh]) });
    const held = options.validation.length > 0 ? await read(options.validation) : null;
    const parts = held
      ? { train: [all], validation: held.modalities }
      : splitData([all], options.training.val_fraction, options.seed);
    const [train] = parts.train;
    const [validation] = parts.validation;
    if (train.pairs.length + train.absolutes.length === 0) throw noData('no row is left to train on', {});
    checkHeldOut(validation);
    refuseOneSided(train, 'to train on');
    refuseOneSided(validation, 'that is held out');
    const old = options.old.length > 0 ? await read(options.old) : null;
    const oldData = old?.modalities[0] ?? null;
    if (old && !oldData?.pairs.length) throw noData(`the old labels have no pair of ${modality}`, {});
    if (oldData) refuseOneSided(oldData, 'of the old labels');
    const everything = [fresh, ...(held ? [held] : []), ...(old ? [old] : [])];
    for (const warning of leftOutWarnings(everything)) this.warn(warning);
    const errors = await this.places.refused.finish();
    if (errors !== null) this.warn(`The refused rows are in ${errors}.`);
    return { train, validation, old: oldData, leftOut: leftOutRows(everything), errors };
  }

  /** Steps and evaluations by the number of examples: an evaluation an epoch. */
  private configFor({ pairs, absolutes }: ModalityData, trainedParameters: number): TrainingConfig {
    const { training } = this.options;
    const examples = pairs.length + Math.ceil(absolutes.length / 2);
    const batch = Math.min(training.batch_size, examples);
    const perEpoch = Math.max(1, Math.ceil(examples / batch));
    const weights = [...this.opened.tensors.values()].filter(({ name }) => !isBuffer(name));
    const { steps: total, ...schedule } = finetuneSchedule(training, this.options, {
      trainedParameters,
      parameters: weights.reduce((sum, { shape }) => sum + numel(shape), 0),
      stepsPerEpoch: perEpoch,
    });
    return {
      ...training,
      ...schedule,
      batch_size: batch,
      steps: total,
      eval_every: Math.min(perEpoch, total),
      checkpoint_every: Math.min(perEpoch, total),
      warmup_steps: Math.min(training.warmup_steps, Math.floor(total / 10)),
      modality_mix: { [this.opened.forward.modality]: 1 },
      keep_top: 1,
    };
  }

  /** Identifies what the run is started with, so that a state is not put into another. */
  private async fingerprintOf(config: TrainingConfig): Promise<string> {
    const { options, source } = this;
    const hashes = await Promise.all(
      [...source.files, ...labelFiles(options)].map(async (path) => (await hashFile(path)).sha256),
    );
    return sha256Hex(Buffer.from(JSON.stringify([identityOf(config), options.seed, options.train, hashes])));
  }

  private async train({ trainer, parameters, config, fingerprint, ranks }: Session): Promise<TrainingOutcome> {
    const { options, source } = this;
    const outcome = await trainSession({
      folder: source.run,
      engine: options.engine.id,
      device: options.device,
      trainer,
      parameters,
      config,
      seed: options.seed,
      resume: options.resume,
      fingerprint,
      writeCheckpoint: (name) =>
        writeTensors(join(source.run, name), [...parameters.tensors().values(), ...parameters.factors()], true),
      ranks,
      ...followedBy(ranks, options),
    });
    if (options.run !== undefined && this.places.release) await drawTrainingCurve(source.run);
    if (outcome.ended === 'not-finite' && !outcome.best)
      throw diverged(outcome, 'Lower `training.lr`. Nothing was written.');
    return outcome;
  }

  private async takeBest(parameters: Parameters, file: string): Promise<void> {
    const kept = await openCheckpoint(join(this.source.run, file));
    try {
      await parameters.set(kept);
    } finally {
      kept.close();
    }
  }

  private refuseForgetting(forgotten: Comparison | null): void {
    const { difference, before, after } = forgotten?.auc ?? { difference: null, before: null, after: null };
    if (difference === null || -difference <= this.options.forget) return;
    throw new HpsError(
      'GATE_FAILED',
      `the AUC on the old labels fell from ${before!.toFixed(4)} to ${after!.toFixed(4)}, more than \`forget\` ${this.options.forget}`,
      {
        hint: 'Lower `training.lr`, train less (`train` head, fewer `epochs`), mix old labels in, or raise `forget`. Nothing was written.',
        details: { forgotten },
      },
    );
  }

  private async write(
    parameters: Parameters,
    config: TrainingConfig,
    facts: Omit<FinetuneReport, 'out' | 'sha256' | 'bytes' | 'checkpoint' | 'gate' | 'lineage' | 'warnings'>,
  ): Promise<FinetuneReport> {
    const { options, source, warnings } = this;
    const { checkpoint } = this.places;
    const release = this.places.release!;
    const origin = 'model' in options.source ? source.files : [options.source.checkpoint];
    const lineage = startLineage(
      { step: 'finetune', options: this.lineageOptions(config) },
      [...origin, ...labelFiles(options)].map((path) => ({ path })),
      options.signal,
    );
    const trained = parameters.tensors();
    const { allowNonfinite } = options;
    const draft = { model: this.withWeights(trained), manifest: source.manifest, lineage, allowNonfinite };
    return release.publish<FinetuneReport>(draft, {
      schema: 'finetune',
      judge: async ({ path }) => {
        const { runGate } = await import('../../gate/gate.js');
        return runGate({
          candidate: path,
          reference: { kind: 'none' },
          level: options.gate,
          seed: String(options.seed),
          ...runOf(options),
        });
      },
      report: async ({ out, sha256, bytes, gate, step }) => ({
        out,
        sha256,
        bytes,
        checkpoint: checkpoint && { name: checkpoint.name, sha256: await this.writeCheckpoint(checkpoint, trained) },
        ...facts,
        gate,
        lineage: [...source.manifest.lineage, step],
        warnings,
      }),
      ...runOf(options),
    });
  }

  /** The graph as it was, with the trained tensors in place of its own. */
  private withWeights(trained: ReadonlyMap<string, Tensor>): OnnxModel {
    const { model } = this.source;
    const { parameters } = this.opened.forward;
    const initializer = model.graph.initializer.map((tensor) => {
      const from = parameters.get(tensor.name ?? '');
      const tuned = from && trained.get(from.key);
      if (!tuned) return tensor;
      const oriented = from.transform === 'transpose' ? transposeMatrix(tuned) : tuned;
      return { name: tensor.name, dims: tensor.dims, dataType: tensor.dataType, rawData: weightOfTensor(oriented) };
    });
    return { ...model, graph: { ...model.graph, initializer } };
  }

  /** @returns its sha256 */
  private async writeCheckpoint(output: StagedOutput, trained: ReadonlyMap<string, Tensor>): Promise<string> {
    const { source } = this.options;
    const original = 'checkpoint' in source ? await openCheckpoint(source.checkpoint) : null;
    try {
      const all = original?.tensors ?? this.opened.tensors;
      const tensors = Array.from(all.values(), (tensor) => trained.get(tensor.name) ?? tensor);
      const sink = await output.create();
      if (/\.(pt|pth|ckpt|bin)$/.test(output.name)) await writeTorchCheckpoint(sink, tensors);
      else await writeSafetensors(sink, tensors, new Map([['format', 'pt']]));
      return (await sink.finish()).sha256;
    } finally {
      original?.close();
    }
  }

  private lineageOptions(config: TrainingConfig): LineageStep['options'] {
    const { train, seed, training, epochs, steps, engine } = this.options;
    const { lr, patience } = config;
    return {
      train,
      seed,
      engine: engine.id,
      epochs: steps === undefined ? (epochs ?? null) : null,
      steps: steps ?? (epochs === undefined ? config.steps : null),
      training: { ...training, lr, patience },
    };
  }

  private warn(warning: string): void {
    this.warnings.push(warning);
  }
}

const noData = (reason: string, details: Record<string, unknown>): HpsError =>
  new HpsError('DATA_INVALID', reason, {
    hint: 'Give rows with votes or scores, of the modality of the model.',
    details,
  });

function checkHeldOut(validation: ModalityData | undefined): void {
  const clusters = new Set(validation?.pairs.map(({ cluster }) => cluster)).size;
  if (clusters >= 2) return;
  throw new HpsError(
    'TOO_FEW_CLUSTERS',
    `${clusters} clusters of pairs are held out: nothing would tell when to stop`,
    {
      hint: 'Give `validation` with labelled pairs, more prompts in `labels`, or a larger training.val_fraction.',
      details: { clusters },
    },
  );
}

async function writeTensors(path: string, tensors: Iterable<Tensor>, force: boolean): Promise<void> {
  await withAtomicOutput(path, { force }, async (output) => {
    const sink = await output.create();
    await writeSafetensors(sink, tensors);
    await sink.finish();
  });
}
