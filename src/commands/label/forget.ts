import * as Args from '@oclif/core/args';
import { HpsCommand } from '../../core/cli/base-command.js';
import { formatForgotten } from '../../core/cli/render-label.js';
import type { ForgetRaterReport } from '../../core/lifecycle/label/forget.js';

export default class LabelForget extends HpsCommand<ForgetRaterReport> {
  static override summary = "Make the votes of a rater nobody's: the name goes from log, labels and list.";
  static override description =
    'The votes still count, each for itself; of their times the day is left. Copies of labels that were made before are not reached.';
  static override examples = ['<%= config.bin %> <%= command.id %> session r7'];
  static override args = {
    session: Args.string({ required: true, description: 'Folder of the session' }),
    rater: Args.string({ required: true, description: 'The name, as it stands in the labels' }),
  };

  protected override readonly report = 'label-forget';

  async run(): Promise<ForgetRaterReport> {
    const { args } = await this.parse(LabelForget);
    const { forgetRater } = await import('../../core/lifecycle/label/forget.js');
    const report = await forgetRater(args);
    this.log(formatForgotten(report));
    return report;
  }
}
