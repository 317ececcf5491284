import { type AppliedCalibrator, type Calibrated, calibrate } from '../calibration/calibrator.js';
import { readCalibrator } from '../calibration/read-calibrator.js';
import { placeIn } from '../calibration/reference.js';
import type { Percentile } from '../data/rows.js';
import { HpsError } from '../errors.js';
import type { Placing } from '../onnx/placing.js';
import type { ScoringContract } from '../samples/contract.js';

/** What gives a row its curve where a calibrator has one for each value of a group. */
export interface RowGroups {
  readonly task?: string;
  readonly groups?: ReadonlyMap<string, string>;
}

/** The risk that was asked for, and the pair logit from which it is kept; null where it never is. */
export interface AbstentionMargin {
  readonly risk: number;
  readonly margin: number | null;
}

/** The calibrator of a scorer: from a file, or the one its model carries. */
export interface ScoringCalibrator {
  /** Of the file; null for the model's own, which the model's hash covers. */
  readonly sha256: string | null;
  /** When not to decide; undefined where it was fitted without a risk. */
  readonly abstention: AbstentionMargin | undefined;
  /** Where a score stands in the reference set; undefined without one, or with one of scores of the other kind. */
  place(kind: AppliedCalibrator['kind'], logit: number): Percentile | undefined;
  /** What it says of a score; null where it is for scores of the other kind. */
  apply(kind: AppliedCalibrator['kind'], logit: number, row: RowGroups): Calibrated | null;
  /** Tasks that have a curve of their own; null where it knows none. */
  readonly tasks: readonly string[] | null;
}

const applying = (
  applied: AppliedCalibrator & { readonly abstention?: AbstentionMargin; readonly reference?: Placing },
  sha256: string | null,
): ScoringCalibrator => ({
  sha256,
  tasks: applied.groups?.name === 'task' ? applied.groups.values.map(({ value }) => value) : null,
  abstention: applied.abstention,
  place(kind, logit) {
    const { reference } = applied;
    return reference?.of === (kind === 'pair' ? 'pairs' : 'items') ? placeIn(reference, logit) : undefined;
  },
  apply(kind, logit, row) {
    if (applied.kind !== kind) return null;
    const group = applied.groups?.name;
    const value =
      group === undefined ? undefined : (row.groups?.get(group) ?? (group === 'task' ? row.task : undefined));
    return calibrate(applied, logit, value);
  },
});

/** The calibrator inside a model; null where it carries none. */
export function embeddedCalibrator({ calibrator, mode }: ScoringContract): ScoringCalibrator | null {
  if (!calibrator) return null;
  const { parameters, band, abstention, reference } = calibrator;
  const kind = mode === 'item' ? 'absolute' : 'pair';
  return applying({ kind, parameters, band, groups: null, abstention, reference }, null);
}

/** The model a calibrator is to be used with. */
export interface CalibratedModel {
  readonly file: string;
  readonly sha256: string;
  readonly contract: ScoringContract;
  readonly onWarning?: (warning: string) => void;
}

/**
 * The calibrator in a file that `hpsv3 calibrate` wrote.
 * @throws HpsError as `readCalibrator`; MODELS_INCOMPARABLE where it was fitted to another decision
 */
export function openCalibrator(path: string, model: CalibratedModel): ScoringCalibrator {
  const { document: calibrator, name, sha256 } = readCalibrator(path);
  if (calibrator.decision !== null && calibrator.decision !== model.contract.decision) {
    throw new HpsError(
      'MODELS_INCOMPARABLE',
      `${name}: was fitted to decisions by ${calibrator.decision}, and ${model.file} decides by ${model.contract.decision}`,
      {
        hint: 'Fit a calibrator to scores of this model.',
        details: { file: name, calibrator: calibrator.decision, model: model.contract.decision },
      },
    );
  }
  if (calibrator.modelSha256 !== null && calibrator.modelSha256 !== model.sha256) {
    model.onWarning?.(
      `${name} was fitted to scores of another model: its probabilities may not hold for ${model.file}.`,
    );
  }
  return applying(calibrator, sha256);
}

/**
 * The size of a pair logit under which nothing is decided.
 * @param file - what errors call the model
 * @throws HpsError USAGE without a calibrator that knows one
 */
export function abstentionMargin(calibrator: ScoringCalibrator | null, file: string): number {
  const known = calibrator?.abstention;
  const margin = known?.margin ?? null;
  if (margin !== null) return margin;
  const why = known
    ? `no margin reaches the risk of ${known.risk} that its calibrator was asked for`
    : 'no calibrator says under which margin to abstain';
  throw new HpsError('USAGE', `${file}: \`abstain\` cannot be kept: ${why}`, {
    hint: known
      ? 'Label more prompts, or fit one with a larger `risk`.'
      : 'Fit one with a `risk`, and give it as `calibrator` or put it into the model.',
    details: { file, ...(known && { risk: known.risk }) },
  });
}
