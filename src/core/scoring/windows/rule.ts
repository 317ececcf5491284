import { existsSync } from 'node:fs';
import { type FittedWindowRule, readWindowRule } from '../../calibration/window-rule.js';
import { NAMED_AGGREGATES } from '../../data/score-windows.js';
import { HpsError } from '../../errors.js';
import type { Windowing } from '../../media/windows.js';
import type { Aggregation } from './aggregate.js';
import { ruleOf } from './options.js';

/** A rule, and the file that it was read from, where it was fitted. */
export interface OpenedRule {
  readonly aggregation: Aggregation;
  readonly fitted: { readonly name: string; readonly rule: FittedWindowRule } | null;
}

/** The rule that `aggregate` names. @throws HpsError USAGE for neither a name nor a file; as `readWindowRule` */
export function openRule(given = 'mean'): OpenedRule {
  const aggregate = NAMED_AGGREGATES.find((name) => name === given);
  if (aggregate) return { aggregation: { aggregate }, fitted: null };
  if (!existsSync(given)) {
    throw new HpsError('USAGE', `\`aggregate\` ${JSON.stringify(given.slice(0, 40))} is no rule, and no file`, {
      hint: `Give ${NAMED_AGGREGATES.join(', ')}, or the path of a rule that \`hpsv3 batch aggregate\` wrote.`,
      details: { aggregate: given.slice(0, 40) },
    });
  }
  const { document: rule, name } = readWindowRule(given);
  return { aggregation: { aggregate: 'fitted', sharpness: rule.sharpness }, fitted: { name, rule } };
}

/** @throws HpsError MODELS_INCOMPARABLE for a rule that was fitted to the scores of another model, or to other windows */
export function assertFittedTo(
  { aggregation, fitted }: OpenedRule,
  { cut, sha256, file }: { readonly cut: Windowing; readonly sha256: string; readonly file: string },
): void {
  if (!fitted) return;
  const { rule, name } = fitted;
  const { window, stride } = ruleOf(cut, aggregation);
  const refuse = (what: string, hint: string): HpsError =>
    new HpsError('MODELS_INCOMPARABLE', `${name}: was fitted to ${what}`, { hint, details: { file: name } });
  if (rule.window !== window || rule.stride !== stride) {
    throw refuse(
      `windows of ${rule.window} every ${rule.stride}, and these are of ${window} every ${stride}`,
      'Set `window` and `stride` as they were.',
    );
  }
  if (rule.modelSha256 !== null && rule.modelSha256 !== sha256)
    throw refuse(`scores of another model than ${file}`, 'Fit a rule to the scores of this model.');
}
