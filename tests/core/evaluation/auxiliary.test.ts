import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseDocument } from '../../../src/core/card/documents.js';
import { headRows } from '../../../src/core/card/figures.js';
import { evaluateFiles } from '../../../src/core/lifecycle/evaluate/evaluate.js';
import { drawItems, jsonLines, type Row } from '../../helpers/judged.js';
import { tempFolder } from '../../helpers/temp.js';

/** Twelve items with labels, their scores, and the figures that scikit-learn and SciPy give of the ten that have both. */
const GOLDEN = JSON.parse(readFileSync(new URL('../../golden/aux-heads/cases.json', import.meta.url), 'utf8'));

const evaluate = (labels: readonly Row[], scores: readonly Row[]) => {
  const folder = tempFolder();
  const [labelFile, scoreFile, out] = ['l.jsonl', 's.jsonl', 'report.json'].map((name) => join(folder, name));
  writeFileSync(labelFile, jsonLines(labels));
  writeFileSync(scoreFile, jsonLines(scores));
  return evaluateFiles({ labels: labelFile, scores: scoreFile, out, resamples: 100 }).then((report) => ({
    report,
    out,
  }));
};

describe('judging auxiliary heads', () => {
  it('gives the figures of scikit-learn and SciPy, with intervals, and reads them back for a card', async () => {
    const { report, out } = await evaluate(GOLDEN.labels, GOLDEN.scores);
    const { aux } = report;
    expect(Object.keys(aux!)).toEqual(['quality', 'fluency', 'toxicity']);
    for (const head of ['quality', 'fluency', 'toxicity'] as const) {
      const { n, positives, metrics } = aux![head]!;
      expect([n, positives]).toEqual([GOLDEN.figures[head].n, GOLDEN.figures[head].positives]);
      for (const [id, value] of Object.entries(GOLDEN.figures[head].metrics as Record<string, number>)) {
        expect(metrics[id].value, `${head} ${id}`).toBeCloseTo(value, 12);
        expect(metrics[id].ci).not.toBeNull();
      }
    }
    expect(report.warnings).toContain('2 items have a label toxicity and no score of such a head: they judge nothing.');
    const read = parseDocument('evaluation', JSON.parse(readFileSync(out, 'utf8')), 'report.json');
    expect(read.aux).toEqual(JSON.parse(JSON.stringify(aux)));
    expect(headRows(read.aux!)[0].slice(0, 3)).toEqual(['quality', `${GOLDEN.figures.quality.n}`, 'RMSE']);
  });

  it('is silent where labels or scores have no heads, and says so where labels alone have', async () => {
    const { labels, scores } = drawItems({ prompts: 10, truth: 1 });
    const plain = await evaluate(labels, scores);
    expect(plain.report).not.toHaveProperty('aux');
    const asked = await evaluate(
      labels.map((row) => ({ ...row, aux: { fluency: 1 } })),
      scores,
    );
    expect(asked.report).not.toHaveProperty('aux');
    expect(asked.report.warnings).toContain(
      '20 items have a label fluency and no score of such a head: they judge nothing.',
    );
    const unasked = await evaluate(
      labels,
      scores.map((row) => ({ ...row, aux: { fluency: 0.5 } })),
    );
    expect(unasked.report).not.toHaveProperty('aux');
  });
});
