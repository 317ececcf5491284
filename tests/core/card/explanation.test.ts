import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { verifyModelCard } from '../../../src/core/lifecycle/card/verify.js';
import { makeModelCard } from '../../../src/core/lifecycle/card/write.js';
import { explainDecisions } from '../../../src/core/lifecycle/explain/explain.js';
import { tinyModel, writeRows } from '../../helpers/scoring.js';
import { sharedFolder } from '../../helpers/temp.js';

const folder = sharedFolder();
const explanation = join(folder, 'why');
const card = join(folder, 'card');
let model: string;

beforeAll(async () => {
  model = await tinyModel(folder, 'text', 'item');
  const rows = ['one', 'two words', 'three of them', 'and four of them'].map((left, i) => ({
    id: `row-${i}`,
    type: 'pair',
    left,
    right: 'a fox',
  }));
  const input = { file: writeRows(folder, 'rows.jsonl', rows) };
  await explainDecisions({ model, input, method: 'input-x-gradient', mostRows: 0, out: explanation });
  await makeModelCard({ model, explanation, out: card });
});

describe('the section of explanations in a card', () => {
  it('has three rows and what weighs most in them, in both renderings', () => {
    const facts = JSON.parse(readFileSync(join(card, 'card.json'), 'utf8'));
    expect(facts.schema).toBe('hpsv3/card@3');
    expect(facts.explanation).toMatchObject({ method: 'input-x-gradient', explained: 4, failed: 0 });
    const { samples } = JSON.parse(readFileSync(join(explanation, 'explanation.json'), 'utf8'));
    const sizes = samples.map(({ logit }: { logit: number }) => Math.abs(logit)).sort((a: number, b: number) => b - a);
    const shown = facts.explanation.examples.map(({ logit }: { logit: number }) => Math.abs(logit));
    expect(shown).toEqual([sizes[0], sizes[2], sizes[3]]);
    const [{ name }] = facts.explanation.examples[0].parts[0].top;
    for (const rendering of ['README.md', 'card.html']) {
      const text = readFileSync(join(card, rendering), 'utf8');
      expect(text).toContain('Why it decides so');
      expect(text).toContain(`${name.trim()} `);
      expect(text).toContain('were not held against the model');
    }
  });

  it('is bound to its report, and computed from it again', async () => {
    const verified = await verifyModelCard({ folder: card });
    expect(verified.passed).toBe(true);
    const path = join(card, 'card.json');
    const text = readFileSync(path, 'utf8');
    writeFileSync(path, text.replace('"explained": 4', '"explained": 5'));
    expect(await verifyModelCard({ folder: card })).toMatchObject({
      passed: false,
      differences: expect.arrayContaining([expect.objectContaining({ at: 'explanation.explained' })]),
    });
    writeFileSync(path, text);
  });

  it('refuses an explanation of another model', async () => {
    const other = await tinyModel(folder, 'text', 'pair');
    await expect(makeModelCard({ model: other, explanation, out: join(folder, 'other') })).rejects.toMatchObject({
      code: 'MODELS_INCOMPARABLE',
    });
  });
});
