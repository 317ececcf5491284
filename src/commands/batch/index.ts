import { basename } from 'node:path';
import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { HpsCommand } from '../../core/cli/base-command.js';
import {
  assertStdoutFree,
  fromFlag,
  layoutFlags,
  outOfPipe,
  processStreams,
  toFlag,
} from '../../core/cli/data-flags.js';
import { DEMO_MODALITIES } from '../../core/cli/demo-model.js';
import { configFlag, forceFlag, inputFlag, outFlag } from '../../core/cli/flags.js';
import { keepHeapSmall } from '../../core/cli/heap.js';
import { formatBatch } from '../../core/cli/render-batch.js';
import {
  abstainFlag,
  markFlag,
  maxMemoryFlag,
  mediaRootFlag,
  profiledFlags,
  readContract,
  remoteFlags,
  remoteOf,
  scoringFlags,
  segmentsFlag,
  shardFlag,
  windowFlags,
  windowsOf,
} from '../../core/cli/scoring-flags.js';
import { itemFilesOf } from '../../core/data/item-files.js';
import { STANDARD_STREAM } from '../../core/data/row-files.js';
import { ERROR_CODES, HpsError } from '../../core/errors.js';
import { type BatchReport, runBatch } from '../../core/lifecycle/score/batch.js';
import { journalPath } from '../../core/lifecycle/score/journal.js';
import type { Run } from '../../core/run.js';
import { SEGMENT_BYTES } from '../../core/runtime/memory.js';

export default class Batch extends HpsCommand<BatchReport> {
  static override summary = 'Score all rows of a file: JSONL, CSV or Parquet in and out, - for pipes.';
  static override description =
    `Scores are written in the order of the rows, each with the number of its row. Rows that cannot be scored go to OUT.errors.jsonl with their line numbers, the rest is done, and the exit code is then 6.

A score depends on its own row alone, not on the number of threads or cores, so parts that other machines score (--shard) can be merged to the same bytes. What the scores were computed with stands in OUT.manifest.json. Until a run is finished its journal lies beside the output: --resume goes on with it.`;
  static override examples = [
    '<%= config.bin %> <%= command.id %> --model model.onnx pairs.jsonl --out scores.jsonl --batch-size 64 --device cuda:0',
    '<%= config.bin %> <%= command.id %> --model model.onnx pairs.jsonl --out scores.jsonl --resume',
    '<%= config.bin %> <%= command.id %> --model model.onnx pairs.jsonl --out scores-0.jsonl --shard 0/4',
    'zcat pairs.jsonl.gz | <%= config.bin %> <%= command.id %> --model model.onnx - --out -',
  ];
  static override args = {
    input: Args.string({
      ignoreStdin: true,
      multiple: true,
      required: true,
      description: 'Rows to score: a file, or - for standard input; or the items themselves: files, folders, patterns',
    }),
  };
  static override flags = {
    model: Flags.string({
      required: true,
      multiple: true,
      multipleNonGreedy: true,
      helpValue: 'FILE.onnx',
      description: 'The model; several for a file of several modalities',
    }),
    input: inputFlag({ required: true, multiple: true, multipleNonGreedy: true }),
    out: outFlag({
      helpValue: 'FILE',
      description: 'File to write; - for standard output, which is the default in a pipe',
    }),
    from: fromFlag,
    to: toFlag,
    shard: shardFlag,
    resume: Flags.boolean({
      description:
        'Resume an unfinished run of the same model, input and options; one that is finished is left as it is',
    }),
    'retry-errors': Flags.boolean({
      description: 'Try the rows again that failed in a finished run, such as those whose files were missing',
      exclusive: ['resume', 'force'],
    }),
    preload: Flags.boolean({
      description: 'Read media before their turn, and hold up to 256 MiB of them: for slow disks, buckets and hosts',
    }),
    errors: Flags.string({
      helpValue: 'FILE',
      description: 'File for rows without a score; by default OUT.errors.jsonl',
    }),
    'media-root': mediaRootFlag,
    ...remoteFlags,
    ...scoringFlags,
    abstain: abstainFlag,
    mark: markFlag,
    ...windowFlags,
    'max-memory': maxMemoryFlag,
    segments: segmentsFlag,
    ...profiledFlags,
    ...layoutFlags,
    config: configFlag,
    force: forceFlag,
  };

  /** One line each, as a log has it: a refused row is one of them where the scores go to standard output. */
  protected override tell(warning: string): void {
    this.logToStderr(warning);
  }

  protected override readonly report = 'batch';

  protected override demoModalities(flags: { readonly input?: readonly string[] }) {
    const parts = flags.input && itemFilesOf(flags.input)?.files.map(({ part }) => part);
    return parts ? [...new Set(parts)] : DEMO_MODALITIES;
  }

  async run(): Promise<BatchReport> {
    const { flags } = await this.parse(Batch);
    const {
      model: models,
      input,
      out = outOfPipe(),
      'batch-size': batchSize,
      'max-memory': maxMemory,
      'media-root': mediaRoot,
      'retry-errors': retryErrors,
      contract,
      segments,
      mark,
      quiet,
      window,
      stride,
      aggregate,
      ...rest
    } = flags;
    assertStdoutFree(out, this.jsonEnabled());
    const contractFile = await readContract(contract);
    keepHeapSmall();
    const work = (run: Run) =>
      runBatch({
        ...rest,
        ...modelsAndRows(models, input),
        out,
        batchSize,
        marks: mark,
        retryErrors,
        windows: windowsOf({ window, stride, aggregate }),
        segmentBytes: segments ? SEGMENT_BYTES : undefined,
        maxMemory,
        mediaRoot,
        remote: remoteOf(flags),
        contract: contractFile,
        streams: processStreams(),
        ...run,
      });
    const report = await this.follow(work, out === STANDARD_STREAM ? undefined : () => keptRows(out));
    this.logToStderr(formatBatch(report));
    if (report.failed > 0) process.exitCode = ERROR_CODES.ROWS_FAILED.exit;
    return report;
  }
}

/** An .onnx is a model wherever it stands: `--model a.onnx b.onnx` is two of them. */
function modelsAndRows(models: readonly string[], rows: readonly string[]) {
  const isModel = (path: string): boolean => /\.onnx$/i.test(path);
  const input = rows.filter((path) => !isModel(path));
  if (input.length === 0) throw new HpsError('USAGE', 'INPUT is missing', { hint: 'Give the rows or items to score.' });
  return { models: [...models, ...rows.filter(isModel)], input };
}

const keptRows = (out: string): string =>
  `The rows scored so far are kept in ${basename(journalPath(out))}: run it again with --resume to go on.`;
