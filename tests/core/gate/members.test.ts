import { describe, expect, it } from 'vitest';
import { runGate } from '../../../src/core/gate/gate.js';
import { combineOutputs } from '../../../src/core/gate/members.js';
import type { GateReport } from '../../../src/core/gate/report.js';
import { float32Value, floatsOf } from '../../../src/core/runtime/value.js';
import { goldenModel } from '../../helpers/models.js';

const outputs = (values: Record<string, number[]>) =>
  new Map(Object.entries(values).map(([name, data]) => [name, float32Value([data.length], Float32Array.from(data))]));

describe('combineOutputs', () => {
  it('gives the weighted sum of the logits that all members have, and of nothing else', () => {
    const combined = combineOutputs([
      { outputs: outputs({ pair_logit: [1, -2], probability: [0.7, 0.1], logit: [3, 3] }), coefficient: 0.75 },
      { outputs: outputs({ pair_logit: [5, 2], probability: [0.9, 0.8] }), coefficient: 0.25 },
    ]);
    expect([...combined.keys()]).toEqual(['pair_logit']);
    expect(floatsOf(combined.get('pair_logit')!)).toBeAllClose([2, -1]);
  });

  it('keeps NaN', () => {
    const parts = [
      { outputs: outputs({ pair_logit: [Number.NaN] }), coefficient: 0.5 },
      { outputs: outputs({ pair_logit: [1] }), coefficient: 0.5 },
    ];
    expect(floatsOf(combineOutputs(parts).get('pair_logit')!)).toEqual(Float32Array.of(Number.NaN));
  });

  it.each([
    ['no logits in common', { utility: [1] }],
    ['logits of other shapes', { pair_logit: [1, 2, 3] }],
  ])('refuses members with %s', (_, values) => {
    const parts = [
      { outputs: outputs({ pair_logit: [1] }), coefficient: 0.5 },
      { outputs: outputs(values), coefficient: 0.5 },
    ];
    expect(() => combineOutputs(parts)).toThrow(expect.objectContaining({ code: 'MODELS_INCOMPARABLE' }));
  });
});

describe('runGate against the members of an ensemble', () => {
  const judge = (candidate: string, members: readonly (readonly [string, number])[]): Promise<GateReport> =>
    runGate({
      candidate: goldenModel('gate', candidate),
      reference: {
        kind: 'ensemble',
        members: members.map(([name, coefficient]) => ({ path: goldenModel('gate', name), coefficient })),
      },
      level: 'quick',
      threads: 1,
    });

  it('passes a model that gives their weighted average', async () => {
    const report = await judge('item', [
      ['item', 0.25],
      ['item', 0.75],
    ]);
    expect(report).toMatchObject({ passed: true, reference: 'members', budget: { flips: 0, score: 1e-5 }, flips: 0 });
    expect(report.maxScoreDiff).toBeLessThan(1e-5);
  });

  it('fails a model that gives another', async () => {
    const report = await judge('item', [
      ['item', 0.5],
      ['item-flipped', 0.5],
    ]);
    expect(report.passed).toBe(false);
    expect(report.maxScoreDiff).toBeGreaterThan(1e-5);
  });

  it('fails an ensemble with a member that gives NaN', async () => {
    const report = await judge('item', [
      ['item', 0.5],
      ['item-nan', 0.5],
    ]);
    expect(report.passed).toBe(false);
    expect(JSON.parse(JSON.stringify(report))).toEqual(report);
  });
});
