import { describe, expect, it } from 'vitest';
import { formatScore } from '../../../src/core/cli/render-score.js';

const base = {
  logit: 0.5,
  model: 'a'.repeat(64),
  runtime: { version: '1', device: 'cpu', threads: 1, optimization: 'all' },
  warnings: [],
} as const;
const item = { ...base, score: 0.46, calibrated: 3.2 } as const;

describe('the text of a score', () => {
  it.each([
    ['calibrator', 'on the scale of the labels that the calibrator was fitted to'],
    ['checkpoint', "by the checkpoint's own calibration layer, which nothing here held to labels"],
    ['contract', 'as its contract reads the output'],
  ] as const)('says of a value by the %s what it is', (calibratedBy, words) => {
    const text = formatScore({ ...item, calibratedBy });
    expect(text).toContain(`utility 0.4600, 3.2000 ${words}`);
    expect(text).not.toContain('human');
  });

  it('names a worst window only where there are several', () => {
    const worst = { start: 0, end: 8, logit: 0.5 };
    const rule = { window: '8s', stride: '4s', aggregate: 'mean', unit: 'seconds', interval: null } as const;
    const textOf = (count: number) =>
      formatScore({ ...item, windows: { ...rule, count, worst, curve: Array.from({ length: count }, () => worst) } });
    expect(textOf(1)).toContain('1 window at 0:00:00.0 to 0:00:08.0: logit 0.500000');
    expect(textOf(2)).toContain('2 windows, the worst at 0:00:00.0 to 0:00:08.0: logit 0.500000');
  });

  it('says what a pair was decided by', () => {
    const pair = { ...base, score: 0.62, winner: 'left', confidence: null, calibrated: false } as const;
    expect(formatScore({ ...pair, decision: 'pair-head' })).toContain('Decided by the pair head, asked both ways.');
    expect(formatScore({ ...pair, decision: 'utility-difference' })).toContain(
      'Decided by the difference of two utilities.',
    );
    expect(formatScore({ ...item, calibrated: false })).not.toContain('Decided');
  });
});
