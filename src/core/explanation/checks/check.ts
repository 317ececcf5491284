import { Random } from '../../bytes/random.js';
import { type Run, startStage } from '../../run.js';
import { float32Value } from '../../runtime/value.js';
import { spearman } from '../../stats/correlation.js';
import type { Explainer, Explanation } from '../explainer.js';
import type { PartMap } from '../maps.js';
import { ADDITIVE } from '../maps.js';
import type { MethodSettings } from '../methods/method.js';
import { isGradientMethod } from '../methods/registry.js';
import type { PreparedSide } from '../prepared.js';
import { cellsOf } from './cells.js';
import { type CurveChecks, checkCurves } from './curves.js';
import { checkInfidelity, type InfidelityCheck } from './infidelity.js';
import { randomised } from './randomised.js';
import { checkRoad, type RoadCheck } from './road.js';
import type { Verdict } from './verdicts.js';

/** Shares of the weights that are shuffled, one stage after the other. */
const CASCADE = [0.25, 0.5, 0.75, 1] as const;
/** A map that still correlates with the first one this much when all weights are shuffled does not depend on the model. */
const INSENSITIVE = 0.5;
/** Noisy copies for the sensitivity, and the largest change of an input as a share of its range. */
const COPIES = 4;
const RADIUS = 0.02;
/** Above it the map changes by more than itself when nothing visible changes. */
const UNSTABLE = 1;

export interface CascadeCheck {
  /** Spearman correlation with the map of the model as it is, by the share of weights shuffled; null where a map does not vary. */
  readonly stages: readonly { readonly share: number; readonly spearman: number | null }[];
  readonly insensitive: boolean;
}

export interface ExplanationCheck extends CurveChecks, InfidelityCheck {
  readonly cascade: CascadeCheck;
  /** Null without a picture. */
  readonly road: RoadCheck | null;
  /** Largest relative change of the map under invisible changes of the inputs (Yeh and others 2019); null for inputs that cannot change a little. */
  readonly sensitivity: number | null;
  readonly verdict: Verdict;
  /** What the verdict rests on, one sentence each. */
  readonly reasons: readonly string[];
}

/** Whether a method may be trusted on this model and sample: its maps are held against the model. */
export async function checkExplanation(
  explainer: Explainer,
  prepared: readonly PreparedSide[],
  explanation: Explanation,
  settings: MethodSettings,
  run: Run = {},
): Promise<ExplanationCheck> {
  const { evaluator } = explainer;
  const sides = new Map(prepared.map(({ side, inputs }) => [side, inputs]));
  const cells = cellsOf(explanation);
  startStage(run, 'Deleting and inserting');
  const curves = await checkCurves(evaluator, sides, explanation, cells, settings.seed);
  const infidelity = await checkInfidelity(evaluator, sides, explanation, cells, settings.seed);
  startStage(run, 'Removing and imputing');
  const road = await checkRoad(evaluator, sides, explanation, settings.seed);
  startStage(run, 'Changing inputs a little');
  const sensitivity = await sensitivityOf(explainer, prepared, explanation, settings, run);
  startStage(run, 'Shuffling weights');
  const cascade = await cascadeOf(explainer, prepared, explanation, settings, run);
  const found = { ...curves, ...infidelity, road, sensitivity, cascade };
  return { ...found, ...judge(explanation, found) };
}

async function cascadeOf(
  explainer: Explainer,
  prepared: readonly PreparedSide[],
  explanation: Explanation,
  settings: MethodSettings,
  run: Run,
): Promise<CascadeCheck> {
  const stages: CascadeCheck['stages'][number][] = [];
  const own = numbersOf(explanation.maps);
  // Sums need not be complete here: the maps are only compared.
  const once = { ...settings, mostNodes: settings.nodes };
  for (const share of CASCADE) {
    run.signal?.throwIfAborted();
    const change = (model: Parameters<typeof randomised>[0]) => randomised(model, share, settings.seed);
    const maps = await explainer.mapsOfChanged(change, prepared, explanation.method, once, { signal: run.signal });
    stages.push({ share, spearman: maps === null ? null : spearman(own, numbersOf(maps)) });
  }
  const last = stages[stages.length - 1].spearman;
  return { stages, insensitive: last !== null && last >= INSENSITIVE };
}

/** The numbers of all maps: magnitudes, as where they lie is compared, and for or against may turn with the head. */
const numbersOf = (maps: readonly PartMap[]): Float64Array =>
  Float64Array.from(
    maps.flatMap(({ map, part }) =>
      Array.from(part.tokens ? map.values.slice(0, part.tokens.length) : map.values, Math.abs),
    ),
  );

async function sensitivityOf(
  explainer: Explainer,
  prepared: readonly PreparedSide[],
  explanation: Explanation,
  settings: MethodSettings,
  run: Run,
): Promise<number | null> {
  const hasText = explanation.maps.some(({ part }) => part.kind === 'text');
  if (hasText && explanation.maps.every(({ part }) => part.kind === 'text')) return null;
  const once = { ...settings, mostNodes: settings.nodes };
  const before = isGradientMethod(explanation.method)
    ? (await explainer.explainInputs(prepared, explanation.method, once, { signal: run.signal })).maps
    : explanation.maps;
  let largest = 0;
  for (let copy = 0; copy < COPIES; copy++) {
    const noisy = prepared.map((side) =>
      jittered(side, explanation, new Random(`explain:sensitivity:${settings.seed}:${copy}:${side.side}`)),
    );
    const { maps } = await explainer.explainInputs(noisy, explanation.method, once, { signal: run.signal });
    let [change, size] = [0, 0];
    for (const [i, { map }] of before.entries())
      for (const [at, value] of map.values.entries()) {
        change += (maps[i].map.values[at] - value) ** 2;
        size += value ** 2;
      }
    largest = Math.max(largest, size > 0 ? Math.sqrt(change / size) : 0);
  }
  return largest;
}

function jittered(side: PreparedSide, { maps }: Explanation, random: Random): PreparedSide {
  const inputs = new Map(side.inputs);
  for (const { part } of maps) {
    if (part.side !== side.side || part.kind === 'text') continue;
    const value = side.inputs.get(part.input.name)!;
    const data = value.data as Float32Array;
    const [low, high] = data.reduce(
      ([a, b], x) => [Math.min(a, x), Math.max(b, x)],
      [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
    );
    const radius = RADIUS * (high - low);
    inputs.set(
      part.input.name,
      float32Value(
        value.shape,
        data.map((x) => x + random.uniform(-radius, radius)),
      ),
    );
  }
  return { ...side, inputs };
}

/** What the figures come to, in words. */
function judge(
  { completeness, method, maps }: Explanation,
  { deletion, insertion, cascade, sensitivity, road }: Omit<ExplanationCheck, 'verdict' | 'reasons'>,
): Pick<ExplanationCheck, 'verdict' | 'reasons'> {
  const reasons: string[] = [];
  let [faults, doubts] = [0, 0];
  const [last] = cascade.stages.slice(-1);
  if (cascade.insensitive) {
    faults++;
    reasons.push(
      `It is insensitive to the model: with all weights shuffled its map stays much the same (Spearman ${last.spearman?.toFixed(2)}).`,
    );
  } else
    reasons.push(
      `It depends on the model: with all weights shuffled its map is another (Spearman ${last.spearman?.toFixed(2) ?? 'undefined'}).`,
    );
  const curve = (name: string, { better, ci, passed }: CurveChecks['deletion']): string =>
    `${name} is ${passed ? '' : 'not '}better than in random orders, by ${better.toPrecision(3)} [${ci[0].toPrecision(3)}, ${ci[1].toPrecision(3)}].`;
  reasons.push(curve('Taking away what it points at', deletion), curve('Putting back what it points at', insertion));
  if (!deletion.passed && !insertion.passed) faults++;
  else if (!deletion.passed || !insertion.passed) doubts++;
  if (road && road.gain <= 0) {
    doubts++;
    reasons.push(
      `With removed pixels imputed (ROAD), what it calls relevant matters no more than what it does not (${road.gain.toPrecision(3)}).`,
    );
  }
  if (completeness && !completeness.complete) {
    doubts++;
    reasons.push(`Its sums miss the decision by ${completeness.gap.toPrecision(3)}.`);
  }
  if (sensitivity !== null && sensitivity > UNSTABLE) {
    doubts++;
    reasons.push(
      `It is unstable: changes nobody sees change the map by ${(100 * sensitivity).toFixed(0)} % of itself.`,
    );
  }
  if (maps.length > 0 && !maps[0].signed && !ADDITIVE.has(method))
    reasons.push('It cannot say what speaks for and what against.');
  return { verdict: faults > 0 ? 'untrustworthy' : doubts > 0 ? 'doubtful' : 'trustworthy', reasons };
}
