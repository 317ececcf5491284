import { DEFAULT_SEED } from '../defaults.js';

/** What a check asks, and how sure it wants to be. */
export interface CheckSettings {
  /** Chance of calling anything drift where there is none; of monitors, ever. */
  readonly alpha: number;
  /** Deals of clusters behind each p-value; more where so many questions are asked that fewer could not tell. */
  readonly permutations: number;
  /** Least effect that counts: of numbers in interquartile ranges, of categories as Cohen's h, of calibration as its error. */
  readonly floors: { readonly numbers: number; readonly categories: number; readonly calibration: number };
  /** Fewest rows, and clusters, that are tested. */
  readonly least: { readonly rows: number; readonly clusters: number };
  /** Group columns within whose groups scores are tested, too. */
  readonly by: readonly string[];
  readonly seed: number;
}

export const CHECK_SETTINGS: CheckSettings = {
  alpha: 0.05,
  permutations: 999,
  floors: { numbers: 0.1, categories: 0.2, calibration: 0.02 },
  least: { rows: 20, clusters: 5 },
  by: [],
  seed: DEFAULT_SEED,
};
