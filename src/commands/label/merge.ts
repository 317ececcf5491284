import * as Args from '@oclif/core/args';
import { HpsCommand } from '../../core/cli/base-command.js';
import { outFlag } from '../../core/cli/flags.js';
import { formatMergedLabels } from '../../core/cli/render-label.js';
import type { MergeLabelsReport } from '../../core/lifecycle/label/merge.js';

export default class LabelMerge extends HpsCommand<MergeLabelsReport> {
  static override summary =
    'Add votes that pages without a connection have saved, and write the labels of a session again.';
  static override description =
    'Each vote is added once, however often its file is given; files are added all together or not at all. Without files the labels are written again, as after a session that was killed.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> votes-o-1b2c.jsonl votes-o-77aa.jsonl --out session',
    '<%= config.bin %> <%= command.id %> --out session',
  ];
  static override args = {
    votes: Args.string({
      multiple: true,
      ignoreStdin: true,
      description: 'What `Save votes to a file` of a page has saved; any number',
    }),
  };
  static override flags = {
    out: outFlag({ required: true, helpValue: 'FOLDER', description: 'Folder of the session' }),
  };

  protected override readonly report = 'label-merge';

  async run(): Promise<MergeLabelsReport> {
    const { args, flags } = await this.parse(LabelMerge);
    const { mergeLabels } = await import('../../core/lifecycle/label/merge.js');
    const report = await mergeLabels({ session: flags.out, files: args.votes ?? [] });
    this.log(formatMergedLabels(report));
    return report;
  }
}
