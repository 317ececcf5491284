import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { HpsCommand } from '../core/cli/base-command.js';
import { contractedModel } from '../core/cli/contracted-model.js';
import { configFlag, forceFlag, outFlag, seedFlag } from '../core/cli/flags.js';
import { profileFlags } from '../core/cli/profile-flags.js';
import { formatProfileTable } from '../core/cli/render-profile.js';
import { contractFlag, deviceFlag } from '../core/cli/scoring-flags.js';
import { ERROR_CODES } from '../core/errors.js';
import { profileModel } from '../core/lifecycle/profile/profile.js';
import type { Profile as ProfileReport } from '../core/profiling/schema.js';

export default class Profile extends HpsCommand<ProfileReport> {
  static override summary = 'Measure how fast a model is, where its time goes, and which setting to run it with.';
  static override description =
    `The model is first timed against itself: where this machine is too noisy to tell a difference, no verdict is given and it says so.
Beside OUT are written the roofline and the latencies as charts (.svg, .png) and a trace for Chrome's viewer or Perfetto.
With --baseline the exit code is 3 when the model is slower than --budget allows. \`hpsv3 batch --profile\` takes the recommended setting.`;
  static override examples = [
    '<%= config.bin %> <%= command.id %> model.onnx --out profile.json',
    '<%= config.bin %> <%= command.id %> model.onnx --batch-size 1,8,32 --threads 1,2 --variant int8=model-int8.onnx --out profile.json',
    '<%= config.bin %> <%= command.id %> new.onnx --baseline old.onnx --budget latency=1.05 --out profile.json',
    '<%= config.bin %> <%= command.id %> speech.onnx --size samples=16000 --out profile.json',
  ];
  static override args = {
    model: Args.string({ required: true, ignoreStdin: true, description: 'The .onnx model' }),
  };
  static override flags = {
    out: outFlag({ required: true, helpValue: 'FILE.json', description: 'The profile as JSON' }),
    ...profileFlags,
    baseline: Flags.string({
      helpValue: 'B.onnx|profile.json',
      description: 'Model to compare with run by run, or a profile made earlier on this machine',
    }),
    inputs: Flags.string({
      helpValue: 'FILE',
      description: 'Inputs (safetensors, by input name) instead of seeded ones',
    }),
    contract: contractFlag,
    device: deviceFlag(),
    config: configFlag,
    seed: seedFlag,
    force: forceFlag,
  };

  async run(): Promise<ProfileReport> {
    const { args, flags } = await this.parse(Profile);
    const { contract, optimization, variant, size, quiet, config: _, ...rest } = flags;
    const model = await contractedModel(args.model, contract);
    const report = await this.follow((run) =>
      profileModel({
        ...rest,
        model,
        batches: flags['batch-size'],
        optimizations: optimization,
        variants: new Map(variant.map(({ name, value }) => [name, value])),
        sizes: new Map(size.map(({ name, value }) => [name, value])),
        ...run,
      }),
    );
    this.log(formatProfileTable(report));
    if (report.baseline?.verdict === 'slower') process.exitCode = ERROR_CODES.GATE_FAILED.exit;
    return report;
  }
}
