import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Random } from '../../src/core/bytes/random.js';

export interface DrawOptions {
  readonly prompts: number;
  /** True log-odds a logit: below 1 the score is overconfident. */
  readonly truth: number;
  readonly seed?: string;
}

export type Row = Record<string, unknown>;

/** Three pairs a prompt, three votes each, in groups `a` and `b`, and the logits of a model. */
export function drawPairs({ prompts, truth, seed = 'pairs' }: DrawOptions): { labels: Row[]; scores: Row[] } {
  const random = new Random(seed);
  const labels: Row[] = [];
  const scores: Row[] = [];
  for (let i = 0; i < 3 * prompts; i++) {
    const id = `row${i}`;
    const logit = 2 * random.normal();
    const vote = (): number => Number(random.uniform() < 1 / (1 + Math.exp(-truth * logit)));
    const groups = { kind: i % 2 === 0 ? 'a' : 'b' };
    const votes = [vote(), vote(), vote()];
    labels.push({ id, type: 'pair', left: 'l', right: 'r', labels: votes, prompt_id: `p${i % prompts}`, groups });
    scores.push({ id, logit });
  }
  return { labels, scores };
}

/** Two items a prompt with a score on a scale of 1 to 5 that grows with the logit. */
export function drawItems({ prompts, truth, seed = 'items' }: DrawOptions): { labels: Row[]; scores: Row[] } {
  const random = new Random(seed);
  const labels: Row[] = [];
  const scores: Row[] = [];
  for (let i = 0; i < 2 * prompts; i++) {
    const id = `item${i}`;
    const logit = random.normal();
    const score = Math.min(5, Math.max(1, 3 + truth * logit + 0.3 * random.normal()));
    labels.push({ id, type: 'abs', item: 'text', content: 'a', score, prompt_id: `p${i % prompts}` });
    scores.push({ id, logit });
  }
  return { labels, scores };
}

export const jsonLines = (rows: readonly Row[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('');

/** Writes `labels.jsonl` and `scores.jsonl`. */
export function writeJudged(folder: string, { labels, scores }: { labels: readonly Row[]; scores: readonly Row[] }) {
  writeFileSync(join(folder, 'labels.jsonl'), jsonLines(labels));
  writeFileSync(join(folder, 'scores.jsonl'), jsonLines(scores));
}

/** Paths of all nulls in a document: where a number that is not finite would end up. */
export function nullsOf(value: unknown, path = ''): string[] {
  if (value === null) return [path];
  if (typeof value !== 'object') return [];
  return Object.entries(value as object).flatMap(([key, inner]) => nullsOf(inner, `${path}.${key}`));
}
