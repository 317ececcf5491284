import { basename } from 'node:path';
import { hashFile } from '../../bytes/hash.js';
import type { Calibrator } from '../../calibration/calibrator.js';
import { type Figures, figuresOf } from '../../calibration/figures.js';
import {
  assertSameModel,
  FITTED_ON_THESE_LABELS,
  isFittedOn,
  readCalibrator,
} from '../../calibration/read-calibrator.js';
import { STALENESS_CLUSTERS, type Staleness, testScaleStaleness, testStaleness } from '../../calibration/staleness.js';
import { type JudgedRows, readJudgedScores, rowWarnings } from '../../data/judged-scores.js';
import type { LabelLayout } from '../../data/layouts/apply.js';
import { DEFAULT_SEED, filled } from '../../defaults.js';
import { HpsError } from '../../errors.js';
import { allRows, judge } from '../../evaluation/judged-statistics.js';
import { predict } from '../../evaluation/predictions.js';
import type { Run } from '../../run.js';

export interface CheckCalibratorOptions extends Run, LabelLayout {
  readonly calibrator: string;
  readonly scores: string;
  readonly labels: string;
  /** Of clusters, behind each interval; 2000, or fewer for very many rows, where omitted. */
  readonly resamples?: number;
  readonly seed?: number;
}

export const CHECK_CALIBRATOR_DEFAULTS = { seed: DEFAULT_SEED } as const satisfies Partial<CheckCalibratorOptions>;

export interface CheckCalibratorReport extends Staleness {
  /** Base name of the calibrator. */
  readonly calibrator: string;
  readonly method: Calibrator['method'];
  /** Whether it was fitted on these very labels, which then test nothing. */
  readonly fittedOnTheseLabels: boolean;
  readonly n: number;
  readonly clusters: number;
  /** Figures of the calibrated scores on these labels, and what they were out-of-fold when it was fitted. */
  readonly figures: Figures;
  readonly fitted: Figures;
  readonly rows: JudgedRows;
  readonly warnings: readonly string[];
}

/**
 * Tests on new labels whether a calibrator still holds.
 *
 * @throws HpsError CONFIG_INVALID for a file that is no calibrator; DATA_INVALID; TOO_FEW_CLUSTERS; MODELS_INCOMPARABLE for scores
 *   of another model or rows of another kind
 */
export async function checkCalibrator(given: CheckCalibratorOptions): Promise<CheckCalibratorReport> {
  const options = filled(given, CHECK_CALIBRATOR_DEFAULTS);
  const { document: calibrator } = readCalibrator(options.calibrator);
  const { joined, rows, modelSha256 } = await readJudgedScores(options, { signal: options.signal });
  assertSameModel(calibrator, modelSha256);
  if (joined.clusterCount < STALENESS_CLUSTERS) {
    throw new HpsError(
      'TOO_FEW_CLUSTERS',
      `a test of staleness needs ${STALENESS_CLUSTERS} clusters (prompts), there are ${joined.clusterCount}`,
      {
        hint: `Label ${STALENESS_CLUSTERS - joined.clusterCount} more prompts; rows of one prompt_id count once.`,
        details: { clusters: joined.clusterCount, needed: STALENESS_CLUSTERS },
      },
    );
  }
  const fittedOnTheseLabels = isFittedOn(calibrator, (await hashFile(options.labels)).sha256);
  const predictions = predict(joined, calibrator);
  const clusters = { of: joined.cluster, count: joined.clusterCount };
  const staleness =
    joined.kind === 'pair'
      ? testStaleness(
          predictions.values,
          { positive: joined.votesLeft, negative: joined.votesRight },
          clusters,
          calibrator,
        )
      : testScaleStaleness(predictions.values, joined.score, clusters);
  const { statistics } = judge(joined, predictions, allRows(joined));
  return {
    calibrator: basename(options.calibrator),
    method: calibrator.method,
    fittedOnTheseLabels,
    n: joined.count,
    clusters: joined.clusterCount,
    ...staleness,
    figures: await figuresOf(statistics, clusters, {
      seed: `${options.seed}/check`,
      resamples: options.resamples,
      signal: options.signal,
    }),
    fitted: calibrator.figures.after,
    rows,
    warnings: [...rowWarnings(rows), ...(fittedOnTheseLabels ? [FITTED_ON_THESE_LABELS] : [])],
  };
}
