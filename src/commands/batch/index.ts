import { basename } from 'node:path';
import { Args, Flags } from '@oclif/core';
import { HpsCommand } from '../../core/cli/base-command.js';
import { assertStdoutFree, fromFlag, processStreams, toFlag } from '../../core/cli/data-flags.js';
import { configFlag, forceFlag, inputFlag, outFlag } from '../../core/cli/flags.js';
import { keepHeapSmall } from '../../core/cli/heap.js';
import { formatBatch } from '../../core/cli/render-batch.js';
import {
  mediaRootFlag,
  profiledFlags,
  readContract,
  remoteFlags,
  remoteOf,
  scoringFlags,
  segmentsFlag,
  shardFlag,
} from '../../core/cli/scoring-flags.js';
import { STANDARD_STREAM } from '../../core/data/row-files.js';
import { ERROR_CODES } from '../../core/errors.js';
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
    input: Args.string({ ignoreStdin: true, required: true, description: 'Rows to score; - for standard input' }),
  };
  static override flags = {
    model: Flags.string({
      required: true,
      multiple: true,
      helpValue: 'FILE.onnx',
      description: 'The model; several for a file of several modalities',
    }),
    input: inputFlag({ required: true }),
    out: outFlag({ required: true, helpValue: 'FILE', description: 'File to write; - for standard output' }),
    from: fromFlag,
    to: toFlag,
    shard: shardFlag,
    resume: Flags.boolean({ description: 'Resume an unfinished run of the same model, input and options' }),
    errors: Flags.string({
      helpValue: 'FILE',
      description: 'File for rows without a score; by default OUT.errors.jsonl',
    }),
    'media-root': mediaRootFlag,
    ...remoteFlags,
    ...scoringFlags,
    segments: segmentsFlag,
    ...profiledFlags,
    config: configFlag,
    force: forceFlag,
  };

  /** One line each, as a log has it: a refused row is one of them where the scores go to standard output. */
  protected override tell(warning: string): void {
    this.logToStderr(warning);
  }

  protected override readonly report = 'batch';

  async run(): Promise<BatchReport> {
    const { flags } = await this.parse(Batch);
    const { model, 'batch-size': batchSize, 'media-root': mediaRoot, contract, segments, quiet, ...rest } = flags;
    assertStdoutFree(flags.out, this.jsonEnabled());
    const contractFile = await readContract(contract);
    keepHeapSmall();
    const work = (run: Run) =>
      runBatch({
        ...rest,
        models: model,
        batchSize,
        segmentBytes: segments ? SEGMENT_BYTES : undefined,
        mediaRoot,
        remote: remoteOf(flags),
        contract: contractFile,
        streams: processStreams(),
        ...run,
      });
    const report = await this.follow(work, flags.out === STANDARD_STREAM ? undefined : () => keptRows(flags.out));
    this.logToStderr(formatBatch(report));
    if (report.failed > 0) process.exitCode = ERROR_CODES.ROWS_FAILED.exit;
    return report;
  }
}

const keptRows = (out: string): string =>
  `The rows scored so far are kept in ${basename(journalPath(out))}: run it again with --resume to go on.`;
