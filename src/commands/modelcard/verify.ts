import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { HpsCommand } from '../../core/cli/base-command.js';
import { formatVerifyCard } from '../../core/cli/render-modelcard.js';
import { ERROR_CODES } from '../../core/errors.js';
import { VERIFY_CARD_DEFAULTS, type VerifyCardReport, verifyModelCard } from '../../core/lifecycle/card/verify.js';

export default class VerifyModelCard extends HpsCommand<VerifyCardReport> {
  static override summary = 'Hold a model card to the files it is bound to; exit 3 where a number differs.';
  static override description =
    `Hashes every bound file, reads the reports again, computes the figures of evaluations from their scores and labels
again, and renders the card again. What differs is listed, number by number.`;
  static override examples = [
    '<%= config.bin %> <%= command.id %> card',
    '<%= config.bin %> <%= command.id %> card --files data --strict --json',
  ];
  static override args = {
    folder: Args.string({
      required: true,
      ignoreStdin: true,
      description: 'Folder of the card, or the one it lies in as card',
    }),
  };
  static override flags = {
    files: Flags.string({
      helpValue: 'FOLDER',
      multiple: true,
      description: 'Where files lie that the card knows by their hashes',
    }),
    recompute: Flags.boolean({
      default: VERIFY_CARD_DEFAULTS.recompute,
      allowNo: true,
      description: 'Compute figures from scores and labels again, not only hash and compare',
    }),
    strict: Flags.boolean({
      description: 'Exit 3 also where the figures of an evaluation could not be computed again',
    }),
  };

  protected override readonly report = 'card-verification';

  async run(): Promise<VerifyCardReport> {
    const { args, flags } = await this.parse(VerifyModelCard);
    const report = await this.follow((run) =>
      verifyModelCard({
        folder: args.folder,
        files: flags.files,
        recompute: flags.recompute,
        ...run,
      }),
    );
    this.log(formatVerifyCard(report));
    const { total, recomputed } = report.evaluations;
    const complete = total > 0 && recomputed === total;
    if (!report.passed || (flags.strict && !complete)) process.exitCode = ERROR_CODES.CHECKSUM_MISMATCH.exit;
    return report;
  }
}
