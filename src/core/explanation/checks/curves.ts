import { Random } from '../../bytes/random.js';
import type { Interval } from '../../stats/interval.js';
import type { SideName } from '../decision.js';
import type { Evaluator, ItemInputs } from '../evaluator.js';
import type { Explanation } from '../explainer.js';
import type { Cells } from './cells.js';

/** Points of a curve, beside the sample as it is. */
const STEPS = 10;
/** Orders that the map's is compared with. */
export const RANDOM_ORDERS = 20;
/** 97.5 % quantile of Student's t with RANDOM_ORDERS - 1 degrees of freedom. */
const T_QUANTILE = 2.093;

/** A deletion or insertion curve against those of random orders. */
export interface CurveCheck {
  /** Mean of f, towards the decision, over the steps. */
  readonly auc: number;
  readonly randomAuc: number;
  /** By how much the map's order is better than random ones: lower for deletion, higher for insertion. */
  readonly better: number;
  /** Of `better`, 95 %, from the spread of the random orders. */
  readonly ci: Interval;
  /** Whether it excludes 0 on the better side. */
  readonly passed: boolean;
}

export interface CurveChecks {
  readonly deletion: CurveCheck;
  readonly insertion: CurveCheck;
}

/**
 * f as cells are taken away in the map's order, what speaks most for the decision first, or are put back into what is empty
 * (Petsiuk, Das and Saenko 2018), against random orders.
 */
export async function checkCurves(
  evaluator: Evaluator,
  sides: ReadonlyMap<SideName, ItemInputs>,
  explanation: Explanation,
  cells: Cells,
  seed: number,
): Promise<CurveChecks> {
  const direction = explanation.logit < 0 ? -1 : 1;
  const ranked = cells.cells.map((_, i) => i).toSorted((a, b) => cells.cells[b].value - cells.cells[a].value || a - b);
  const random = new Random(`explain:orders:${seed}`);
  const orders = [ranked, ...Array.from({ length: RANDOM_ORDERS }, () => random.permutation(ranked.length))];
  const samples = orders.flatMap((order) =>
    Array.from({ length: STEPS }, (_, step) => order.slice(0, Math.round(((step + 1) * order.length) / STEPS))),
  );
  const deleted = await evaluateWithout(evaluator, sides, explanation, cells, samples);
  const all = ranked;
  const inserted = await evaluateWithout(
    evaluator,
    sides,
    explanation,
    cells,
    samples.map((kept) => {
      const set = new Set(kept);
      return all.filter((cell) => !set.has(cell));
    }),
  );
  const aucs = (logits: Float64Array): number[] =>
    orders.map((_, order) => {
      let sum = 0;
      for (let step = 0; step < STEPS; step++) sum += direction * logits[order * STEPS + step];
      return sum / STEPS;
    });
  return { deletion: compare(aucs(deleted), -1), insertion: compare(aucs(inserted), 1) };
}

function compare([auc, ...random]: readonly number[], sign: 1 | -1): CurveCheck {
  const randomAuc = random.reduce((a, b) => a + b, 0) / random.length;
  const variance = random.reduce((sum, each) => sum + (each - randomAuc) ** 2, 0) / (random.length - 1);
  const better = sign * (auc - randomAuc);
  const half = T_QUANTILE * Math.sqrt(variance / random.length);
  return { auc, randomAuc, better, ci: [better - half, better + half], passed: better - half > 0 };
}

/** Decisions that are held at a time. */
const HELD = 32;

/** f without some cells: of both sides at once. */
export async function evaluateWithout(
  evaluator: Evaluator,
  sides: ReadonlyMap<SideName, ItemInputs>,
  { maps }: Pick<Explanation, 'maps'>,
  { removables, cells }: Cells,
  samples: readonly (readonly number[])[],
): Promise<Float64Array> {
  const logits = new Float64Array(samples.length);
  for (let start = 0; start < samples.length; start += HELD) {
    const changed = samples.slice(start, start + HELD).map((sample) => {
      const inputs = new Map(sides);
      for (const [i, removable] of removables.entries()) {
        const units = sample.flatMap((cell) => (cells[cell].map === i ? [cells[cell].unit] : []));
        if (units.length === 0) continue;
        const { part } = maps[i];
        const value = removable.without(units).get(part.input.name)!;
        inputs.set(part.side, new Map([...inputs.get(part.side)!, [part.input.name, value]]));
      }
      return inputs;
    });
    logits.set(await evaluator.decisions(changed), start);
  }
  return logits;
}
