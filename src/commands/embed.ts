import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { HpsCommand } from '../core/cli/base-command.js';
import { fromFlag, processStreams } from '../core/cli/data-flags.js';
import { configFlag, forceFlag, inputFlag, modelFlag, outFlag } from '../core/cli/flags.js';
import { keepHeapSmall } from '../core/cli/heap.js';
import { formatEmbed } from '../core/cli/render-batch.js';
import {
  batchSizeFlag,
  contractFlag,
  mediaRootFlag,
  readContract,
  remoteFlags,
  remoteOf,
  scoringFlags,
  windowFlags,
  windowsOf,
} from '../core/cli/scoring-flags.js';
import { ERROR_CODES } from '../core/errors.js';
import { type EmbedReport, embedFile } from '../core/lifecycle/score/embed.js';

const { device, threads, optimization } = scoringFlags;

export default class Embed extends HpsCommand<EmbedReport> {
  static override summary = 'Write the pooled latents of all items of a file to .npy, .parquet or .safetensors.';
  static override description =
    'A pair gives two rows, ID#left and ID#right. Ids stand beside a .npy in FILE.npy.ids.jsonl, in a .parquet as column id, in a .safetensors as metadata "ids".';
  static override examples = [
    '<%= config.bin %> <%= command.id %> --model model.onnx items.jsonl --out embeddings.npy',
  ];
  static override args = {
    input: Args.string({
      ignoreStdin: true,
      multiple: true,
      required: true,
      description: 'Rows to embed; - for standard input',
    }),
  };
  static override flags = {
    model: modelFlag({ required: true }),
    input: inputFlag({ required: true, multiple: true, multipleNonGreedy: true }),
    out: outFlag({
      required: true,
      helpValue: 'FILE',
      description: 'File to write; its extension decides the format',
    }),
    from: fromFlag,
    'batch-size': batchSizeFlag,
    errors: Flags.string({
      helpValue: 'FILE',
      description: 'File for rows without an embedding; by default OUT.errors.jsonl',
    }),
    'media-root': mediaRootFlag,
    ...remoteFlags,
    ...windowFlags,
    contract: contractFlag,
    device,
    threads,
    optimization,
    config: configFlag,
    force: forceFlag,
  };

  protected override readonly report = 'embedding';

  async run(): Promise<EmbedReport> {
    const { flags } = await this.parse(Embed);
    const { 'batch-size': batchSize, 'media-root': mediaRoot, quiet, window, stride, aggregate, ...rest } = flags;
    const contract = await readContract(flags.contract);
    keepHeapSmall();
    const report = await this.follow((run) =>
      embedFile({
        ...rest,
        contract,
        batchSize,
        windows: windowsOf({ window, stride, aggregate }),
        mediaRoot,
        remote: remoteOf(flags),
        streams: processStreams(),
        ...run,
      }),
    );
    this.logToStderr(formatEmbed(report));
    if (report.failed > 0) process.exitCode = ERROR_CODES.ROWS_FAILED.exit;
    return report;
  }
}
