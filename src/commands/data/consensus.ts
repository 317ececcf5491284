import * as Flags from '@oclif/core/flags';
import { HpsCommand } from '../../core/cli/base-command.js';
import {
  assertStdoutFree,
  errorsFlag,
  fromFlag,
  inputArg,
  layoutFlags,
  minAgreementFlag,
  processStreams,
  rowsOutFlag,
  toFlag,
} from '../../core/cli/data-flags.js';
import { forceFlag } from '../../core/cli/flags.js';
import { keepHeapSmall } from '../../core/cli/heap.js';
import { allowHostFlag } from '../../core/cli/remote-file-flags.js';
import { formatConsensus } from '../../core/cli/render-data.js';
import { CONSENSUS_METHODS } from '../../core/data/consensus.js';
import { ERROR_CODES } from '../../core/errors.js';
import { CONSENSUS_DEFAULTS, type ConsensusFileReport, consensusFile } from '../../core/lifecycle/data/data-files.js';

export default class DataConsensus extends HpsCommand<ConsensusFileReport> {
  static override summary = 'Write one answer a row from the votes of several raters.';
  static override description =
    `majority: the side with more votes. agreement-weighted: each rater counts by how well they agree with
others. dawid-skene: raters and answers are estimated together; votes need the names of their raters.`;
  static override examples = [
    '<%= config.bin %> <%= command.id %> labels.jsonl --out consensus.jsonl',
    '<%= config.bin %> <%= command.id %> labels.csv --out consensus.csv --method dawid-skene --min-agreement 0.7',
  ];
  static override args = { input: inputArg };
  static override flags = {
    method: Flags.option({
      options: CONSENSUS_METHODS,
      default: CONSENSUS_DEFAULTS.method,
      description: 'How votes become one answer; dawid-skene needs named raters',
    })(),
    'min-agreement': minAgreementFlag,
    out: rowsOutFlag,
    to: toFlag,
    from: fromFlag,
    ...layoutFlags,
    errors: errorsFlag,
    'allow-host': allowHostFlag,
    force: forceFlag,
  };

  protected override readonly report = 'data-consensus';

  async run(): Promise<ConsensusFileReport> {
    const { args, flags } = await this.parse(DataConsensus);
    keepHeapSmall();
    assertStdoutFree(flags.out, this.jsonEnabled());
    const { 'min-agreement': minAgreement, ...rest } = flags;
    const report = await this.follow((run) =>
      consensusFile({
        input: args.input,
        ...rest,
        minAgreement,
        streams: processStreams(),
        remote: { hosts: flags['allow-host'] },
        ...run,
      }),
    );
    this.logToStderr(formatConsensus(report));
    if (report.input.badRows > 0) process.exitCode = ERROR_CODES.ROWS_FAILED.exit;
    return report;
  }
}
