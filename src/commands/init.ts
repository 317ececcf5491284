import * as Flags from '@oclif/core/flags';
import { HpsCommand } from '../core/cli/base-command.js';
import { forceFlag, outFlag, seedFlag } from '../core/cli/flags.js';
import { formatInit } from '../core/cli/render-init.js';
import { HpsError } from '../core/errors.js';
import { type InitReport, initCheckpoint } from '../core/lifecycle/init/init.js';

export default class Init extends HpsCommand<InitReport> {
  static override summary =
    'Write a seeded random checkpoint that PyTorch loads, with its config.json and tokenizer.json.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> --config configs/hpsv3_nano.yaml --seed 1 --out nano/checkpoint.safetensors',
    '<%= config.bin %> <%= command.id %> --config configs/hpsv3_base.yaml --out base/checkpoint.pt',
  ];
  static override flags = {
    config: Flags.string({
      required: true,
      helpValue: 'FILE',
      description: 'YAML or JSON file with the model section',
    }),
    out: outFlag({ required: true, helpValue: 'FILE', description: 'Checkpoint to write: F.safetensors or F.pt' }),
    seed: seedFlag,
    force: forceFlag,
  };

  protected override readonly report = 'init';

  async run(): Promise<InitReport> {
    const { flags } = await this.parse(Init);
    const model = this.configFile?.model;
    if (!model) {
      throw new HpsError('CONFIG_INVALID', `${this.configFile?.name}: has no model section`, {
        hint: 'Start from configs/hpsv3_nano.yaml.',
      });
    }
    const config = { name: this.configFile?.name ?? '', model };
    const report = await this.follow((run) =>
      initCheckpoint({
        config,
        seed: flags.seed,
        out: flags.out,
        force: flags.force,
        ...run,
      }),
    );
    this.log(formatInit(report));
    return report;
  }
}
