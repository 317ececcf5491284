import * as Flags from '@oclif/core/flags';
import { HpsCommand } from '../../core/cli/base-command.js';
import { fromFlag, inputArg, layoutFlags, processStreams } from '../../core/cli/data-flags.js';
import { forceFlag } from '../../core/cli/flags.js';
import { keepHeapSmall } from '../../core/cli/heap.js';
import { allowHostFlag } from '../../core/cli/remote-file-flags.js';
import { formatDataStats } from '../../core/cli/render-data.js';
import { ERROR_CODES } from '../../core/errors.js';
import { type DataStatsReport, statsOfFile } from '../../core/lifecycle/data/data-files.js';

export default class DataStatistics extends HpsCommand<DataStatsReport> {
  static override summary = 'Count what a data file holds: rows, clusters, votes, agreement, groups.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> labels.jsonl',
    '<%= config.bin %> <%= command.id %> labels.parquet --json',
  ];
  static override args = { input: inputArg };
  static override flags = {
    from: fromFlag,
    ...layoutFlags,
    errors: Flags.string({ helpValue: 'FILE', description: 'File for refused rows with their line numbers' }),
    'allow-host': allowHostFlag,
    force: forceFlag,
  };

  protected override readonly report = 'data-stats';

  async run(): Promise<DataStatsReport> {
    const { args, flags } = await this.parse(DataStatistics);
    keepHeapSmall();
    const report = await this.follow((run) =>
      statsOfFile({
        input: args.input,
        ...flags,
        streams: processStreams(),
        remote: { hosts: flags['allow-host'] },
        ...run,
      }),
    );
    this.log(formatDataStats(report));
    if (report.input.badRows > 0) process.exitCode = ERROR_CODES.ROWS_FAILED.exit;
    return report;
  }
}
