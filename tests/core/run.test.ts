import { describe, expect, it } from 'vitest';
import { counter, type Progress, runOf, startStage, turns } from '../../src/core/run.js';

describe('a run', () => {
  it('counts the parts of a stage', () => {
    const seen: Progress[] = [];
    const run = { onProgress: (progress: Progress) => void seen.push(progress) };
    startStage(run, 'Reading');
    const count = counter(run, 'Scoring', 'rows', 2);
    count();
    count();
    expect(seen).toEqual([
      { stage: 'Reading', done: 0, total: null, unit: 'steps' },
      { stage: 'Scoring', done: 1, total: 2, unit: 'rows' },
      { stage: 'Scoring', done: 2, total: 2, unit: 'rows' },
    ]);
    counter({}, 'Scoring', 'rows')(); // nobody listens
  });

  it('is handed on without the other options', () => {
    const { signal } = new AbortController();
    expect(runOf({ signal, seed: 1 } as never)).toEqual({ signal, onProgress: undefined, onWarning: undefined });
  });
});

describe('turns', () => {
  it('let a signal be heard in a loop that only computes', async () => {
    const controller = new AbortController();
    setTimeout(() => controller.abort(new Error('stopped')), 10);
    const turn = turns(controller.signal);
    const loop = async () => {
      for (;;) await turn();
    };
    await expect(loop()).rejects.toThrow('stopped');
  });

  it('cost nothing most of the time', () => {
    const turn = turns();
    expect(turn()).toBeUndefined();
  });
});
