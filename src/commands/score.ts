import { Flags } from '@oclif/core';
import { HpsCommand } from '../core/cli/base-command.js';
import { configFlag, forceFlag } from '../core/cli/flags.js';
import { formatScore } from '../core/cli/render-score.js';
import {
  mediaRootFlag,
  readContract,
  remoteFlags,
  remoteOf,
  sampleFlags,
  scoringFlags,
  segmentsFlag,
} from '../core/cli/scoring-flags.js';
import { HpsError } from '../core/errors.js';
import { type ScoreInput, type ScoreReport, scoreOne } from '../core/lifecycle/score/score.js';
import { SEGMENT_BYTES } from '../core/runtime/memory.js';

export default class Score extends HpsCommand<ScoreReport> {
  static override summary = 'Score one pair or one item: which is preferred, and how surely.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> --model model.onnx --input sample.json --output result.json',
    '<%= config.bin %> <%= command.id %> --model model.onnx --left a.jpg --right b.jpg --context "a red fox"',
    '<%= config.bin %> <%= command.id %> --model model.onnx --item a.jpg --json',
  ];
  static override flags = {
    model: Flags.string({ required: true, helpValue: 'FILE.onnx', description: 'The model' }),
    input: Flags.string({
      helpValue: 'SAMPLE.json',
      description: 'A pair or an item, as a row of a data file',
      exclusive: ['left', 'right', 'item'],
    }),
    output: Flags.string({ helpValue: 'FILE.json', description: 'Write the result to this file, too' }),
    ...sampleFlags,
    task: Flags.string({ description: 'Selects a calibrator where there is one for each task' }),
    'media-root': mediaRootFlag,
    ...remoteFlags,
    ...scoringFlags,
    segments: segmentsFlag,
    config: configFlag,
    force: forceFlag,
  };

  protected override readonly report = 'score';

  async run(): Promise<ScoreReport> {
    const { flags } = await this.parse(Score);
    const { model, output, calibrator, device, threads, optimization, force } = flags;
    const contract = await readContract(flags.contract);
    const report = await this.follow((run) =>
      scoreOne({
        model,
        input: inputOf(flags),
        out: output,
        mediaRoot: flags['media-root'],
        remote: remoteOf(flags),
        calibrator,
        contract,
        device,
        threads,
        optimization,
        segmentBytes: flags.segments ? SEGMENT_BYTES : undefined,
        force,
        ...run,
      }),
    );
    this.log(formatScore(report));
    return report;
  }
}

interface InputFlags {
  readonly input?: string;
  readonly left?: string;
  readonly right?: string;
  readonly item?: string;
  readonly context?: string;
  readonly task?: string;
}

function inputOf({ input, left, right, item, context, task }: InputFlags): ScoreInput {
  if (input !== undefined) return { file: input };
  if (left !== undefined && right !== undefined) return { sample: { left, right, context, task } };
  if (item !== undefined) return { sample: { item, context, task } };
  throw new HpsError('USAGE', 'there is nothing to score', {
    hint: 'Give --left and --right, or --item, or --input SAMPLE.json.',
  });
}
