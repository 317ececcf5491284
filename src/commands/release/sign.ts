import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { HpsCommand } from '../../core/cli/base-command.js';
import { forceFlag } from '../../core/cli/flags.js';
import { type SignReport, signRelease } from '../../core/lifecycle/release/sign.js';

export default class ReleaseSign extends HpsCommand<SignReport> {
  static override summary = 'Sign the files of a folder, as OpenSSF Model Signing 1.0 says.';
  static override description =
    'Writes model.sig into the folder, and its hash into SHA256SUMS where there is one. The key is elliptic, on P-256, P-384 or P-521, in PEM.';
  static override examples = ['<%= config.bin %> <%= command.id %> hpsv3_release --key release.pem'];
  static override args = {
    folder: Args.string({
      required: true,
      ignoreStdin: true,
      description: 'Folder of a release, unpacked, or of a model',
    }),
  };
  static override flags = {
    key: Flags.string({ required: true, helpValue: 'KEY.pem', description: 'Private key, which nobody else can read' }),
    force: forceFlag,
  };

  protected override readonly report = 'release-signature';

  async run(): Promise<SignReport> {
    const { args, flags } = await this.parse(ReleaseSign);
    const report = await this.follow((run) =>
      signRelease({ folder: args.folder, key: flags.key, force: flags.force, ...run }),
    );
    this.log(`Signed: ${report.files} files, ${report.signature}`);
    return report;
  }
}
