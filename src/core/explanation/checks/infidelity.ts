import { Random } from '../../bytes/random.js';
import type { SideName } from '../decision.js';
import type { Evaluator, ItemInputs } from '../evaluator.js';
import type { Explanation } from '../explainer.js';
import type { Cells } from './cells.js';
import { evaluateWithout } from './curves.js';

const SAMPLES = 64;
/** Share of the cells that are taken away in each. */
const SHARE = 0.2;

export interface InfidelityCheck {
  /** Mean of (what the map says f loses - what it loses)^2, over random sets of cells that are taken away. */
  readonly infidelity: number;
  /** The same as a share of the mean of (what f loses)^2, with the map scaled as fits best: 0 where it says exactly what is lost, 1 where nothing. */
  readonly unexplained: number;
}

/** Yeh and others 2019, with cells taken away for a perturbation (their square removal). */
export async function checkInfidelity(
  evaluator: Evaluator,
  sides: ReadonlyMap<SideName, ItemInputs>,
  explanation: Explanation,
  cells: Cells,
  seed: number,
): Promise<InfidelityCheck> {
  const random = new Random(`explain:infidelity:${seed}`);
  const sets = Array.from({ length: SAMPLES }, () => {
    const chosen = cells.cells.flatMap((_, i) => (random.uniform() < SHARE ? [i] : []));
    return chosen.length > 0 ? chosen : [random.integer(0, cells.cells.length)];
  });
  const direction = explanation.logit < 0 ? -1 : 1;
  const without = await evaluateWithout(evaluator, sides, explanation, cells, sets);
  const said = sets.map((set) => set.reduce((sum, cell) => sum + cells.cells[cell].value, 0));
  const lost = Array.from(without, (logit) => direction * (explanation.logit - logit));
  return infidelityOf(said, lost);
}

export function infidelityOf(said: readonly number[], lost: readonly number[]): InfidelityCheck {
  let [sum, product, saidSquares, lostSquares] = [0, 0, 0, 0];
  for (const [i, value] of said.entries()) {
    sum += (value - lost[i]) ** 2;
    product += value * lost[i];
    saidSquares += value ** 2;
    lostSquares += lost[i] ** 2;
  }
  const scale = saidSquares > 0 ? product / saidSquares : 0;
  const rest = said.reduce((total, value, i) => total + (scale * value - lost[i]) ** 2, 0);
  return { infidelity: sum / said.length, unexplained: lostSquares > 0 ? rest / lostSquares : 1 };
}
