import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { HpsCommand } from '../../core/cli/base-command.js';
import { fromFlag, toFlag } from '../../core/cli/data-flags.js';
import { forceFlag, outFlag } from '../../core/cli/flags.js';
import { formatMerge } from '../../core/cli/render-batch.js';
import { ERROR_CODES } from '../../core/errors.js';
import { type MergeReport, mergeShards } from '../../core/lifecycle/score/merge-shards.js';

export default class BatchMerge extends HpsCommand<MergeReport> {
  static override summary =
    'Join the outputs of shards in the order of their input, and prove that no row is missing or twice there.';
  static override description =
    'Shards are files of batch --shard in any of the formats, with FILE.manifest.json and the failed rows in FILE.errors.jsonl beside each. Shards that were scored with other settings (model, calibrator, batch size, device, versions) are refused.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> scores-*.jsonl --input pairs.jsonl --out scores.jsonl',
  ];
  static override args = {
    shards: Args.string({
      required: true,
      multiple: true,
      ignoreStdin: true,
      description: 'Outputs of all shards, in any order',
    }),
  };
  static override flags = {
    input: Flags.string({ required: true, helpValue: 'FILE', description: 'The file that was scored' }),
    out: outFlag({ required: true, helpValue: 'FILE', description: 'File to write' }),
    from: fromFlag,
    to: toFlag,
    errors: Flags.string({ helpValue: 'FILE', description: 'File for failed rows; by default OUT.errors.jsonl' }),
    force: forceFlag,
  };

  protected override readonly report = 'batch-merge';

  async run(): Promise<MergeReport> {
    const { args, flags } = await this.parse(BatchMerge);
    const report = await this.follow((run) => mergeShards({ ...flags, shards: args.shards, ...run }));
    this.logToStderr(formatMerge(report));
    if (report.failed > 0) process.exitCode = ERROR_CODES.ROWS_FAILED.exit;
    return report;
  }
}
