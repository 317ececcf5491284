import { HpsError } from '../errors.js';
import { floatsOf, isFloatValue } from '../runtime/value.js';
import { numel } from '../tensor/shape.js';
import { NOT_FINITE, type Outputs } from './compare.js';

/** What a model decides by: the pair logit of each row, or a score of each item, to be taken two by two. */
export interface Scores {
  readonly kind: 'pair' | 'item';
  /** Output they were read from. */
  readonly output: string;
  readonly values: Float64Array;
}

export interface DecisionDiff {
  /** Pairs decided. */
  readonly pairs: number;
  /** Pairs whose winner differs by more than twice the score budget on at least one side. */
  readonly flips: number;
  readonly flipRate: number;
  /** Kendall tau-b between the two lists of scores; null where one of them is constant. */
  readonly kendall: number | null;
  readonly maxScoreDiff: number;
}

/**
 * The scores among a model's outputs: `pair_logit`, else `utility_logit`, else the first column of the first output of floats.
 * @throws HpsError ONNX_UNSUPPORTED where there is no output of floats
 */
export function scoresOf(outputs: Outputs): Scores {
  const known = (['pair_logit', 'utility_logit'] as const).find((name) => outputs.has(name));
  const output = known ?? [...outputs].find(([, value]) => isFloatValue(value) && value.shape.length > 0)?.[0];
  if (output === undefined) {
    throw new HpsError('ONNX_UNSUPPORTED', `no output of floats among ${[...outputs.keys()].join(', ')}`, {
      hint: 'The gate compares scores: give a model with an output of floats per row.',
    });
  }
  const value = outputs.get(output)!;
  const floats = floatsOf(value);
  const columns = numel(value.shape.slice(1));
  const values = Float64Array.from({ length: value.shape[0] ?? 0 }, (_, row) => floats[row * columns]);
  return { kind: output === 'pair_logit' ? 'pair' : 'item', output, values };
}

/** How the decisions of `b` differ from those of `a` on the same rows; `scoreBudget` in logits. */
export function compareDecisions(a: Scores, b: Scores, scoreBudget = 0): DecisionDiff {
  const left = pairLogits(a);
  const right = pairLogits(b);
  let flips = 0;
  for (let i = 0; i < left.length; i++) {
    if (Math.sign(left[i]) === Math.sign(right[i])) continue;
    // NaN has no winner: it differs from every decision, and is over any budget.
    const margin = Math.max(Math.abs(left[i]), Math.abs(right[i]));
    if (!(margin <= 2 * scoreBudget)) flips++;
  }
  const flipRate = left.length === 0 ? 0 : flips / left.length;
  return {
    pairs: left.length,
    flips,
    flipRate,
    kendall: kendallTauB(a.values, b.values),
    maxScoreDiff: maxAbsDiff(a.values, b.values),
  };
}

/** Mean of |head(l, r) + head(r, l)|, which is 2 |logit - pair_logit|; undefined for outputs without both. */
export function orderBias(outputs: Outputs): number | undefined {
  const logit = outputs.get('logit');
  const pairLogit = outputs.get('pair_logit');
  if (!logit || !pairLogit) return undefined;
  const raw = floatsOf(logit);
  const antisymmetric = floatsOf(pairLogit);
  const sum = raw.reduce((total, value, i) => total + 2 * Math.abs(value - antisymmetric[i]), 0);
  return Number.isFinite(sum) ? sum / Math.max(1, raw.length) : NOT_FINITE;
}

/** Log-odds that the left is preferred: given by a pair model, else the difference of every two items. */
export function pairLogits({ kind, values }: Scores): Float64Array {
  if (kind === 'pair') return values;
  const n = values.length;
  const differences = new Float64Array((n * (n - 1)) / 2);
  let at = 0;
  for (let i = 0; i < n; i++) for (let j = i + 1; j < n; j++) differences[at++] = values[i] - values[j];
  return differences;
}

function maxAbsDiff(a: Float64Array, b: Float64Array): number {
  let max = 0;
  for (let i = 0; i < a.length; i++) {
    const diff = Math.abs(a[i] - b[i]);
    if (!Number.isFinite(diff)) return NOT_FINITE;
    max = Math.max(max, diff);
  }
  return max;
}

/** Kendall tau-b, by its definition over all pairs: the probes are a few dozen, and equal orders give exactly 1, which a budget may ask for. */
function kendallTauB(a: Float64Array, b: Float64Array): number | null {
  let concordance = 0;
  let untiedA = 0;
  let untiedB = 0;
  for (let i = 0; i < a.length; i++) {
    for (let j = i + 1; j < a.length; j++) {
      const signA = Math.sign(a[i] - a[j]);
      const signB = Math.sign(b[i] - b[j]);
      concordance += signA * signB;
      untiedA += signA * signA;
      untiedB += signB * signB;
    }
  }
  const tau = concordance / Math.sqrt(untiedA * untiedB);
  return Number.isFinite(tau) ? tau : null;
}
