import type { Interval } from '../stats/interval.js';
import { normalQuantile } from '../stats/normal.js';
import { type EstimatedPerformance, estimatePerformance } from './estimated.js';
import type { DriftReference } from './reference.js';
import type { Rows } from './window.js';

/** What is to be expected of the window, without labels. */
export interface ExpectedPerformance extends EstimatedPerformance {
  /** 95 %, by clusters: what drawing other rows would change. */
  readonly ci: Interval;
  /** Of the reference, by the same rule; null where it has none. */
  readonly reference: number | null;
  /** Whether rows say that probabilities are calibrated; null where they do not say. */
  readonly calibrated: boolean | null;
  /** How far off it may be: by the calibration error that labels showed of the reference. Null where it had no labels. */
  readonly bound: { readonly low: number; readonly high: number; readonly calibrationError: number } | null;
  /** Labels that would show a fall of accuracy by 0.05 in four of five cases. */
  readonly labelsNeeded: number;
}

const FALL = 0.05;

/** @returns null for items, whose scores are no probabilities, and without rows */
export function expectPerformance(
  rows: Rows,
  reference: DriftReference,
  calibrated: boolean | null,
): ExpectedPerformance | null {
  const { probability, count } = rows;
  if (count === 0 || Number.isNaN(probability[0])) return null;
  const { accuracy, auc } = estimatePerformance(probability);
  const off = new Float64Array(rows.clusters);
  for (let row = 0; row < count; row++) {
    off[rows.cluster[row]] += Math.max(probability[row], 1 - probability[row]) - accuracy;
  }
  const half = (normalQuantile(0.975) * Math.sqrt(off.reduce((sum, value) => sum + value ** 2, 0))) / count;
  const ci: Interval = [Math.max(0.5, accuracy - half), Math.min(1, accuracy + half)];
  const error = reference.observed?.ece.ci?.[1] ?? reference.observed?.ece.value ?? null;
  return {
    accuracy,
    auc,
    ci,
    reference: reference.expected?.accuracy ?? null,
    calibrated,
    bound:
      error === null
        ? null
        : { low: Math.max(0, ci[0] - error), high: Math.min(1, ci[1] + error), calibrationError: error },
    labelsNeeded: labelsFor(accuracy),
  };
}

/** One-sided test of a share at 5 %, with a power of 80 %. */
function labelsFor(accuracy: number): number {
  const fallen = Math.max(0, accuracy - FALL);
  const spread =
    normalQuantile(0.95) * Math.sqrt(accuracy * (1 - accuracy)) +
    normalQuantile(0.8) * Math.sqrt(fallen * (1 - fallen));
  return Math.max(1, Math.ceil((spread / FALL) ** 2));
}
