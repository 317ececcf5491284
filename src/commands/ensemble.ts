import type { Interfaces } from '@oclif/core';
import * as Flags from '@oclif/core/flags';
import { HpsCommand } from '../core/cli/base-command.js';
import { layoutFlags } from '../core/cli/data-flags.js';
import { parseModelFile, parseScoreFile, parseWeights } from '../core/cli/ensemble-flags.js';
import {
  allowNonfiniteFlag,
  budgetFlag,
  forceFlag,
  gateFlag,
  outFlag,
  seedFlag,
  threadsFlag,
} from '../core/cli/flags.js';
import { allowHostFlag } from '../core/cli/remote-file-flags.js';
import {
  describeInputRows,
  formatAppliedEnsemble,
  formatMadeEnsemble,
  formatMergedEnsemble,
} from '../core/cli/render-ensemble.js';
import { ERROR_CODES, HpsError } from '../core/errors.js';
import { type ApplyEnsembleReport, applyEnsemble } from '../core/lifecycle/ensemble/apply.js';
import {
  FIT_DEFAULTS,
  type MakeEnsembleOptions,
  type MakeEnsembleReport,
  makeEnsemble,
} from '../core/lifecycle/ensemble/fit.js';
import type { InputRows, ScoreFile } from '../core/lifecycle/ensemble/inputs.js';
import { type MergeEnsembleReport, type ModelFile, mergeEnsemble } from '../core/lifecycle/ensemble/merge.js';
import { DECISIONS } from '../core/onnx/manifest.js';

type EnsembleReport = MakeEnsembleReport | ApplyEnsembleReport | MergeEnsembleReport;

export default class Ensemble extends HpsCommand<EnsembleReport> {
  static override summary =
    'Combine several scorers: fit the weights to votes, apply them to scores, or put the models into one graph.';
  static override description =
    `The ensemble's log-odds are a weighted average of the members' logits. With --fit the weights are those of
non-negative logistic stacking, and every figure is out of fold: clusters (rows of one prompt) are never split.
A member without a score for a row contributes a logit of 0. With --member the models become
one ONNX file, which is written only if it gives the average of its members.`;
  static override examples = [
    '<%= config.bin %> <%= command.id %> --fit --scores clip=clip.jsonl --scores tifa=tifa.jsonl --labels labels.jsonl --out ensemble.json',
    '<%= config.bin %> <%= command.id %> --scores clip=clip.jsonl --scores tifa=tifa.jsonl --weights clip=0.6,tifa=0.4 --out ensemble.json',
    '<%= config.bin %> <%= command.id %> --apply ensemble.json --scores clip=new/clip.jsonl --scores tifa=new/tifa.jsonl --out scores.jsonl',
    '<%= config.bin %> <%= command.id %> --member a.onnx:0.6 --member b.onnx:0.4 --out ensemble.onnx',
  ];
  static override flags = {
    scores: Flags.custom<ScoreFile>({
      parse: async (text) => parseScoreFile(text),
      multiple: true,
      multipleNonGreedy: true,
      helpValue: 'NAME=FILE',
      description: 'Scores of one member (JSONL); give it once for each',
    })(),
    fit: Flags.boolean({ description: 'Fit the weights to the votes of --labels', exclusive: ['weights', 'apply'] }),
    weights: Flags.custom<ReadonlyMap<string, number>>({
      parse: async (text) => parseWeights(text),
      helpValue: 'NAME=0.6,…',
      description: 'Weights of the raw logits, normalised to sum to 1',
      exclusive: ['apply'],
    })(),
    labels: Flags.string({ helpValue: 'FILE', description: 'Judged pairs: JSONL, CSV or Parquet' }),
    decision: Flags.option({ options: DECISIONS, description: 'What the scores were decided by, if it is known' })(),
    threads: threadsFlag,
    simplex: Flags.boolean({ description: 'Fit weights that sum to 1 on standardised logits', dependsOn: ['fit'] }),
    folds: Flags.integer({
      default: FIT_DEFAULTS.folds,
      min: 2,
      max: 100,
      description: 'Folds of both cross-validations',
    }),
    resamples: Flags.integer({
      min: 100,
      max: 1_000_000,
      description: 'Resamples behind each interval; 2000, or fewer for very many rows of many members',
    }),
    'out-scores': Flags.string({
      helpValue: 'FILE',
      description: 'Write the out-of-fold log-odds and the disagreement of the members, row by row',
    }),
    apply: Flags.string({
      helpValue: 'FILE',
      description: 'Ensemble file to apply to --scores, or to take the weights of --member from',
    }),
    member: Flags.custom<ModelFile>({
      parse: async (text) => parseModelFile(text),
      multiple: true,
      multipleNonGreedy: true,
      helpValue: 'FILE:WEIGHT',
      description: 'Model of one member; NAME=FILE with --apply',
      exclusive: ['scores', 'fit', 'weights', 'labels'],
    })(),
    out: outFlag({ helpValue: 'FILE', description: 'Ensemble file, scores or model to write' }),
    gate: gateFlag,
    budget: budgetFlag,
    'external-data': Flags.boolean({ description: 'Weights in FILE.data beside the model; always so above 2 GiB' }),
    'allow-nonfinite': allowNonfiniteFlag,
    'allow-host': allowHostFlag,
    ...layoutFlags,
    seed: seedFlag,
    force: forceFlag,
  };

  protected override readonly report = (report: EnsembleReport) => {
    if ('members' in report) return 'ensemble-merge';
    return 'method' in report ? 'ensemble-fit' : 'ensemble-apply';
  };

  async run(): Promise<EnsembleReport> {
    const { flags } = await this.parse(Ensemble);
    if (flags.member) return this.merge(flags.member, flags);
    return flags.apply === undefined ? this.make(flags) : this.apply(flags.apply, flags);
  }

  private async make(flags: EnsembleFlags): Promise<MakeEnsembleReport> {
    const report = await this.follow((run) =>
      makeEnsemble({
        scores: flags.scores ?? [],
        labels: flags.labels,
        layout: flags.layout,
        map: flags.map,
        weights: howToWeigh(flags),
        decision: flags.decision,
        resamples: flags.resamples,
        seed: flags.seed,
        threads: flags.threads,
        out: flags.out,
        outScores: flags['out-scores'],
        force: flags.force,
        remote: { hosts: flags['allow-host'] },
        ...run,
      }),
    );
    this.reportRows(report.rows);
    this.log(formatMadeEnsemble(report));
    return report;
  }

  private async apply(ensemble: string, { scores = [], out, force }: EnsembleFlags): Promise<ApplyEnsembleReport> {
    const report = await this.follow((run) => applyEnsemble({ ensemble, scores, out: required(out), force, ...run }));
    this.reportRows(report.rows);
    this.log(formatAppliedEnsemble(report));
    return report;
  }

  private async merge(members: ModelFile[], flags: EnsembleFlags): Promise<MergeEnsembleReport> {
    const report = await this.follow((run) =>
      mergeEnsemble({
        members,
        ensemble: flags.apply,
        out: required(flags.out),
        gate: flags.gate,
        budget: flags.budget,
        seed: flags.seed,
        externalData: flags['external-data'],
        allowNonfinite: flags['allow-nonfinite'],
        force: flags.force,
        ...run,
      }),
    );
    this.log(formatMergedEnsemble(report));
    return report;
  }

  /** Rows that were refused are named, and the exit code says that there were some. */
  private reportRows(rows: InputRows): void {
    for (const line of describeInputRows(rows)) this.warn(line);
    if (rows.failed > 0) process.exitCode = ERROR_CODES.ROWS_FAILED.exit;
  }
}

type EnsembleFlags = Interfaces.InferredFlags<typeof Ensemble.flags>;

function howToWeigh({ fit, weights, folds, simplex }: EnsembleFlags): MakeEnsembleOptions['weights'] {
  if (fit) return { kind: 'fit', folds, simplex };
  if (weights) return { kind: 'given', byName: weights };
  throw new HpsError('USAGE', 'nothing says how the members are weighed', {
    hint: 'Give --fit with --labels, --weights NAME=0.6,…, --apply ensemble.json, or models: --member a.onnx:0.6.',
  });
}

function required(out: string | undefined): string {
  if (out !== undefined) return out;
  throw new HpsError('USAGE', '--out is missing', { hint: 'Give --out FILE.' });
}
