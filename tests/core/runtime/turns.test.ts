import { expect, it } from 'vitest';
import { turnsOf } from '../../../src/core/runtime/turns.js';

it.each([1, 2, 3, 4])('puts each of %i trials before each other as often as after it', (count) => {
  const rounds = Array.from({ length: 2 * count }, (_, round) => turnsOf(round, count));
  for (const turns of rounds) expect([...turns].sort()).toEqual(Array.from({ length: count }, (_, i) => i));
  for (let a = 0; a < count; a++) {
    for (let b = 0; b < a; b++) {
      expect(rounds.filter((turns) => turns.indexOf(a) < turns.indexOf(b))).toHaveLength(count);
    }
  }
});
