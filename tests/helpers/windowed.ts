import { Random } from '../../src/core/bytes/random.js';
import { writeRows } from './scoring.js';

/** Scores of texts in four windows each, and labels that go by the lowest of them: paths of both files. */
export function writeWindowed(
  folder: string,
  name: string,
  count: number,
  window = '40t',
): { scores: string; labels: string } {
  const random = new Random(name);
  const cut = { window, stride: '20t' };
  const rows = Array.from({ length: count }, (_, i) => {
    const logits = Array.from({ length: 4 }, () => random.normal());
    const curve = logits.map((logit, window) => ({ start: 10 * window, end: 10 * window + 20, logit }));
    const described = {
      ...cut,
      aggregate: 'mean',
      unit: 'characters',
      interval: null,
      count: 4,
      worst: curve[0],
      curve,
    };
    const lowest = Math.min(...logits);
    return {
      score: { id: `${i}`, logit: logits.reduce((a, b) => a + b) / 4, windows: described },
      label: { id: `${i}`, type: 'abs', item: 'text', content: 'x', score: lowest + 0.1 * random.normal() },
    };
  });
  const file = (kind: 'score' | 'label'): string =>
    writeRows(
      folder,
      `${name}-${kind}.jsonl`,
      rows.map((row) => row[kind]),
    );
  return { scores: file('score'), labels: file('label') };
}
