import * as Args from '@oclif/core/args';
import { HpsCommand } from '../../core/cli/base-command.js';
import { forceFlag, outFlag } from '../../core/cli/flags.js';
import { printable } from '../../core/cli/format.js';
import { type DraftContractReport, draftContract } from '../../core/lifecycle/contract/draft.js';

export default class ContractInit extends HpsCommand<DraftContractReport> {
  static override summary = 'Write a first draft of what a model of another tool reads, from its graph.';
  static override description =
    'Names, types and shapes are those of the graph; what they mean is guessed, and each guess is a question in the draft. Completed, it goes to `--contract`, or into the model with `hpsv3 contract embed`.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> model.onnx --out contract.yaml',
    '<%= config.bin %> <%= command.id %> model.onnx > contract.yaml',
  ];
  static override args = { model: Args.string({ required: true, ignoreStdin: true, description: 'The .onnx model' }) };
  static override flags = {
    out: outFlag({ helpValue: 'FILE.yaml', description: 'File to write; standard output by default' }),
    force: forceFlag,
  };

  protected override readonly report = 'contract-draft';

  async run(): Promise<DraftContractReport> {
    const { args, flags } = await this.parse(ContractInit);
    const report = await this.follow((run) =>
      draftContract({ model: args.model, out: flags.out, force: flags.force, ...run }),
    );
    if (report.out === null) this.log(printable(report.contract).trimEnd());
    else {
      for (const question of report.questions) this.log(printable(`- ${question}`));
      this.log(`Written: ${printable(report.out)}. Complete it, then give it as --contract.`);
    }
    return report;
  }
}
