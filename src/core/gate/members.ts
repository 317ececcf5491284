import { HpsError } from '../errors.js';
import { float32Value, floatsOf, isFloatValue, type TensorValue } from '../runtime/value.js';
import { formatShape } from '../tensor/shape.js';
import type { Outputs } from './compare.js';

/** One member of an ensemble: its outputs count `coefficient` times. */
export interface MemberModel {
  readonly path: string;
  readonly coefficient: number;
}

/** Outputs in logits, of which an ensemble gives the weighted average. Others (`utility`, `probability`) are not linear in them. */
export const AVERAGED_OUTPUTS = ['utility_logit', 'left_utility_logit', 'right_utility_logit', 'logit', 'pair_logit'];

/**
 * The logits that all members give, each times its coefficient and summed in double precision; NaN stays NaN.
 *
 * @throws HpsError MODELS_INCOMPARABLE where the members have no logits in common, or of different shapes
 */
export function combineOutputs(parts: readonly { readonly outputs: Outputs; readonly coefficient: number }[]): Outputs {
  const combined = new Map<string, TensorValue>();
  for (const name of AVERAGED_OUTPUTS) {
    const values = parts.map(({ outputs }) => outputs.get(name)).filter((value) => value !== undefined);
    if (values.length < parts.length || !values.every(isFloatValue)) continue;
    const shapes = [...new Set(values.map(({ shape }) => formatShape(shape)))];
    if (shapes.length > 1) throw incomparable(`${name} is ${shapes.join(' and ')}`);
    const floats = values.map(floatsOf);
    const sums = floats[0].map((_, i) =>
      parts.reduce((sum, { coefficient }, m) => sum + coefficient * floats[m][i], 0),
    );
    combined.set(name, float32Value(values[0].shape, sums));
  }
  if (combined.size > 0) return combined;
  throw incomparable(`none of ${AVERAGED_OUTPUTS.join(', ')} is given by all of them`);
}

const incomparable = (problem: string): HpsError =>
  new HpsError('MODELS_INCOMPARABLE', `the members cannot be averaged: ${problem}`, {
    hint: 'Give models of one modality and mode that hpsv3 export wrote.',
    details: { problem },
  });
