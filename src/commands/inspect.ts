import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { HpsCommand } from '../core/cli/base-command.js';
import { keepHeapSmall } from '../core/cli/heap.js';
import { allowHostFlag, hubCacheFlag, remoteFilesOf } from '../core/cli/remote-file-flags.js';
import { formatInspect } from '../core/cli/render-inspect.js';
import { type InspectReport, inspectFile } from '../core/lifecycle/inspect/inspect.js';

export default class Inspect extends HpsCommand<InspectReport> {
  static override summary = 'Tell what a model reads and gives, or what a checkpoint holds, from its headers alone.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> checkpoint.pt',
    '<%= config.bin %> <%= command.id %> model.safetensors --match "head.*" --stats',
    '<%= config.bin %> <%= command.id %> model.onnx',
    '<%= config.bin %> <%= command.id %> checkpoint.pt --tensors --json',
    '<%= config.bin %> <%= command.id %> hf://org/name',
  ];
  static override args = {
    model: Args.string({
      required: true,
      ignoreStdin: true,
      description: 'Checkpoint (file, *.index.json or model folder) or .onnx file; also hf://, https:// or s3://',
    }),
  };
  static override flags = {
    tensors: Flags.boolean({ description: 'List the tensors, too; --json always has them' }),
    match: Flags.string({ helpValue: 'GLOB', description: 'List the tensors whose name matches this glob' }),
    stats: Flags.boolean({
      description: 'List the tensors with minimum, maximum, mean and deviation, which reads them',
    }),
    key: Flags.string({
      helpValue: 'PATH',
      description:
        'State dict inside a nested checkpoint, e.g. model_state_dict, or the first steps of names in a flat one',
    }),
    'allow-host': allowHostFlag,
    'hub-cache': hubCacheFlag,
  };

  protected override readonly report = 'inspection';

  async run(): Promise<InspectReport> {
    const { args, flags } = await this.parse(Inspect);
    keepHeapSmall();
    const report = await this.follow((run) =>
      inspectFile({
        path: args.model,
        key: flags.key,
        match: flags.match,
        statistics: flags.stats,
        remote: remoteFilesOf(flags),
        ...run,
      }),
    );
    this.log(formatInspect(report, flags.tensors || flags.stats || flags.match !== undefined));
    return report;
  }
}
