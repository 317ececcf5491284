import { HpsCommand } from '../../core/cli/base-command.js';
import {
  errorsFlag,
  fractionsFlag,
  fromFlag,
  inputArg,
  layoutFlags,
  processStreams,
  toFlag,
} from '../../core/cli/data-flags.js';
import { forceFlag, outFlag, seedFlag } from '../../core/cli/flags.js';
import { keepHeapSmall } from '../../core/cli/heap.js';
import { allowHostFlag } from '../../core/cli/remote-file-flags.js';
import { formatSplit } from '../../core/cli/render-data.js';
import { ERROR_CODES } from '../../core/errors.js';
import { type SplitFileReport, splitFile } from '../../core/lifecycle/data/data-files.js';

export default class DataSplit extends HpsCommand<SplitFileReport> {
  static override summary = 'Split rows into parts by cluster: rows of one prompt stay together.';
  static override description =
    'The part of a cluster depends on its name and the seed alone, so it stays where it is when rows are added.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> labels.jsonl --out parts',
    '<%= config.bin %> <%= command.id %> labels.csv --fractions fit=0.7,test=0.3 --seed 1 --out parts',
  ];
  static override args = { input: inputArg };
  static override flags = {
    fractions: fractionsFlag,
    out: outFlag({
      required: true,
      helpValue: 'FOLDER',
      description: 'Folder for the files of the parts; made where it is missing',
    }),
    to: toFlag,
    from: fromFlag,
    ...layoutFlags,
    errors: errorsFlag,
    'allow-host': allowHostFlag,
    seed: seedFlag,
    force: forceFlag,
  };

  protected override readonly report = 'data-split';

  async run(): Promise<SplitFileReport> {
    const { args, flags } = await this.parse(DataSplit);
    keepHeapSmall();
    const report = await this.follow((run) =>
      splitFile({
        input: args.input,
        ...flags,
        streams: processStreams(),
        remote: { hosts: flags['allow-host'] },
        ...run,
      }),
    );
    this.logToStderr(formatSplit(report));
    if (report.input.badRows > 0) process.exitCode = ERROR_CODES.ROWS_FAILED.exit;
    return report;
  }
}
