import { describe, expect, it } from 'vitest';
import type { ScoreRow } from '../../../src/core/data/rows.js';
import { scoreJson } from '../../../src/core/data/write-scores.js';

describe('scoreJson', () => {
  it('writes the fields in their order, those within others too, and no others', () => {
    const row = {
      model: 'ab',
      windows: { curve: [{ logit: 1 / 3, end: 2, start: 1, other: 1 }], window: 2 },
      aux: { right: { toxicity: 0.5 }, left: { toxicity: 1e-7, made_up: 1 } },
      marks: ['toxicity>0.5'],
      confidence: null,
      calibrated: false,
      score: -0,
      truncated: undefined,
      unknown: 1,
      logit: 1e21,
      id: '"é\\\n"',
    };
    expect(scoreJson(row as unknown as ScoreRow)).toBe(
      String.raw`{"id":"\"é\\\n\"","logit":1e+21,"score":0,"confidence":null,"calibrated":false,"aux":{"left":{"toxicity":1e-7},"right":{"toxicity":0.5}},"marks":["toxicity>0.5"],"windows":{"window":2,"curve":[{"logit":0.3333333333333333,"start":1,"end":2}]},"model":"ab"}`,
    );
  });
});
