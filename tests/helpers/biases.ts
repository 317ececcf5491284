import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Random } from '../../src/core/bytes/random.js';
import { readJudgedScores } from '../../src/core/data/judged-scores.js';
import { diagnose } from '../../src/core/evaluation/diagnose.js';
import { jsonLines, type Row } from './judged.js';

export interface BiasedPairs {
  readonly prompts: number;
  readonly seed: string;
  /** Logits a natural logarithm of characters that the score has too much. */
  readonly length?: number;
  /** Logits that the left one gets for its side. */
  readonly side?: number;
  /** How much people themselves like length. */
  readonly truth?: number;
  /** What text of so many characters is; letters by default. */
  readonly textOf?: (length: number, random: Random) => string;
  readonly fields?: (row: number) => object;
}

/** Writes three pairs of texts a prompt, three votes each by the truth, and a score that is the truth and what is planted. */
export function writeBiasedPairs(
  folder: string,
  { prompts, seed, length = 0, side = 0, truth = 0.2, textOf, fields }: BiasedPairs,
) {
  const random = new Random(seed);
  const labels: Row[] = [];
  const scores: Row[] = [];
  for (let i = 0; i < 3 * prompts; i++) {
    const item = () => {
      const characters = Math.round(Math.exp(3 + random.normal()));
      return { text: textOf?.(characters, random) ?? 'x'.repeat(Math.max(1, characters)), worth: random.normal() };
    };
    const [left, right] = [item(), item()];
    const longer = Math.log(left.text.length) - Math.log(right.text.length);
    const better = left.worth - right.worth + truth * longer;
    const vote = () => Number(random.uniform() < 1 / (1 + Math.exp(-better)));
    const id = `${i}`;
    labels.push({
      id,
      type: 'pairwise_text',
      left: left.text,
      right: right.text,
      labels: [vote(), vote(), vote()],
      prompt_id: `p${Math.floor(i / 3)}`,
      ...fields?.(i),
    });
    scores.push({ id, logit: better + length * longer + side });
  }
  const write = (name: string, rows: Row[]) => {
    writeFileSync(join(folder, name), jsonLines(rows));
    return join(folder, name);
  };
  return { labels: write('labels.jsonl', labels), scores: write('scores.jsonl', scores) };
}

/** The diagnosis of `evaluate`, without its other figures. */
export async function diagnoseFiles({ labels, scores }: { readonly labels: string; readonly scores: string }) {
  const { joined } = await readJudgedScores({ labels, scores });
  return diagnose(joined, { labels, mediaRoot: dirname(labels), seed: 'diagnosis', resamples: 100 });
}
