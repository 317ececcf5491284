import * as Flags from '@oclif/core/flags';
import { HpsError } from '../errors.js';

/** Flags of both commands of drift: where rows come from, and how those of other scorers are read. */
export const windowFlags = {
  scores: Flags.string({
    helpValue: 'FILE',
    description: 'Scores of `hpsv3 batch`, or of any other scorer: JSONL, CSV or Parquet',
    exclusive: ['log'],
  }),
  log: Flags.string({ helpValue: 'FOLDER', description: 'What `hpsv3 serve --log-scores` wrote' }),
  labels: Flags.string({ helpValue: 'FILE', description: 'Human labels, by the ids of rows' }),
  input: Flags.string({
    helpValue: 'ROWS',
    description: 'The rows that were scored: for their prompts, groups, and what their inputs are like',
  }),
  score: Flags.string({
    helpValue: 'COLUMN',
    description: 'Column that holds the score, as other scorers name it; logit, score, reward, … are found',
  }),
  cluster: Flags.string({
    helpValue: 'COLUMN',
    description: 'Column of what rows have in common, and are moved together by; prompt_id if not given',
  }),
  feature: Flags.string({
    helpValue: 'COLUMN',
    multiple: true,
    multipleNonGreedy: true,
    description: 'One more column that is tested; can be given several times',
  }),
  kind: Flags.option({
    options: ['pair', 'item'] as const,
    description: 'What a row is, where neither rows nor labels tell: the score of a pair is a probability',
  })(),
};

/** `--alpha`, `--floor`: a number above 0. */
export const shareFlag = (name: string, description: string, most: number, initial: number) =>
  Flags.custom<number>({
    parse: async (text) => parseNumber(name, text, most),
    default: initial,
    helpValue: 'N',
    description,
  })();

function parseNumber(name: string, text: string, most: number): number {
  const value = Number(text);
  if (text.trim() !== '' && value > 0 && value <= most) return value;
  throw new HpsError('USAGE', `--${name}: expected a number above 0 and at most ${most}, got ${text}`);
}

/** The options that the window's flags stand for. */
export const windowOf = (flags: {
  readonly scores?: string;
  readonly log?: string;
  readonly labels?: string;
  readonly input?: string;
  readonly score?: string;
  readonly cluster?: string;
  readonly feature?: string[];
  readonly kind?: 'pair' | 'item';
}) => ({
  scores: flags.scores,
  log: flags.log,
  labels: flags.labels,
  input: flags.input,
  score: flags.score,
  cluster: flags.cluster,
  features: flags.feature,
  kind: flags.kind,
});
