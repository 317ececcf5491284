import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { HpsCommand } from '../../core/cli/base-command.js';
import { quietFlag } from '../../core/cli/flags.js';
import { formatReleaseDemo } from '../../core/cli/render-release-demo.js';
import { deviceFlag } from '../../core/cli/scoring-flags.js';
import { ERROR_CODES } from '../../core/errors.js';
import { demoRelease, type ReleaseDemoReport } from '../../core/lifecycle/release/demo.js';

export default class ReleaseDemo extends HpsCommand<ReleaseDemoReport> {
  static override summary = 'Score the samples of a release; exit 3 where a score is not the one recorded.';
  static override description =
    'Scores must be the same to the bit on the kind of machine that recorded them, and within 1e-4 elsewhere.';
  static override examples = ['<%= config.bin %> <%= command.id %> hpsv3_release'];
  static override args = {
    folder: Args.string({ required: true, ignoreStdin: true, description: 'Folder of a release, unpacked' }),
  };
  static override flags = {
    input: Flags.string({
      helpValue: 'ROWS',
      description: 'Rows to score; sample_inputs.json of the release by default',
    }),
    device: deviceFlag(),
    quiet: quietFlag,
  };

  protected override readonly report = 'release-demo';

  async run(): Promise<ReleaseDemoReport> {
    const { args, flags } = await this.parse(ReleaseDemo);
    const report = await this.follow((run) =>
      demoRelease({ folder: args.folder, input: flags.input, device: flags.device, ...run }),
    );
    this.log(formatReleaseDemo(report));
    if (!report.passed) process.exitCode = ERROR_CODES.CHECKSUM_MISMATCH.exit;
    return report;
  }
}
