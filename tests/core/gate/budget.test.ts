import { describe, expect, it } from 'vitest';
import { parseBudget, withDefaults } from '../../../src/core/gate/budget.js';

describe('parseBudget', () => {
  it.each([
    ['flips=0,kendall=0.999,score=1e-4', { flips: 0, kendall: 0.999, score: 1e-4 }],
    ['flips=0.5%', { flipRate: 0.005 }],
    ['flips=0.005', { flipRate: 0.005 }],
    [' score = .5 , probability = 1e-5 ', { score: 0.5, probability: 1e-5 }],
    ['kendall=-1', { kendall: -1 }],
  ])('reads %s', (text, budget) => {
    expect(parseBudget(text)).toEqual(budget);
  });

  it.each([
    ['', /known/i],
    ['flip=0', /did you mean flips/i],
    ['Score=1', /did you mean score/i],
    ['tau=1', /flips, kendall, score, probability/],
    ['constructor=1', /flips, kendall/],
    ['score', /NUMBER/],
    ['score=', /number/],
    ['score=NaN', /number/],
    ['score=Infinity', /number/],
    ['score=0x10', /number/],
    ['score=-1', /at least 0/],
    ['score=1=2', /NUMBER/],
    ['score=1,score=2', /twice/],
    ['kendall=1.1', /from -1 to 1/],
    ['probability=2', /from 0 to 1/],
    ['flips=1.5', /percent/],
    ['flips=-1', /count/],
    ['flips=101%', /from 0 to 100/],
    ['flips=0,', /unknown/],
  ])('refuses "%s" as USAGE, saying what is wrong', (text, words) => {
    let error: unknown;
    try {
      parseBudget(text);
    } catch (reason) {
      error = reason;
    }
    expect(error).toMatchObject({ code: 'USAGE', exitCode: 2 });
    const { message, hint } = error as { message: string; hint: string };
    expect(`${message} ${hint}`).toMatch(words);
  });
});

describe('withDefaults', () => {
  it('replaces only what is given', () => {
    expect(withDefaults('source', { score: 1 })).toEqual({ flips: 0, score: 1 });
    expect(withDefaults('quantize')).toEqual({ flipRate: 0.005, kendall: 0.99 });
  });

  it('takes flips as a count or as a share, not both', () => {
    expect(withDefaults('quantize', { flips: 2 })).toEqual({ flips: 2, kendall: 0.99 });
    expect(withDefaults('source', { flipRate: 0.1 })).toEqual({ flipRate: 0.1, score: 1e-4 });
  });
});
