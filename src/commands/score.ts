import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { HpsCommand } from '../core/cli/base-command.js';
import { configFlag, forceFlag, inputFlag, modelFlag, outFlag } from '../core/cli/flags.js';
import { keepHeapSmall } from '../core/cli/heap.js';
import { formatScore } from '../core/cli/render-score.js';
import {
  abstainFlag,
  markFlag,
  mediaRootFlag,
  modalityOfSample,
  readContract,
  remoteFlags,
  remoteOf,
  sampleFlags,
  sampleOrFile,
  scoringFlags,
  segmentsFlag,
  windowFlags,
  windowsOf,
} from '../core/cli/scoring-flags.js';
import { type ScoreReport, scoreOne } from '../core/lifecycle/score/score.js';
import { SEGMENT_BYTES } from '../core/runtime/memory.js';

export default class Score extends HpsCommand<ScoreReport> {
  static override summary = 'Score one pair or one item: which is preferred, and how surely.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> --model model.onnx sample.json --out result.json',
    '<%= config.bin %> <%= command.id %> --model model.onnx --left a.jpg --right b.jpg --context "a red fox"',
    '<%= config.bin %> <%= command.id %> --model model.onnx --item a.jpg --json',
    '<%= config.bin %> <%= command.id %> --model video.onnx --item film.mp4 --window 8s --stride 4s --aggregate worst',
  ];
  static override args = {
    input: Args.string({ ignoreStdin: true, description: 'A pair or an item, as a row of a data file' }),
  };
  static override flags = {
    model: modelFlag({ required: true }),
    input: inputFlag(),
    out: outFlag({ helpValue: 'FILE.json', description: 'Write the result to this file, too' }),
    ...sampleFlags,
    task: Flags.string({ description: 'Selects a calibrator where there is one for each task' }),
    'media-root': mediaRootFlag,
    ...remoteFlags,
    ...scoringFlags,
    abstain: abstainFlag,
    mark: markFlag,
    ...windowFlags,
    segments: segmentsFlag,
    config: configFlag,
    force: forceFlag,
  };

  protected override readonly report = 'score';

  protected override demoModalities(flags: Parameters<typeof modalityOfSample>[0]) {
    return [modalityOfSample(flags)];
  }

  async run(): Promise<ScoreReport> {
    const { flags } = await this.parse(Score);
    const { model, out, calibrator, device, threads, optimization, force } = flags;
    const contract = await readContract(flags.contract);
    if (flags.window !== undefined) keepHeapSmall();
    const report = await this.follow((run) =>
      scoreOne({
        model,
        input: sampleOrFile(flags, 'score'),
        out,
        mediaRoot: flags['media-root'],
        remote: remoteOf(flags),
        calibrator,
        abstain: flags.abstain,
        marks: flags.mark,
        windows: windowsOf(flags),
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
