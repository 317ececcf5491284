import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ModelCardOptions, type ModelCardReport, makeModelCard } from '../../src/core/lifecycle/card/write.js';
import { type EvaluateReport, evaluateFiles } from '../../src/core/lifecycle/evaluate/evaluate.js';
import { drawPairs, jsonLines, type Row, writeJudged } from './judged.js';

/** Names that break out of tables, spans, HTML and front matter where they are not escaped. */
export const HOSTILE_NAMES = [
  'a|b',
  '---',
  '`code` **bold**',
  '<script>alert(1)</script>',
  'two\nlines\n---\nlicense: mit',
  '"quoted": yes # and more',
  '[link](https://example.com) @someone $x$',
] as const;

export interface EvaluatedOptions {
  readonly prompts?: number;
  /** Named by every row of scores. */
  readonly model?: string;
  readonly groups?: readonly string[];
  readonly seed?: string;
  readonly name?: string;
}

/** Draws labels and scores into a folder, and evaluates them by the group `kind`; the report's path. */
export async function evaluated(folder: string, options: EvaluatedOptions = {}): Promise<string> {
  const { prompts = 30, model, groups = ['a', 'b'], seed, name = 'report.json' } = options;
  const { labels, scores } = drawPairs({ prompts, truth: 0.7, ...(seed === undefined ? {} : { seed }) });
  const grouped = labels.map((row, i) => ({ ...row, groups: { kind: groups[i % groups.length] } }));
  writeJudged(folder, {
    labels: grouped,
    scores: model === undefined ? scores : scores.map((row) => ({ ...row, model })),
  });
  const out = join(folder, name);
  await evaluateIn(folder, out);
  return out;
}

export const evaluateIn = (folder: string, out: string): Promise<EvaluateReport> =>
  evaluateFiles({
    scores: join(folder, 'scores.jsonl'),
    labels: join(folder, 'labels.jsonl'),
    by: ['kind'],
    out,
    minGroup: 5,
    resamples: 20,
    seed: 0,
    force: true,
  });

/** A card in this process, of a scorer unless a model is given. */
export const makeCard = (out: string, options: Partial<ModelCardOptions>): Promise<ModelCardReport> =>
  makeModelCard({
    ...(options.model === undefined ? { scorer: 'drawn' } : {}),
    evaluations: [],
    files: [],
    copyData: true,
    strict: false,
    force: false,
    ...options,
    out,
  });

/** Everything a maker can state, so that no gap of theirs is left. */
export const CARD_TEXT = `
name: Drawn
version: 1.0.0
license: Apache-2.0
language: [en]
tags: [test]
base_model: [someone/something]
details:
  description: A model of drawn numbers.
  developers: [Ada, Grace]
  contact: ada@example.com
  repository: https://example.com/repository
  citation: "@misc{drawn}"
intended_use:
  uses: [tests]
  users: [testers]
  out_of_scope: [anything else]
factors: {relevant: "kind, drawn at random"}
metrics: {choice: Accuracy is what decides.}
evaluation_data: {motivation: It is at hand.}
training_data: {description: None.}
ethical_considerations:
  data: Nothing sensitive.
  human_life: Nothing happens.
  risks: [{risk: Being believed., mitigation: Saying so.}]
caveats: [The numbers mean nothing.]
recommendations: [Do not use it.]
`;

export const DATA_TEXT = `
datasets:
  - name: Drawn pairs
    roles: [evaluation]
    license: CC0-1.0
    hub_id: someone/drawn
    task_id: preference
    files: [labels.jsonl]
    groups: {kind: The kind.}
`;

export function writeTexts(folder: string): { card: string; data: string } {
  const [card, data] = [join(folder, 'card.yaml'), join(folder, 'data.yaml')];
  writeFileSync(card, CARD_TEXT);
  writeFileSync(data, DATA_TEXT);
  return { card, data };
}

export const readJson = (path: string): Row => JSON.parse(readFileSync(path, 'utf8')) as Row;
export { jsonLines };
