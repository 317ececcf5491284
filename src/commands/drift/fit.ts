import { HpsCommand } from '../../core/cli/base-command.js';
import { windowFlags, windowOf } from '../../core/cli/drift-flags.js';
import { configFlag, forceFlag, outFlag, quietFlag, seedFlag } from '../../core/cli/flags.js';
import { formatDriftFit } from '../../core/cli/render-drift.js';
import { type FitDriftReport, fitDrift } from '../../core/lifecycle/drift/fit.js';

export default class FitDrift extends HpsCommand<FitDriftReport> {
  static override summary = 'Take down what scores and inputs are like, to tell later whether they have moved.';
  static override description =
    `Reads scores of batch, the log of serve, or the file of any other scorer, and keeps figures of at most 10,000 rows
of whole clusters (prompts): scores, how inputs were prepared, groups, and by which model. No content is kept. With
--labels it also keeps how well probabilities held, which bounds what can be said later without labels.`;
  static override examples = [
    '<%= config.bin %> <%= command.id %> --scores scores.jsonl --labels labels.jsonl --out reference.json',
    '<%= config.bin %> <%= command.id %> --log logs --out reference.json',
    '<%= config.bin %> <%= command.id %> --scores rewards.csv --score reward --cluster question --out reference.json',
  ];
  static override flags = {
    ...windowFlags,
    out: outFlag({ required: true, helpValue: 'FILE', description: 'Reference to write' }),
    config: configFlag,
    seed: seedFlag,
    force: forceFlag,
    quiet: quietFlag,
  };

  protected override readonly report = 'drift-fit';

  async run(): Promise<FitDriftReport> {
    const { flags } = await this.parse(FitDrift);
    const { out, force, seed } = flags;
    const report = await this.follow((run) => fitDrift({ ...windowOf(flags), out, force, seed, ...run }));
    this.log(formatDriftFit(report));
    return report;
  }
}
