/**
 * The order in which `count` trials take their turns in a round: forwards, then backwards, then from the next one on. Over
 * 2 `count` rounds each is before each other as often as after it. That matters: a disturbance begins at once and fades slowly,
 * so of two runs in a row the second is the faster one more often than not.
 */
export function turnsOf(round: number, count: number): number[] {
  const start = (round >> 1) % count;
  const turns = Array.from({ length: count }, (_, turn) => (start + turn) % count);
  return round % 2 === 0 ? turns : turns.reverse();
}

/** Rounds after which `turnsOf` begins again: a comparison ends with a whole cycle. */
export const cycleOf = (count: number): number => (count === 1 ? 1 : 2 * count);
