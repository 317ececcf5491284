import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { HpsCommand } from '../../core/cli/base-command.js';
import { seedFlag } from '../../core/cli/flags.js';
import { formatDiffCards } from '../../core/cli/render-modelcard.js';
import { ERROR_CODES } from '../../core/errors.js';
import { type DiffCardsReport, diffModelCards } from '../../core/lifecycle/card/diff.js';

export default class DiffModelCards extends HpsCommand<DiffCardsReport> {
  static override summary = 'Compare two model cards group by group: regressed, improved or undecided.';
  static override description =
    "Both models are judged on the rows that both scored, under the same resamples of prompts, from the scores and labels that the\ncards are bound to. A verdict stands after Holm's correction for all figures of all groups.";
  static override examples = [
    '<%= config.bin %> <%= command.id %> cards/v1 cards/v2',
    '<%= config.bin %> <%= command.id %> cards/v1 cards/v2 --strict --json',
  ];
  static override args = {
    before: Args.string({ required: true, ignoreStdin: true, description: 'Folder of the earlier card' }),
    after: Args.string({ required: true, ignoreStdin: true, description: 'Folder of the later card' }),
  };
  static override flags = {
    files: Flags.string({
      helpValue: 'FOLDER',
      multiple: true,
      description: 'Where files lie that a card knows by their hashes',
    }),
    resamples: Flags.integer({
      min: 100,
      max: 100_000,
      description: 'Resamples of prompts for intervals; 2000 by default',
    }),
    strict: Flags.boolean({ description: 'Exit 3 where anything regressed' }),
    seed: seedFlag,
  };

  protected override readonly report = 'card-diff';

  async run(): Promise<DiffCardsReport> {
    const { args, flags } = await this.parse(DiffModelCards);
    const report = await this.follow((run) =>
      diffModelCards({
        before: args.before,
        after: args.after,
        files: flags.files,
        resamples: flags.resamples,
        seed: flags.seed,
        ...run,
      }),
    );
    this.log(formatDiffCards(report));
    if (flags.strict && report.regressed > 0) process.exitCode = ERROR_CODES.GATE_FAILED.exit;
    return report;
  }
}
