import { HpsCommand } from '../../core/cli/base-command.js';
import { quietFlag } from '../../core/cli/flags.js';
import { runtimesFlag, targetFlag } from '../../core/cli/release-flags.js';
import { formatFetch } from '../../core/cli/render-release.js';
import { type FetchReport, fetchRuntimes } from '../../core/lifecycle/release/fetch.js';

export default class ReleaseFetch extends HpsCommand<FetchReport> {
  static override summary = 'Download what releases are made of, once: Node and native libraries of each target.';
  static override description =
    `Packages come from the npm registry, by npm itself, in the versions of this hpsv3 and with the hashes it states; nothing of
them is run. What is there already is left as it is.`;
  static override examples = ['<%= config.bin %> <%= command.id %> --runtimes runtimes'];
  static override flags = { runtimes: runtimesFlag, target: targetFlag, quiet: quietFlag };

  protected override readonly report = 'release-fetch';

  async run(): Promise<FetchReport> {
    const { flags } = await this.parse(ReleaseFetch);
    const report = await this.follow(
      (run) => fetchRuntimes({ runtimes: flags.runtimes, targets: flags.target, ...run }),
      () => 'The packages that are there are kept.',
    );
    this.log(formatFetch(report));
    return report;
  }
}
