import * as Flags from '@oclif/core/flags';
import { HpsCommand } from '../../core/cli/base-command.js';
import { configFlag, forceFlag, outFlag, quietFlag } from '../../core/cli/flags.js';
import { archiveRuntimesFlag, releaseLayoutFlag, sourceDateEpoch, targetFlag } from '../../core/cli/release-flags.js';
import { formatRelease } from '../../core/cli/render-release.js';
import { type ReleaseReport, releaseModels } from '../../core/lifecycle/release/release.js';

export default class Release extends HpsCommand<ReleaseReport> {
  static override summary = 'Make archives of a model that strangers can check, unpack and run.';
  static override description =
    `Each archive holds one folder, hpsv3_release: the model, run_hpsv3 with a Node of its own, samples with the scores they must have, the card,
licences, a bill of materials, provenance, checksums and, with --sign, a signature of OpenSSF Model Signing. All targets are made on this
machine from packages that \`hpsv3 release fetch\` puts into --runtimes once; nothing here opens the network. The same input gives the same
bytes: files get the date of SOURCE_DATE_EPOCH, else 1980-01-01.
With --layout huggingface or triton, --out is a folder of the model, unchanged, that @huggingface/transformers and optimum load, or a model
repository of Triton; LOADING.md in it says how, and what does not load.
The card must be of one of the models and hold (\`hpsv3 modelcard verify\`), and its licences must allow to pass it on.`;
  static override examples = [
    '<%= config.bin %> release fetch --runtimes runtimes',
    '<%= config.bin %> <%= command.id %> --model model.onnx --card card --runtimes runtimes --sign release.pem --out dist',
    '<%= config.bin %> <%= command.id %> --model model.onnx --card card --runtimes runtimes --target linux-x64,win-x64 --out dist',
    '<%= config.bin %> <%= command.id %> --model model.onnx --card card --layout huggingface --out hub',
  ];
  static override flags = {
    model: Flags.string({
      required: true,
      multiple: true,
      multipleNonGreedy: true,
      helpValue: 'FILE.onnx',
      description: 'A model; can be given several times, one for each modality',
    }),
    calibrator: Flags.string({
      helpValue: 'FILE',
      description: 'Calibrator that `hpsv3 calibrate` wrote, instead of the one in the model',
    }),
    card: Flags.string({ required: true, helpValue: 'FOLDER', description: 'Card of the model (`hpsv3 modelcard`)' }),
    target: targetFlag,
    runtimes: archiveRuntimesFlag,
    layout: releaseLayoutFlag,
    samples: Flags.string({
      helpValue: 'ROWS',
      description: 'Rows that show the release, with their media; made up without it',
    }),
    sign: Flags.string({ helpValue: 'KEY.pem', description: 'Private key to sign with (`hpsv3 release keygen`)' }),
    'accept-license': Flags.boolean({
      description: 'Make it although a licence of weights or data does not plainly allow to pass it on',
    }),
    out: outFlag({ required: true, helpValue: 'FOLDER', description: 'Folder to write' }),
    config: configFlag,
    force: forceFlag,
    quiet: quietFlag,
  };

  protected override readonly report = 'release';

  async run(): Promise<ReleaseReport> {
    const { flags } = await this.parse(Release);
    const report = await this.follow((run) =>
      releaseModels({
        models: flags.model,
        calibrator: flags.calibrator,
        card: flags.card,
        targets: flags.target,
        runtimes: flags.runtimes,
        layout: flags.layout,
        samples: flags.samples,
        sign: flags.sign,
        acceptLicense: flags['accept-license'],
        epoch: sourceDateEpoch(),
        out: flags.out,
        force: flags.force,
        ...run,
      }),
    );
    this.log(formatRelease(report));
    return report;
  }
}
