import * as Flags from '@oclif/core/flags';
import { HpsCommand } from '../core/cli/base-command.js';
import { cacheFlag, configFlag, forceFlag, outFlag, seedFlag } from '../core/cli/flags.js';
import { rankFlags, ranksOf } from '../core/cli/rank-flags.js';
import { allowHostFlag } from '../core/cli/remote-file-flags.js';
import { formatTrain, keptRun } from '../core/cli/render-train.js';
import { deviceFlag } from '../core/cli/scoring-flags.js';
import { ERROR_CODES, HpsError } from '../core/errors.js';
import { type TrainReport, trainModel } from '../core/lifecycle/train/train.js';

export default class Train extends HpsCommand<TrainReport> {
  static override summary = 'Train a model from scratch on labelled pairs and items of several modalities.';
  static override description = [
    'The configuration has the sections model (sizes) and training (the recipe). The folder gets checkpoint.safetensors (the best',
    'by validation AUC), config.json, tokenizer.json, log.jsonl, environment.json (what it ran on: system, processor, driver, versions), curve.svg and',
    'state.safetensors, from which --resume continues bit for bit.',
  ].join(' ');
  static override examples = [
    '<%= config.bin %> <%= command.id %> --config configs/hpsv3_nano.yaml --labels synth --out run',
    '<%= config.bin %> <%= command.id %> --config mini.yaml --labels synth-1 --labels synth-2 --val synth-3 --out run --resume',
  ];
  static override flags = {
    config: { ...configFlag, required: true } as typeof configFlag,
    labels: Flags.string({
      aliases: ['data'],
      multiple: true,
      required: true,
      helpValue: 'PATH',
      description: 'Folder that `hpsv3 synth` wrote, or a file of labels; may be given several times',
    }),
    val: Flags.string({
      multiple: true,
      default: [],
      helpValue: 'PATH',
      description: 'The same, held out; by default a share of the clusters of --labels',
    }),
    'media-root': Flags.string({
      helpValue: 'FOLDER',
      description: 'Where the media paths of rows are taken from; by default the folder of their file',
    }),
    cache: cacheFlag,
    checkpoint: Flags.string({ helpValue: 'FILE', description: 'Checkpoint to start from; random weights otherwise' }),
    tokenizer: Flags.string({
      helpValue: 'FILE',
      description: 'tokenizer.json; by default the one beside --checkpoint, else one of bytes',
    }),
    out: outFlag({ required: true, helpValue: 'FOLDER', description: 'Folder of the run' }),
    resume: Flags.boolean({ description: 'Resume the run in --out' }),
    device: deviceFlag(),
    threads: Flags.integer({ min: 1, max: 1024, description: 'Threads inside one operator; the cores by default' }),
    ...rankFlags,
    'allow-host': allowHostFlag,
    seed: seedFlag,
    force: forceFlag,
  };

  protected override readonly report = 'train';

  async run(): Promise<TrainReport> {
    const { flags } = await this.parse(Train);
    const file = this.configFile;
    if (!file?.model) {
      throw new HpsError('CONFIG_INVALID', `${file?.name ?? 'the configuration'}: has no model section`, {
        hint: 'Start from configs/hpsv3_nano.yaml.',
      });
    }
    const { name, model, training } = file;
    const ranks = ranksOf(flags);
    this.isFollower = (ranks?.rank ?? 0) > 0;
    const report = await this.follow(
      (run) =>
        trainModel({
          config: { name, model, training },
          data: flags.labels,
          validation: flags.val,
          mediaRoot: flags['media-root'],
          cache: flags.cache,
          checkpoint: flags.checkpoint,
          tokenizer: flags.tokenizer,
          out: flags.out,
          resume: flags.resume,
          force: flags.force,
          device: flags.device,
          threads: flags.threads,
          seed: flags.seed,
          ranks,
          remote: { hosts: flags['allow-host'] },
          ...run,
        }),
      () => keptRun(flags.out),
    );
    this.log(formatTrain(report));
    if (report.failed > 0) process.exitCode = ERROR_CODES.ROWS_FAILED.exit;
    return report;
  }
}
