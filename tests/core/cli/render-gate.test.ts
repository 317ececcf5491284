import { describe, expect, it } from 'vitest';
import { formatGate, formatVerify } from '../../../src/core/cli/render-gate.js';
import type { GateReport } from '../../../src/core/gate/report.js';

const report: GateReport = {
  passed: true,
  level: 'full',
  reference: 'source',
  budget: {},
  seed: '0',
  pairs: 276,
  flips: 0,
  flipRate: 0,
  kendall: 1,
  maxScoreDiff: 1.5e-6,
  checks: [{ name: 'batch size', passed: true, maxAbsDiff: 1e-7, detail: 'sizes 1, 2, 3, 8' }],
  notes: [],
  parity: { golden: null, source: null },
  peakRssBytes: 0,
  loadMs: 0,
  runMs: 0,
};

describe('the text of the gate', () => {
  it('has one line a check, then the verdict', () => {
    const lines = formatGate(report).split('\n');
    expect(lines[1]).toMatch(/^batch size\s+pass\s+1\.00e-7\s+sizes 1, 2, 3, 8$/);
    expect(lines.at(-1)).toBe('Verified against the source model.');
    const on = (origin: 'probes' | 'inputs') => formatGate({ ...report, comparedOn: { rows: 24, origin } });
    expect(on('probes')).toContain('Verified against the source model, on 24 made-up inputs.');
    expect(on('inputs')).toContain('Verified against the source model, on 24 given inputs.');
  });

  it('never says verified of a model that was compared with nothing, or not checked at all', () => {
    expect(formatGate({ ...report, reference: 'none' })).not.toContain('erified');
    expect(formatGate({ ...report, level: 'off' })).not.toContain('erified');
    expect(formatGate({ ...report, passed: false })).not.toContain('erified');
  });

  it('names the first output that moved, with nothing in it that drives a terminal', () => {
    const firstMoved = { output: 'logit\u001b[2J', maxAbsDiff: 0.25 };
    expect(formatGate({ ...report, passed: false, firstMoved })).toContain(
      'First output that moved: logit\\u001b[2J, by 0.250.',
    );
  });

  it('sums up what two models were compared by', () => {
    const text = formatVerify({ ...report, models: ['a.onnx', 'b.onnx'] });
    expect(text).toContain('Verified against a.onnx.');
    expect(text).not.toContain('rder bias');
    expect(formatVerify({ ...report, orderBias: 0.2, models: ['a.onnx', 'b.onnx'] })).toContain(
      'order bias 0.200\nOrder bias: by how much the head',
    );
    expect(text).toContain(
      'a.onnx and b.onnx: 276 pairs, 0 flips, Kendall 1.000000, largest score difference 0.00000150',
    );
  });
});
