import * as Flags from '@oclif/core/flags';
import { HpsCommand } from '../core/cli/base-command.js';
import { processStreams } from '../core/cli/data-flags.js';
import { configFlag } from '../core/cli/flags.js';
import { keepHeapSmall } from '../core/cli/heap.js';
import { formatWorker } from '../core/cli/render-batch.js';
import {
  abstainFlag,
  markFlag,
  mediaRootOfPipeFlag,
  profiledFlags,
  readContract,
  remoteFlags,
  remoteOf,
  scoringFlags,
} from '../core/cli/scoring-flags.js';
import { runWorker } from '../core/lifecycle/worker/worker.js';

export default class Worker extends HpsCommand<void> {
  static override enableJsonFlag = false; // standard output is the protocol's
  static override summary =
    'Score rows that another program writes, one line each, and answer in order: for Ray, Spark and the like.';
  static override description =
    `The first line says that it is ready, and with which model. Every row in, as \`hpsv3 batch\` reads them, is answered with one line, in order: its score, or {"id","error":{"code","message"}}. An empty line closes a frame and comes back once all before it is answered. Media can come as paths, or in the row as {"image":{"base64":"…"}}.

It ends with its input. SIGTERM lets it answer what it has read, to the end of the frame. Write and read at the same time: full pipes hold both sides up.`;
  static override examples = [
    '<%= config.bin %> <%= command.id %> --model model.onnx < pairs.jsonl > answers.jsonl',
    '<%= config.bin %> <%= command.id %> --model image.onnx --embed --media-root photos/',
  ];
  static override flags = {
    model: Flags.string({
      required: true,
      multiple: true,
      helpValue: 'FILE.onnx',
      description: 'The model; several for rows of several modalities',
    }),
    embed: Flags.boolean({ description: 'Answer with the pooled latents of each item instead of its score' }),
    'media-root': mediaRootOfPipeFlag,
    ...remoteFlags,
    ...scoringFlags,
    abstain: abstainFlag,
    mark: markFlag,
    ...profiledFlags,
    config: configFlag,
  };

  protected override tell(warning: string): void {
    this.logToStderr(warning);
  }

  async run(): Promise<void> {
    const { flags } = await this.parse(Worker);
    const { model, embed, calibrator, device, threads } = flags;
    const contract = await readContract(flags.contract);
    const { stdin, stdout } = processStreams();
    keepHeapSmall();
    const report = await this.follow(
      (run) =>
        runWorker({
          models: model,
          embed,
          calibrator,
          abstain: flags.abstain,
          marks: flags.mark,
          device,
          threads,
          contract,
          profile: flags.profile,
          batchSize: flags['batch-size'],
          optimization: flags.optimization,
          mediaRoot: flags['media-root'],
          remote: remoteOf(flags),
          stdin,
          stdout,
          ...run,
        }),
      undefined,
      { finishes: true },
    );
    process.stdin.destroy(); // a host may keep its end open, which would keep this process
    this.logToStderr(formatWorker(report));
  }
}
