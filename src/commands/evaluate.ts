import { fileURLToPath } from 'node:url';
import * as Flags from '@oclif/core/flags';
import { HpsCommand } from '../core/cli/base-command.js';
import { layoutFlags } from '../core/cli/data-flags.js';
import {
  configFlag,
  forceFlag,
  inputFlag,
  modelFlag,
  outFlag,
  seedFlag,
  threadsFlag,
  wholeNumbersFlag,
} from '../core/cli/flags.js';
import { allowHostFlag } from '../core/cli/remote-file-flags.js';
import { formatEvaluate } from '../core/cli/render-evaluate.js';
import {
  contractFlag,
  deviceFlag,
  maxMemoryOfThreadsFlag,
  profiledFlags,
  readContract,
} from '../core/cli/scoring-flags.js';
import { ERROR_CODES, HpsError } from '../core/errors.js';
import { MOST_BEST_OF } from '../core/evaluation/best-of.js';
import { EVALUATE_DEFAULTS, type EvaluateReport, evaluateFiles } from '../core/lifecycle/evaluate/evaluate.js';

export default class Evaluate extends HpsCommand<EvaluateReport> {
  static override summary = 'Judge a model by human labels: overall, by group, and against a baseline, with intervals.';
  static override description =
    `Accuracy counts votes: a zero logit and a tie vote count one half. Calibration errors are of both orders of every pair.
Intervals resample prompts, not rows. Groups of fewer than --min-group rows are shown as suppressed.
Where labels and scores have aux, the quality, fluency and toxicity heads of the model are judged by it, too.`;
  static override examples = [
    '<%= config.bin %> <%= command.id %> --scores scores.jsonl --labels labels.jsonl',
    '<%= config.bin %> <%= command.id %> --model model.onnx --labels labels.jsonl --by groups.source',
    '<%= config.bin %> <%= command.id %> --scores s.jsonl --labels parts/test.jsonl --calibrator c.json --by groups.source,groups.models',
    '<%= config.bin %> <%= command.id %> --scores new.jsonl --labels l.jsonl --baseline old.jsonl --out report.json',
    '<%= config.bin %> <%= command.id %> --scores scores.jsonl --labels rewardbench.parquet --suite rewardbench',
    '<%= config.bin %> <%= command.id %> --scores int8.jsonl --labels l.jsonl --baseline float.jsonl --best-of 1,2,4',
  ];
  static override flags = {
    scores: Flags.string({
      helpValue: 'FILE',
      description: 'Scores of one model: {"id", "logit"} a line; with --model, where they are written',
    }),
    model: modelFlag({
      description: 'Score the labelled rows with this model first, instead of scores that are there',
    }),
    labels: Flags.string({ required: true, helpValue: 'FILE', description: 'Human labels: JSONL, CSV or Parquet' }),
    input: inputFlag({
      description: 'What --model scores instead of the labels: rows with the same ids, or embeddings for a score head',
    }),
    contract: contractFlag,
    'batch-size': profiledFlags['batch-size'],
    device: deviceFlag(),
    threads: threadsFlag,
    'max-memory': maxMemoryOfThreadsFlag,
    calibrator: Flags.string({
      helpValue: 'FILE',
      description: 'Calibrator of this model; without it p = sigmoid(logit), reported as uncalibrated',
    }),
    by: Flags.string({
      helpValue: 'groups.a,groups.b',
      description: 'Figures for each value of these groups, and of several together',
    }),
    'min-group': Flags.integer({
      default: EVALUATE_DEFAULTS.minGroup,
      min: 1,
      max: 1_000_000,
      description: 'Fewest rows of a group that is shown',
    }),
    baseline: Flags.string({ helpValue: 'FILE', description: 'Scores of another model to compare with, row by row' }),
    'best-of': wholeNumbersFlag(
      '--best-of',
      MOST_BEST_OF,
    )({
      helpValue: '1,2,4',
      description: 'What the item is worth to raters that the scorer picks among so many of a prompt',
    }),
    suite: Flags.string({
      helpValue: 'FILE.yaml',
      description:
        'Protocol of a benchmark to report by, besides: a file, or rewardbench, rewardbench-2, hpdv3, imagereward',
    }),
    diagnose: Flags.boolean({
      description:
        'Look for what the score depends on beyond what raters do: length, format, side, resolution, loudness, …',
    }),
    'media-root': Flags.string({
      helpValue: 'FOLDER',
      description:
        'Where paths of media in the labels start, for --model and --diagnose; by default the folder of the labels',
    }),
    out: outFlag({ helpValue: 'FILE', description: 'The report as JSON' }),
    'out-scores': Flags.string({ helpValue: 'FILE', description: 'Probabilities row by row, as JSONL' }),
    resamples: Flags.integer({
      min: 100,
      max: 100_000,
      description: 'Resamples of prompts for intervals; 2000, or fewer for over 200,000 rows',
    }),
    ...layoutFlags,
    config: configFlag,
    'allow-host': allowHostFlag,
    seed: seedFlag,
    force: forceFlag,
  };

  protected override readonly report = 'evaluation';

  async run(): Promise<EvaluateReport> {
    const { flags } = await this.parse(Evaluate);
    const { model, input, device, threads } = flags;
    const unread = (['input', 'contract', 'batch-size'] as const).find((name) => flags[name] !== undefined);
    if (model === undefined && unread !== undefined) {
      throw new HpsError('USAGE', `--${unread} says how --model scores, and there is none`, {
        hint: 'Give --model FILE.onnx, or leave it out.',
      });
    }
    const contract = await readContract(flags.contract);
    const report = await this.follow((run) =>
      evaluateFiles({
        scores: flags.scores,
        model,
        scoring: { input, contract, device, batchSize: flags['batch-size'] },
        labels: flags.labels,
        layout: flags.layout,
        map: flags.map,
        calibrator: flags.calibrator,
        by: flags.by?.split(',').map((name) => name.trim()),
        baseline: flags.baseline,
        bestOf: flags['best-of'],
        suite: flags.suite === undefined ? undefined : suiteFile(flags.suite),
        diagnose: flags.diagnose,
        mediaRoot: flags['media-root'],
        out: flags.out,
        outScores: flags['out-scores'],
        minGroup: flags['min-group'],
        resamples: flags.resamples,
        seed: flags.seed,
        threads,
        maxMemory: flags['max-memory'],
        force: flags.force,
        remote: { hosts: flags['allow-host'] },
        ...run,
      }),
    );
    this.log(formatEvaluate(report));
    if (report.rows.failed > 0) process.exitCode = ERROR_CODES.ROWS_FAILED.exit;
    return report;
  }
}

const SHIPPED = ['rewardbench', 'rewardbench-2', 'hpdv3', 'imagereward'];

/** A suite by its path, or that of the package by its name. */
const suiteFile = (given: string): string =>
  SHIPPED.includes(given) ? fileURLToPath(new URL(`../../configs/suites/${given}.yaml`, import.meta.url)) : given;
