import { Random } from '../bytes/random.js';
import { outcomeOf } from './davidson.js';
import type { ReplayPool, World } from './replay.js';

export interface SimulationOptions {
  readonly prompts: number;
  readonly items: number;
  /** Standard deviation of utilities, in logits. */
  readonly deviation: number;
  /** See `outcomeOf`. */
  readonly ties: number;
  readonly seed: number;
}

/** Every two items of every prompt. */
export function simulatedPool({ prompts, items }: SimulationOptions): ReplayPool {
  const left: number[] = [];
  const right: number[] = [];
  const prompt: number[] = [];
  for (let p = 0; p < prompts; p++)
    for (let i = 0; i < items; i++)
      for (let j = 0; j < i; j++) {
        left.push(p * items + j);
        right.push(p * items + i);
        prompt.push(p);
      }
  return {
    left: Int32Array.from(left),
    right: Int32Array.from(right),
    prompt: Int32Array.from(prompt),
    items: prompts * items,
    prompts,
  };
}

/** Utilities drawn anew in each replay, and raters without end who vote as Davidson's model has it. */
export function simulatedWorld(pool: ReplayPool, { deviation, ties, seed }: SimulationOptions, replay: number): World {
  const random = new Random(`${seed}/world/${replay}`);
  const truth = Float64Array.from({ length: pool.items }, () => deviation * random.normal());
  return {
    truth,
    hasVotes: () => true,
    vote: (pair) => {
      const { left, tie } = outcomeOf(truth[pool.left[pair]] - truth[pool.right[pair]], ties);
      const draw = random.uniform();
      return draw < left ? 1 : draw < left + tie ? 0.5 : 0;
    },
  };
}
