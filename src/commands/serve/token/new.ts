import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { HpsCommand } from '../../../core/cli/base-command.js';
import { printable } from '../../../core/cli/format.js';
import { createToken, type NewTokenReport } from '../../../core/lifecycle/serve/token.js';
import { SCOPES } from '../../../core/serving/scopes.js';

export default class ServeTokenNew extends HpsCommand<NewTokenReport> {
  static override summary = 'Make a token for clients of `hpsv3 serve`: it is shown once, and a file keeps its hash.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> trainer --scope score --tokens tokens.json',
    '<%= config.bin %> <%= command.id %> prometheus --scope metrics --not-after 2027-12-31 --tokens tokens.json',
  ];
  static override args = { name: Args.string({ required: true, description: 'Whose it is: it stands in the log' }) };
  static override flags = {
    scope: Flags.option({
      options: SCOPES,
      multiple: true,
      multipleNonGreedy: true,
      default: ['score'] as (typeof SCOPES)[number][],
      description: 'What it is good for; can be given several times',
    })(),
    tokens: Flags.string({ default: 'tokens.json', helpValue: 'FILE', description: 'The file its hash is added to' }),
    'not-after': Flags.string({
      helpValue: 'DATE',
      description: 'From when on it is no longer taken, such as 2027-12-31',
    }),
    'rows-per-minute': Flags.integer({ min: 1, description: 'Rows a minute it may ask for' }),
  };

  protected override readonly report = 'serve-token';

  async run(): Promise<NewTokenReport> {
    const { args, flags } = await this.parse(ServeTokenNew);
    const report = await createToken({
      name: args.name,
      scopes: flags.scope,
      tokens: flags.tokens,
      notAfter: flags['not-after'],
      rowsPerMinute: flags['rows-per-minute'],
    });
    this.logToStderr(`A token for ${printable(report.name)}, shown once; ${printable(flags.tokens)} keeps its hash:`);
    this.log(report.token);
    return report;
  }
}
