import * as Args from '@oclif/core/args';
import { HpsCommand } from '../core/cli/base-command.js';
import { forceFlag, outFlag } from '../core/cli/flags.js';
import { formatRunReport } from '../core/cli/render-run-report.js';
import { type RunReport, reportRun } from '../core/lifecycle/report/run-report.js';

export default class Report extends HpsCommand<RunReport> {
  static override summary = 'Summarise the reports of a folder on one page, with pictures.';
  static override description =
    'Reads what evaluate, calibrate, ensemble, quantize, export, finetune and profile wrote, wherever it lies in the folder.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> reports/run',
    '<%= config.bin %> <%= command.id %> reports/run --out summary --force',
    '<%= config.bin %> <%= command.id %> reports/run --out run.html',
  ];
  static override args = {
    folder: Args.string({ required: true, ignoreStdin: true, description: 'Folder with reports' }),
  };
  static override flags = {
    out: outFlag({
      helpValue: 'FOLDER',
      description:
        'Folder to write, or one rendering: a file named .html or .md; summary in the folder of the reports by default',
    }),
    force: forceFlag,
  };

  protected override readonly report = 'run-report';

  async run(): Promise<RunReport> {
    const { args, flags } = await this.parse(Report);
    const report = await this.follow((run) =>
      reportRun({
        folder: args.folder,
        out: flags.out,
        force: flags.force,
        ...run,
      }),
    );
    this.log(formatRunReport(report));
    return report;
  }
}
