import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { HpsCommand } from '../core/cli/base-command.js';
import { contractedModel } from '../core/cli/contracted-model.js';
import { budgetFlag, comparisonGateFlag, forceFlag, seedFlag, toleranceFlag } from '../core/cli/flags.js';
import { allowHostFlag } from '../core/cli/remote-file-flags.js';
import { formatVerify } from '../core/cli/render-gate.js';
import { contractFlag, deviceFlag } from '../core/cli/scoring-flags.js';
import { type VerifyReport, verifyModels } from '../core/lifecycle/verify/verify.js';

export default class Verify extends HpsCommand<VerifyReport> {
  static override summary =
    'Compare the decisions of two ONNX files, or one with golden outputs; exit 3 where they differ.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> float.onnx int8.onnx --budget flips=0.5%,kendall=0.99',
    '<%= config.bin %> <%= command.id %> model.onnx --golden golden.safetensors',
    '<%= config.bin %> <%= command.id %> model.onnx --record samples.json',
    '<%= config.bin %> <%= command.id %> model.onnx --recorded samples.json --threads 4',
    '<%= config.bin %> <%= command.id %> old.onnx new.onnx --inputs samples.safetensors --json',
  ];
  static override args = {
    model: Args.string({
      required: true,
      ignoreStdin: true,
      description: 'The model; with a second one, the one it is compared with',
    }),
    other: Args.string({ ignoreStdin: true, description: 'The model that must decide as the first' }),
  };
  static override flags = {
    golden: Flags.string({
      helpValue: 'FILE',
      description: 'Inputs and outputs of the reference implementation (safetensors)',
    }),
    inputs: Flags.string({
      helpValue: 'FILE',
      description: 'Inputs to compare on (safetensors) instead of seeded probes',
    }),
    contract: contractFlag,
    recorded: Flags.string({
      helpValue: 'FILE.json',
      description:
        'Scores of this model that were recorded elsewhere (--record): the runtime, device and threads here must give them',
    }),
    record: Flags.string({
      helpValue: 'FILE.json',
      description: 'Write the scores of seeded inputs as they are here, for --recorded elsewhere',
    }),
    device: deviceFlag(),
    threads: Flags.integer({
      min: 1,
      max: 1024,
      description: 'Threads inside one operator, for --recorded and --record; the cores by default',
    }),
    atol: toleranceFlag,
    budget: budgetFlag,
    gate: comparisonGateFlag,
    quick: Flags.boolean({ hidden: true, description: 'The same as --gate quick', exclusive: ['gate'] }),
    'allow-host': allowHostFlag,
    seed: seedFlag,
    force: forceFlag,
  };

  protected override readonly report = 'verification';

  async run(): Promise<VerifyReport> {
    const { args, flags } = await this.parse(Verify);
    const model = await contractedModel(args.model, flags.contract);
    const other = args.other && (await contractedModel(args.other, flags.contract, { unlessTold: true }));
    const report = await this.follow((run) =>
      verifyModels({
        model,
        other,
        golden: flags.golden,
        recorded: flags.recorded,
        record: flags.record,
        device: flags.device,
        threads: flags.threads,
        force: flags.force,
        inputs: flags.inputs,
        atol: flags.atol,
        budget: flags.budget,
        level: flags.quick ? 'quick' : flags.gate,
        seed: flags.seed,
        remote: { hosts: flags['allow-host'] },
        ...run,
      }),
    );
    this.log(formatVerify(report));
    if (!report.passed) process.exitCode = 3;
    return report;
  }
}
