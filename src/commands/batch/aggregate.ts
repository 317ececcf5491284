import * as Flags from '@oclif/core/flags';
import { HpsCommand } from '../../core/cli/base-command.js';
import { layoutFlags } from '../../core/cli/data-flags.js';
import { forceFlag, outFlag, seedFlag } from '../../core/cli/flags.js';
import { formatFitWindows } from '../../core/cli/render-batch.js';
import { FIT_WINDOWS_DEFAULTS, type FitWindowsReport, fitWindows } from '../../core/lifecycle/score/fit-windows.js';

export default class BatchAggregate extends HpsCommand<FitWindowsReport> {
  static override summary = 'Fit to labels how the logit of an item comes from those of its windows.';
  static override description =
    'A window of logit l counts in proportion to exp(-sharpness * l): 0 is the mean of the windows, and the higher, the more the lowest decide. The rule goes to --aggregate of score, batch and embed, with the same --window and --stride. It is compared with the mean, the worst and the last window on prompts that it was not fitted to.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> --scores scores.jsonl --labels labels.jsonl --out rule.json',
  ];
  static override flags = {
    scores: Flags.string({
      required: true,
      helpValue: 'FILE',
      description: 'Scores of one model, made with --window',
    }),
    labels: Flags.string({ required: true, helpValue: 'FILE', description: 'Human labels: JSONL, CSV or Parquet' }),
    ...layoutFlags,
    out: outFlag({ required: true, helpValue: 'FILE', description: 'The rule to write' }),
    folds: Flags.integer({
      default: FIT_WINDOWS_DEFAULTS.folds,
      min: 2,
      max: 50,
      description: 'Folds of the cross-validation, by prompt_id',
    }),
    resamples: Flags.integer({
      default: FIT_WINDOWS_DEFAULTS.resamples,
      min: 100,
      max: 10_000,
      description: 'Resamples of prompts for the interval of the sharpness',
    }),
    seed: seedFlag,
    force: forceFlag,
  };

  protected override readonly report = 'batch-aggregate';

  async run(): Promise<FitWindowsReport> {
    const { flags } = await this.parse(BatchAggregate);
    const report = await this.follow((run) => fitWindows({ ...flags, ...run }));
    this.log(formatFitWindows(report));
    return report;
  }
}
