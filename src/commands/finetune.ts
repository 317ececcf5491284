import * as Flags from '@oclif/core/flags';
import { HpsCommand } from '../core/cli/base-command.js';
import { layoutFlags } from '../core/cli/data-flags.js';
import {
  allowNonfiniteFlag,
  cacheFlag,
  configFlag,
  forceFlag,
  gateFlag,
  modelFlag,
  outFlag,
  seedFlag,
} from '../core/cli/flags.js';
import { rankFlags, ranksOf } from '../core/cli/rank-flags.js';
import { allowHostFlag } from '../core/cli/remote-file-flags.js';
import { formatFinetune } from '../core/cli/render-finetune.js';
import { keptRun } from '../core/cli/render-train.js';
import { deviceFlag } from '../core/cli/scoring-flags.js';
import { filled } from '../core/defaults.js';
import { ERROR_CODES, HpsError } from '../core/errors.js';
import {
  FINETUNE_DEFAULTS,
  FINETUNE_TRAINING,
  type FinetuneOptions,
  type FinetuneReport,
  finetuneModel,
} from '../core/lifecycle/train/finetune.js';
import { MODALITIES } from '../core/onnx/manifest-names.js';
import type { Run } from '../core/run.js';
import { ENGINE_IDS } from '../core/training/engines/engine.js';

const number = Flags.custom<number>({
  parse: async (text) => {
    const value = Number(text);
    if (text.trim() !== '' && Number.isFinite(value) && value >= 0) return value;
    throw new HpsError('USAGE', `expected a number of at least 0, got ${text}`, { hint: 'Write it as 1e-5.' });
  },
  helpValue: 'N',
});

export default class Finetune extends HpsCommand<FinetuneReport> {
  static override summary = 'Adapt a model to a domain by a few hundred labels.';
  static override description = [
    'The result is the same graph with new weights. It is compared with the model it started from: on held-out new labels',
    '(what was gained), and on --old labels (what was forgotten; more than --forget is refused with exit code 3).',
  ].join(' ');
  static override examples = [
    '<%= config.bin %> <%= command.id %> --model pair.onnx --labels train.jsonl --out tuned.onnx',
    '<%= config.bin %> <%= command.id %> --checkpoint model.safetensors --modality text --labels train.jsonl --old old.jsonl --out tuned.onnx --out-checkpoint tuned.pt',
  ];
  static override flags = {
    model: modelFlag({
      description: 'Model to start from',
      exactlyOne: ['model', 'checkpoint'],
    }),
    checkpoint: Flags.string({ helpValue: 'FILE', description: 'Checkpoint to start from; it is exported first' }),
    modality: Flags.option({ options: MODALITIES, description: 'What to export --checkpoint for' })(),
    tokenizer: Flags.string({
      helpValue: 'FILE',
      description: 'tokenizer.json; by default the one beside --checkpoint',
    }),
    labels: Flags.string({
      multiple: true,
      required: true,
      helpValue: 'PATH',
      description: 'File of labels, or folder that `hpsv3 synth` wrote; may be given several times',
    }),
    val: Flags.string({
      multiple: true,
      default: [],
      helpValue: 'PATH',
      description: 'Held-out labels; by default a share of the clusters of --labels',
    }),
    old: Flags.string({
      multiple: true,
      default: [],
      helpValue: 'PATH',
      description: 'Labels of the old domain, to see what is forgotten',
    }),
    forget: number({ default: FINETUNE_DEFAULTS.forget, description: 'Largest accepted loss of AUC on --old' }),
    'media-root': Flags.string({
      helpValue: 'FOLDER',
      description: 'Where the media paths of rows are taken from; by default the folder of their file',
    }),
    cache: cacheFlag,
    out: outFlag({ required: true, helpValue: 'FILE.onnx', description: 'Model to write' }),
    'out-checkpoint': Flags.string({
      aliases: ['checkpoint-out'],
      helpValue: 'FILE',
      description: 'Checkpoint to write too: F.safetensors, or F.pt for PyTorch',
    }),
    train: Flags.string({
      default: FINETUNE_DEFAULTS.train,
      helpValue: 'head|fusion|all|GLOB',
      description: 'What is trained; a glob is over checkpoint names',
    }),
    lora: Flags.integer({
      min: 1,
      max: 1024,
      helpValue: 'RANK',
      description: 'Adapts the matrices among them by factors of this rank, merged at the end',
    }),
    lr: number({
      description:
        'Peak learning rate; by the share of the weights that is trained: 1e-3 for a tenth and less, 1e-4 for all',
    }),
    mixup: number({
      description: `Beta(a, a) of the mixing of embeddings and labels; 0 for none (${FINETUNE_TRAINING.mixup})`,
    }),
    'batch-size': Flags.integer({
      min: 1,
      max: 65_536,
      description: `Pairs in one step (${FINETUNE_TRAINING.batch_size})`,
    }),
    epochs: Flags.integer({
      min: 1,
      max: 100_000,
      description: 'Passes over the labels (10, and as many more as make 300 steps)',
    }),
    steps: Flags.integer({ min: 1, max: 100_000_000, description: 'Steps, instead of --epochs' }),
    patience: Flags.integer({
      min: 0,
      max: 100_000,
      description:
        'Epochs without a better held-out AUC before training stops; 0 to go on (3, and as many more as make 75 steps)',
    }),
    engine: Flags.option({
      options: ENGINE_IDS,
      default: FINETUNE_DEFAULTS.engine,
      description: 'What runs the training steps',
    })(),
    device: deviceFlag(),
    threads: Flags.integer({ min: 1, max: 1024, description: 'Threads inside one operator; the cores by default' }),
    run: Flags.string({ helpValue: 'FOLDER', description: 'Keeps log and state of the run there, for --resume' }),
    resume: Flags.boolean({ description: 'Resume the run in --run' }),
    gate: gateFlag,
    'allow-nonfinite': allowNonfiniteFlag,
    ...layoutFlags,
    config: configFlag,
    ...rankFlags,
    'allow-host': allowHostFlag,
    seed: seedFlag,
    force: forceFlag,
  };

  protected override readonly report = 'finetune';

  async run(): Promise<FinetuneReport> {
    const { flags } = await this.parse(Finetune);
    const file = this.configFile;
    const source: FinetuneOptions['source'] =
      flags.model !== undefined
        ? { model: flags.model }
        : {
            checkpoint: flags.checkpoint!,
            modality: flags.modality,
            tokenizer: flags.tokenizer,
            ...(file?.model ? { config: { name: file.name, model: file.model } } : {}),
          };
    const ranks = ranksOf(flags);
    this.isFollower = (ranks?.rank ?? 0) > 0;
    const work = (run: Run) =>
      finetuneModel({
        source,
        labels: flags.labels,
        layout: flags.layout,
        map: flags.map,
        validation: flags.val,
        old: flags.old,
        forget: flags.forget,
        mediaRoot: flags['media-root'],
        cache: flags.cache,
        out: flags.out,
        checkpointOut: flags['out-checkpoint'],
        train: flags.train,
        training: filled(
          {
            lr: flags.lr,
            mixup: flags.mixup,
            batch_size: flags['batch-size'],
            patience: flags.patience,
            lora_rank: flags.lora,
          },
          file?.training ?? {},
        ),
        epochs: flags.epochs,
        steps: flags.steps,
        engine: flags.engine,
        device: flags.device,
        threads: flags.threads,
        seed: flags.seed,
        ranks,
        gate: flags.gate,
        allowNonfinite: flags['allow-nonfinite'],
        force: flags.force,
        run: flags.run,
        resume: flags.resume,
        remote: { hosts: flags['allow-host'] },
        ...run,
      });
    const report = await this.follow(work, flags.run === undefined ? undefined : () => keptRun(flags.run!));
    this.log(formatFinetune(report));
    if (report.failed > 0) process.exitCode = ERROR_CODES.ROWS_FAILED.exit;
    return report;
  }
}
