import { HpsCommand } from '../../core/cli/base-command.js';
import {
  assertStdoutFree,
  errorsFlag,
  fromFlag,
  inputArg,
  layoutFlags,
  processStreams,
  rowsOutFlag,
  toFlag,
  toLayoutFlag,
} from '../../core/cli/data-flags.js';
import { forceFlag, seedFlag } from '../../core/cli/flags.js';
import { keepHeapSmall } from '../../core/cli/heap.js';
import { allowHostFlag } from '../../core/cli/remote-file-flags.js';
import { formatConvert } from '../../core/cli/render-data.js';
import { ERROR_CODES } from '../../core/errors.js';
import { type ConvertFileReport, convertFile } from '../../core/lifecycle/data/data-files.js';

export default class DataConvert extends HpsCommand<ConvertFileReport> {
  static override summary = 'Write rows or scores in another format: JSONL, CSV or Parquet.';
  static override description =
    'Bad rows go to OUT.errors.jsonl with their line numbers, the rest is written, and the exit code is then 6. Where no row is left, no file is written.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> labels.csv --out labels.jsonl',
    '<%= config.bin %> <%= command.id %> labels.jsonl --out labels.parquet',
    '<%= config.bin %> <%= command.id %> labels.jsonl.gz --out labels.csv',
    '<%= config.bin %> <%= command.id %> hh-rlhf.jsonl.gz --out labels.jsonl',
    '<%= config.bin %> <%= command.id %> answers.csv --map left=answer_a,right=answer_b,context=question,label=human --out labels.jsonl',
    'cat labels.csv | <%= config.bin %> <%= command.id %> - --out - --to jsonl',
  ];
  static override args = { input: inputArg };
  static override flags = {
    out: rowsOutFlag,
    to: toFlag,
    'to-layout': toLayoutFlag,
    'allow-host': allowHostFlag,
    seed: seedFlag,
    from: fromFlag,
    ...layoutFlags,
    errors: errorsFlag,
    force: forceFlag,
  };

  protected override readonly report = 'data-convert';

  async run(): Promise<ConvertFileReport> {
    const { args, flags } = await this.parse(DataConvert);
    keepHeapSmall();
    assertStdoutFree(flags.out, this.jsonEnabled());
    const { 'to-layout': toLayout, ...rest } = flags;
    const report = await this.follow((run) =>
      convertFile({
        input: args.input,
        ...rest,
        toLayout,
        streams: processStreams(),
        remote: { hosts: flags['allow-host'] },
        ...run,
      }),
    );
    this.logToStderr(formatConvert(report));
    if (report.input.badRows > 0) process.exitCode = ERROR_CODES.ROWS_FAILED.exit;
    return report;
  }
}
