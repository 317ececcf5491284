import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { HpsCommand } from '../../core/cli/base-command.js';
import { forceFlag, gateFlag, outFlag, seedFlag } from '../../core/cli/flags.js';
import { printable } from '../../core/cli/format.js';
import { formatGate } from '../../core/cli/render-gate.js';
import { contractFlag, readContract } from '../../core/cli/scoring-flags.js';
import { type EmbedContractReport, embedContract } from '../../core/lifecycle/contract/embed.js';

export default class ContractEmbed extends HpsCommand<EmbedContractReport> {
  static override summary = 'Put a contract into a model of another tool, so that every command reads it by itself.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> model.onnx --contract contract.yaml --out own.onnx',
    '<%= config.bin %> <%= command.id %> reward.onnx --contract contract.yaml --tokenizer tokenizer.json --out own.onnx',
  ];
  static override args = { model: Args.string({ required: true, ignoreStdin: true, description: 'The .onnx model' }) };
  static override flags = {
    contract: { ...contractFlag, required: true } as typeof contractFlag,
    tokenizer: Flags.string({ helpValue: 'FILE', description: 'tokenizer.json to put into the model too' }),
    out: outFlag({ required: true, helpValue: 'FILE.onnx', description: 'The model to write' }),
    gate: gateFlag,
    seed: seedFlag,
    force: forceFlag,
  };

  protected override readonly report = 'contract-embedding';

  async run(): Promise<EmbedContractReport> {
    const { args, flags } = await this.parse(ContractEmbed);
    const { tokenizer, out, gate, seed, force } = flags;
    const contract = (await readContract(flags.contract))!;
    const report = await this.follow((run) =>
      embedContract({ model: args.model, contract, tokenizer, out, gate, seed, force, ...run }),
    );
    this.log(`${formatGate(report.gate)}\nWritten: ${printable(report.out)}, ${report.modality}.`);
    return report;
  }
}
