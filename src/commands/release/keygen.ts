import { HpsCommand } from '../../core/cli/base-command.js';
import { forceFlag, outFlag } from '../../core/cli/flags.js';
import { type KeygenReport, makeSigningKey } from '../../core/lifecycle/release/sign.js';

export default class ReleaseKeygen extends HpsCommand<KeygenReport> {
  static override summary = 'Make a key pair for signatures of releases: elliptic, on the curve P-256.';
  static override examples = ['<%= config.bin %> <%= command.id %> --out release.pem'];
  static override flags = {
    out: outFlag({
      required: true,
      helpValue: 'KEY.pem',
      description: 'File for the private key; the public one goes to KEY.pem.pub',
    }),
    force: forceFlag,
  };

  protected override readonly report = 'release-key';

  async run(): Promise<KeygenReport> {
    const { flags } = await this.parse(ReleaseKeygen);
    const report = await makeSigningKey({ out: flags.out, force: flags.force });
    this.log(`Private: ${report.privateKey}, readable by you alone: keep it where it is\nPublic: ${report.publicKey}`);
    return report;
  }
}
