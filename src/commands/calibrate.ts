import type { Interfaces } from '@oclif/core';
import * as Flags from '@oclif/core/flags';
import { CALIBRATION_METHOD_IDS } from '../core/calibration/calibrator.js';
import { HpsCommand } from '../core/cli/base-command.js';
import { layoutFlags } from '../core/cli/data-flags.js';
import {
  allowNonfiniteFlag,
  budgetFlag,
  configFlag,
  forceFlag,
  gateFlag,
  modelFlag,
  outFlag,
  seedFlag,
  threadsFlag,
} from '../core/cli/flags.js';
import { allowHostFlag } from '../core/cli/remote-file-flags.js';
import { formatCalibrate, formatCalibratorCheck } from '../core/cli/render-calibrate.js';
import { maxMemoryOfThreadsFlag } from '../core/cli/scoring-flags.js';
import { ERROR_CODES, HpsError } from '../core/errors.js';
import { CALIBRATE_DEFAULTS, type CalibrateReport, calibrateFiles } from '../core/lifecycle/calibrate/calibrate.js';
import { type CheckCalibratorReport, checkCalibrator } from '../core/lifecycle/calibrate/check.js';
import { DECISIONS } from '../core/onnx/manifest.js';

export default class Calibrate extends HpsCommand<CalibrateReport | CheckCalibratorReport> {
  static override summary =
    'Fit what a score means: a probability with a band, judged on prompts it was not fitted to.';
  static override description =
    `Votes count as weights, a tie as half a vote for either side. Unless --no-symmetric is given, both orders of a pair
are one judgement, and p(a over b) is exactly 1 - p(b over a). Folds never split a prompt_id. --method auto takes the
simplest method within one standard error of the best, which may be none. With --recheck nothing is fitted: new labels
are asked whether a calibrator still holds, and the exit code is 3 where it does not.`;
  static override examples = [
    '<%= config.bin %> <%= command.id %> --scores scores.jsonl --labels parts/fit.jsonl --out calibrator.json',
    '<%= config.bin %> <%= command.id %> --scores s.jsonl --labels l.jsonl --method isotonic --out c.json --model m.onnx --out-model m.cal.onnx',
    '<%= config.bin %> <%= command.id %> --scores s.jsonl --labels l.jsonl --risk 0.1 --out c.json',
    '<%= config.bin %> <%= command.id %> --scores s.jsonl --labels l.jsonl --reference gallery.scores.jsonl --out c.json',
    '<%= config.bin %> <%= command.id %> --recheck calibrator.json --scores new.jsonl --labels new-labels.jsonl',
  ];
  static override flags = {
    scores: Flags.string({
      required: true,
      helpValue: 'FILE',
      description: 'Scores of one model: {"id", "logit"} a line',
    }),
    labels: Flags.string({ required: true, helpValue: 'FILE', description: 'Human labels: JSONL, CSV or Parquet' }),
    method: Flags.option({
      options: ['auto', ...CALIBRATION_METHOD_IDS] as const,
      default: CALIBRATE_DEFAULTS.method,
      description: 'How to calibrate; linear and isotonic for scored items',
    })(),
    out: outFlag({ helpValue: 'FILE', description: 'Calibrator file to write' }),
    recheck: Flags.string({
      aliases: ['check'],
      helpValue: 'FILE',
      description: 'Test whether this calibrator still holds, instead of fitting one',
      exclusive: ['out', 'model', 'out-model', 'by', 'risk', 'reference'],
    }),
    symmetric: Flags.boolean({
      default: CALIBRATE_DEFAULTS.symmetric,
      allowNo: true,
      description: 'Both orders of a pair are one judgement',
    }),
    folds: Flags.integer({
      default: CALIBRATE_DEFAULTS.folds,
      min: 2,
      max: 100,
      description: 'Folds of the cross-validation, by prompt_id',
    }),
    resamples: Flags.integer({
      min: 100,
      max: 100_000,
      description: 'Resamples of prompts for intervals; 2000, or fewer for over 200,000 rows',
    }),
    by: Flags.string({
      aliases: ['per-group'],
      helpValue: 'groups.NAME',
      description: 'One more curve for each value of a group, shrunk to the whole where the group is small',
    }),
    risk: Flags.string({
      helpValue: '0.1',
      description:
        'Look for the smallest margin at which at most this share of votes is against the decision: --abstain',
    }),
    reference: Flags.string({
      helpValue: 'SCORES',
      description: 'Scores of a set to compare with: results then say which share of it is lower, with an interval',
    }),
    'allow-other-model': Flags.boolean({
      description: 'Take a reference of scores of another model, as of a quantized file of this one',
    }),
    'strictly-monotone': Flags.boolean({ description: 'No two scores get the same probability, so no order changes' }),
    decision: Flags.option({ options: DECISIONS, description: 'What the scores were decided by, if it is known' })(),
    model: modelFlag({
      aliases: ['embed'],
      description: 'The model the scores are of: the calibrator is put into it',
      dependsOn: ['out-model'],
    }),
    'out-model': Flags.string({
      aliases: ['model-out'],
      helpValue: 'FILE.onnx',
      description: 'The model to write, with an output probability (items: human_score)',
      dependsOn: ['model'],
    }),
    gate: gateFlag,
    budget: budgetFlag,
    'allow-nonfinite': allowNonfiniteFlag,
    ...layoutFlags,
    config: configFlag,
    'allow-host': allowHostFlag,
    seed: seedFlag,
    threads: threadsFlag,
    'max-memory': maxMemoryOfThreadsFlag,
    force: forceFlag,
  };

  protected override readonly report = (report: CalibrateReport | CheckCalibratorReport) =>
    'stale' in report ? 'calibration-check' : 'calibration';

  async run(): Promise<CalibrateReport | CheckCalibratorReport> {
    const { flags } = await this.parse(Calibrate);
    const report = flags.recheck === undefined ? await this.fit(flags) : await this.check(flags.recheck, flags);
    this.log('parameters' in report ? formatCalibrate(report) : formatCalibratorCheck(report));
    if (report.rows.failed > 0) process.exitCode = ERROR_CODES.ROWS_FAILED.exit;
    if ('stale' in report && report.stale) process.exitCode = ERROR_CODES.GATE_FAILED.exit;
    return report;
  }

  private check(
    calibrator: string,
    { scores, labels, layout, map, resamples, seed }: CalibrateFlags,
  ): Promise<CheckCalibratorReport> {
    return this.follow((run) => checkCalibrator({ calibrator, scores, labels, layout, map, resamples, seed, ...run }));
  }

  private fit(flags: CalibrateFlags): Promise<CalibrateReport> {
    const { model, 'out-model': outModel, out } = flags;
    if (out === undefined && outModel === undefined) {
      throw new HpsError('USAGE', 'nothing says where the calibrator goes', {
        hint: 'Give --out calibrator.json, or --model with --out-model.',
      });
    }
    return this.follow((run) =>
      calibrateFiles({
        scores: flags.scores,
        labels: flags.labels,
        layout: flags.layout,
        map: flags.map,
        out,
        method: flags.method,
        symmetric: flags.symmetric,
        strictlyMonotone: flags['strictly-monotone'],
        folds: flags.folds,
        resamples: flags.resamples,
        perGroup: flags.by,
        risk: parseRisk(flags.risk),
        reference: flags.reference,
        allowOtherModel: flags['allow-other-model'],
        decision: flags.decision,
        embed: model === undefined ? undefined : { model, out: outModel! },
        gate: flags.gate,
        budget: flags.budget,
        allowNonfinite: flags['allow-nonfinite'],
        seed: flags.seed,
        threads: flags.threads,
        maxMemory: flags['max-memory'],
        force: flags.force,
        remote: { hosts: flags['allow-host'] },
        ...run,
      }),
    );
  }
}

function parseRisk(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const risk = text.trim() === '' ? Number.NaN : Number(text);
  if (risk > 0 && risk < 0.5) return risk;
  throw new HpsError('USAGE', `--risk: expected a number between 0 and 0.5, got ${text}`, {
    hint: 'Write it as --risk 0.1: one vote in ten.',
  });
}

type CalibrateFlags = Interfaces.InferredFlags<typeof Calibrate.flags>;
