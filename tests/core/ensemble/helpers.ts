import { Random } from '../../../src/core/bytes/random.js';
import { readLabels } from '../../../src/core/data/read-labels.js';
import { readScores } from '../../../src/core/data/read-scores.js';
import { type EnsembleRows, joinMembers } from '../../../src/core/ensemble/rows.js';
import { memoryInput } from '../data/helpers.js';

export interface JudgedPair {
  readonly id: string;
  readonly prompt?: string;
  readonly votes: readonly number[];
  /** By member; absent where it has no score. */
  readonly logits: Readonly<Record<string, number>>;
}

export const labelLines = (pairs: readonly JudgedPair[]): string =>
  lines(
    pairs.map(({ id, prompt, votes }) => ({
      id,
      type: 'pair',
      left: 'a',
      right: 'b',
      labels: votes,
      prompt_id: prompt,
    })),
  );

export const scoreLines = (pairs: readonly JudgedPair[], member: string): string =>
  lines(pairs.filter(({ logits }) => member in logits).map(({ id, logits }) => ({ id, logit: logits[member] })));

const lines = (rows: readonly object[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('');

export async function joined(pairs: readonly JudgedPair[], members: readonly string[]): Promise<EnsembleRows> {
  const { table } = await readLabels(memoryInput(labelLines(pairs), 'labels.jsonl'), { kind: 'pair' });
  if (table.kind !== 'pair') throw new TypeError('labels of pairs were asked for');
  const scores = [];
  for (const name of members) {
    scores.push({ name, table: (await readScores(memoryInput(scoreLines(pairs, name), `${name}.jsonl`))).table });
  }
  return joinMembers(table, scores);
}

/** Pairs whose truth two members see with noise of their own, at very different sizes; the third only guesses. */
export function drawnPairs(seed: string, clusters: number): JudgedPair[] {
  const random = new Random(seed);
  return Array.from({ length: 4 * clusters }, (_, i) => {
    const truth = 1.5 * random.normal();
    const noisy = (size: number): number => Number((size * (truth + 1.5 * random.normal())).toPrecision(6));
    const vote = (): number => (random.uniform() < 1 / (1 + Math.exp(-2 * truth)) ? 1 : 0);
    return {
      id: `row${i}`,
      prompt: `prompt${i % clusters}`,
      votes: [vote(), vote(), vote()],
      logits: { small: noisy(0.01), large: noisy(20), guess: Number(random.normal().toPrecision(6)) },
    };
  });
}
