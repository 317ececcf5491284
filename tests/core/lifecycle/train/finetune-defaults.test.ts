import { describe, expect, it } from 'vitest';
import { finetuneSchedule } from '../../../../src/core/lifecycle/train/finetune-defaults.js';

const MINI = { trainedParameters: 74_114, parameters: 1_165_446, stepsPerEpoch: 15 };

describe('finetuneSchedule', () => {
  // docs/training.md has what each comes to on labels.
  it.each([
    ['a head, a sixteenth of the weights', MINI, 1e-3],
    ['a third of them', { ...MINI, trainedParameters: 388_482 }, 3e-4],
    ['all of them', { ...MINI, trainedParameters: MINI.parameters }, 1e-4],
    ['the whole of a large encoder', { ...MINI, trainedParameters: 3e8, parameters: 3e8 }, 2e-5],
    ['the head of a large encoder', { ...MINI, trainedParameters: 1e6, parameters: 3e8 }, 1e-3],
  ])('chooses the learning rate for %s', (_, size, lr) => {
    expect(finetuneSchedule({}, {}, size).lr).toBe(lr);
  });

  it.each([
    [100, 5, 300, 15],
    [300, 15, 300, 5],
    [1000, 50, 500, 3],
  ])('gives %d pairs as many steps and as much patience as they need', (_, stepsPerEpoch, steps, patience) => {
    expect(finetuneSchedule({}, {}, { ...MINI, stepsPerEpoch })).toMatchObject({ steps, patience });
  });

  it('takes what is given', () => {
    const given = { lr: 3e-5, patience: 0 };
    expect(finetuneSchedule(given, { epochs: 2 }, MINI)).toEqual({ ...given, steps: 30 });
    expect(finetuneSchedule(given, { epochs: 2, steps: 7 }, MINI)).toEqual({ ...given, steps: 7 });
  });
});
