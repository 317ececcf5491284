import { Random } from '../../bytes/random.js';
import { float32Value } from '../../runtime/value.js';
import type { SideName } from '../decision.js';
import type { Evaluator, ItemInputs } from '../evaluator.js';
import type { Explanation } from '../explainer.js';
import type { PartMap } from '../maps.js';

/** Shares of the pixels that are removed. */
const SHARES = [0.1, 0.3, 0.5, 0.7] as const;
/** Weights of neighbours beside and at the corners, and the noise on what they give (Rong and others 2022). */
const BESIDE = 1 / 6;
const CORNER = 1 / 12;
const NOISE = 0.01;
/** Sweeps of over-relaxation: what is imputed then changes by less than the noise. */
const SWEEPS = 60;
const RELAXATION = 1.6;

export interface RoadCheck {
  /** By share: f towards the decision without the pixels that the map calls most relevant, and without the least relevant ones. */
  readonly curve: readonly { readonly share: number; readonly most: number; readonly least: number }[];
  /** Mean of least - most: above 0 where the map knows what matters. */
  readonly gain: number;
}

/**
 * Removal of pixels, each imputed from its neighbours with a little noise, so that their place says nothing any more (ROAD). For
 * pictures alone; null without one.
 */
export async function checkRoad(
  evaluator: Evaluator,
  sides: ReadonlyMap<SideName, ItemInputs>,
  explanation: Explanation,
  seed: number,
): Promise<RoadCheck | null> {
  const images = explanation.maps.filter(({ part }) => part.kind === 'image');
  if (images.length === 0) return null;
  const direction = explanation.logit < 0 ? -1 : 1;
  const ranked = images.map((map) => rankedPixels(map, explanation, direction));
  const samples = SHARES.flatMap((share) =>
    [false, true].map((reversed) => {
      const inputs = new Map(sides);
      for (const [i, { part }] of images.entries()) {
        const order = ranked[i];
        const count = Math.round(share * order.length);
        const removed = reversed ? order.slice(order.length - count) : order.slice(0, count);
        const value = inputs.get(part.side)!.get(part.input.name)!;
        const data = impute(
          value.data as Float32Array,
          value.shape,
          removed,
          new Random(`explain:road:${seed}:${part.side}`),
        );
        inputs.set(part.side, new Map([...inputs.get(part.side)!, [part.input.name, float32Value(value.shape, data)]]));
      }
      return inputs;
    }),
  );
  const logits = await evaluator.decisions(samples);
  const curve = SHARES.map((share, i) => ({
    share,
    most: direction * logits[2 * i],
    least: direction * logits[2 * i + 1],
  }));
  return { curve, gain: curve.reduce((sum, { most, least }) => sum + least - most, 0) / curve.length };
}

/** Pixels by what speaks for the decision, most first. */
function rankedPixels(map: PartMap, { method }: Explanation, direction: number): number[] {
  const [height, width] = map.part.inputs.get(map.part.input.name)!.shape.slice(-2);
  const [rows, columns] = map.map.shape;
  const sign = method === 'relevance' && map.part.side === 'right' ? -direction : direction;
  const factor = map.signed || method === 'relevance' ? sign : 1;
  const values = Float32Array.from({ length: height * width }, (_, at) => {
    const [y, x] = [Math.floor(at / width), at % width];
    return factor * map.map.values[Math.floor((y * rows) / height) * columns + Math.floor((x * columns) / width)];
  });
  return Array.from(values.keys()).sort((a, b) => values[b] - values[a] || a - b);
}

/** Removed pixels as the weighted mean of their neighbours, of which some are removed themselves: a linear system, solved in place. */
export function impute(
  data: Float32Array,
  shape: readonly number[],
  removed: readonly number[],
  random: Random,
): Float32Array {
  const [height, width] = shape.slice(-2);
  const area = height * width;
  const result = data.slice();
  const places = removed.toSorted((a, b) => a - b);
  for (let start = 0; start < data.length; start += area) {
    for (const at of places) result[start + at] = 0;
    for (let sweep = 0; sweep < SWEEPS; sweep++)
      for (const at of places) {
        const [y, x] = [Math.floor(at / width), at % width];
        let [sum, weights] = [0, 0];
        for (let dy = -1; dy <= 1; dy++)
          for (let dx = -1; dx <= 1; dx++) {
            if ((dy === 0 && dx === 0) || y + dy < 0 || y + dy >= height || x + dx < 0 || x + dx >= width) continue;
            const weight = dy === 0 || dx === 0 ? BESIDE : CORNER;
            sum += weight * result[start + at + dy * width + dx];
            weights += weight;
          }
        result[start + at] += RELAXATION * (sum / weights - result[start + at]);
      }
    for (const at of places) result[start + at] += NOISE * random.normal();
  }
  return result;
}
