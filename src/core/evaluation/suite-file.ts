import { parseYaml } from '../bytes/yaml.js';
import { defineFormat } from '../documents/define.js';
import { readWhole } from '../documents/read-whole.js';
import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import * as z from '../zod.js';

/** How a subset is scored; see `prepareSuite`. */
export const SUITE_METRICS = ['pairs', 'best-of', 'ties'] as const;

const metric = z.enum(SUITE_METRICS);
const weight = z.number().min(0).max(1e9);

/** A benchmark as data: which rows belong together, what counts as right, and how shares become one figure. */
export const suiteSchema = z.strictObject({
  schema: z.literal('hpsv3/suite@1').optional(),
  name: z.string().min(1).max(200),
  source: z.string().max(1000).optional().describe('Where the protocol is published'),
  description: z.string().max(4000).optional(),
  by: z.string().min(1).optional().describe('Group that says which subset a row is of; without it all rows are one'),
  metric: metric.default('pairs').describe('How subsets are scored: share of pairs, best of N of a prompt, or ties'),
  metrics: z.record(z.string(), metric).default({}).describe('Subsets that are scored in another way'),
  equal_scores: z.number().min(0).max(1).default(0).describe('What a pair of equal scores earns'),
  equal_votes: z
    .enum(['leave-out', 'half'])
    .default('leave-out')
    .describe('Pairs that people find equal: left out, or half right whatever the scores'),
  better: z
    .string()
    .min(1)
    .optional()
    .describe('Group that says which side is better, left or right, whatever the votes; rows without it go by votes'),
  sections: z
    .array(
      z.strictObject({
        name: z.string().min(1),
        weight: weight.default(1).describe('Of the section in the whole'),
        subsets: z
          .union([z.array(z.string().min(1)).min(1), z.record(z.string(), weight)])
          .describe('Subsets that count by their rows, or each with the weight given'),
      }),
    )
    .min(1)
    .max(1000)
    .optional()
    .describe('Without sections the whole is the share over all rows'),
});

export type Suite = z.output<typeof suiteSchema>;

export const suiteFormat = defineFormat('hpsv3/suite@1', suiteSchema);

const HINT = 'Suites of RewardBench, RewardBench 2, HPDv3 and ImageReward lie in configs/suites: copy one.';

/** Reads a suite. @throws HpsError FILE_NOT_FOUND, FILE_UNREADABLE, CONFIG_INVALID */
export function readSuite(path: string): { readonly suite: Suite; readonly name: string; readonly sha256: string } {
  const { name, bytes, sha256 } = readWhole(path, { limit: LIMITS.configBytes, what: 'a suite', hint: HINT });
  const parsed = suiteSchema.safeParse(parseYaml(bytes, { name, hint: HINT }));
  const refuse = (why: string): HpsError =>
    new HpsError('CONFIG_INVALID', `${name}: not a suite: ${why}`, { hint: HINT, details: { file: name } });
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw refuse(`${issue.path.map(String).join('.') || 'the root'}: ${issue.message}`);
  }
  const suite = parsed.data;
  const named = (suite.sections ?? []).flatMap(({ subsets }) =>
    Array.isArray(subsets) ? subsets : Object.keys(subsets),
  );
  if (named.length > 0 && suite.by === undefined)
    throw refuse('sections have subsets, and `by` does not say which rows are of which');
  const repeated = named.find((subset, i) => named.indexOf(subset) !== i);
  if (repeated !== undefined) throw refuse(`subset ${repeated} is in two sections`);
  return { suite, name, sha256 };
}
