import type { Random } from '../bytes/random.js';

/** How far an item is pushed: 1 is just visible or audible, 5 spoils it. */
export const STRENGTHS = [1, 2, 3, 4, 5] as const;
export const MAX_STRENGTH = 5;

/** One way to make an item worse. */
export interface Perturbation<T> {
  /** The value of `groups.perturbation`. */
  readonly id: string;
  /** What one step of strength costs, in utility: 1 for damage, near 0 for a change that hardly matters. */
  readonly weight: number;
  /**
   * The item at one strength in 1 … 5.
   * @param random - in the same state for every strength of one source, so that the stronger damage contains the weaker
   */
  apply(clean: T, strength: number, random: Random): T | Promise<T>;
}

/** True utility of an item, in the units of the simulated raters: 0 clean, negative when damaged. */
export const utilityOf = ({ weight }: Pick<Perturbation<unknown>, 'weight'>, strength: number): number =>
  strength === 0 ? 0 : -weight * strength;
