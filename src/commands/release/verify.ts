import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { HpsCommand } from '../../core/cli/base-command.js';
import { quietFlag } from '../../core/cli/flags.js';
import { formatVerifyRelease } from '../../core/cli/render-release.js';
import { ERROR_CODES } from '../../core/errors.js';
import { type VerifyReleaseReport, verifyRelease } from '../../core/lifecycle/release/verify.js';

export default class ReleaseVerify extends HpsCommand<VerifyReleaseReport> {
  static override summary =
    'Hold a release to its checksums, signature, card, bill of materials and scores; exit 3 with every fault.';
  static override description =
    `An archive is unpacked into a folder of its own; one that would write elsewhere, or holds links, is refused (exit 5). Where SHA256SUMS lies
beside an archive, it is held to that as well. Nothing is asked of the network.`;
  static override examples = [
    '<%= config.bin %> <%= command.id %> hpsv3_release_linux_x86_64.tar.gz --public-key release.pem.pub',
    '<%= config.bin %> <%= command.id %> hpsv3_release',
  ];
  static override args = {
    release: Args.string({ required: true, ignoreStdin: true, description: 'An archive, or the folder it unpacks to' }),
  };
  static override flags = {
    'public-key': Flags.string({
      helpValue: 'KEY.pub',
      description: 'The public key, PEM, that it must be signed with: from where you trust it to be',
    }),
    quiet: quietFlag,
  };

  protected override readonly report = 'release-verification';

  async run(): Promise<VerifyReleaseReport> {
    const { args, flags } = await this.parse(ReleaseVerify);
    const report = await this.follow((run) =>
      verifyRelease({ path: args.release, publicKey: flags['public-key'], ...run }),
    );
    this.log(formatVerifyRelease(report));
    if (!report.passed) process.exitCode = ERROR_CODES.CHECKSUM_MISMATCH.exit;
    return report;
  }
}
