import { reporter } from '../../run.js';
import type { Differentiator, RowFeeds } from '../differentiator.js';
import type { Part } from '../parts.js';
import { gaussLegendre } from '../quadrature.js';
import { addRows, feedsWith, openFor } from './gradient.js';
import type { Attribution, Completeness, GradientCase, MethodResult } from './method.js';

/** A sum is complete where it misses f(x) - f(baseline) by at most this share of it … */
const COMPLETE_SHARE = 0.01;
/** … or by what float32 makes of the numbers it is a difference of. */
const ROUNDING = 1e-5;

/** @param scale - largest magnitude of the terms of `expected` */
export function completenessOf(sum: number, expected: number, nodes: number | null, scale: number): Completeness {
  const gap = sum - expected;
  const complete = Math.abs(gap) <= Math.max(COMPLETE_SHARE * Math.abs(expected), ROUNDING * Math.max(1, scale));
  return { sum, expected, gap, complete, nodes };
}

/** Nodes of each half of a stretch that is looked at closer; fewer where no more are left. */
const HALF_NODES = 16;

/** A stretch of the path with its share of the integral: its sum should be what f gains on it. */
interface Stretch {
  readonly from: number;
  readonly to: number;
  readonly logits: readonly [from: number, to: number];
  readonly nodes: number;
  /** Integral of the gradient over the stretch, of each part in their order. */
  readonly slopes: readonly Float64Array[];
  /** Of the attributions: slopes times x - x0. */
  readonly sum: number;
}

const gapOf = ({ sum, logits }: Stretch): number => sum - (logits[1] - logits[0]);

/**
 * (x - x0) times the mean gradient on the straight path from the baseline x0 (Sundararajan, Taly and Yan 2017), by Gauss-Legendre
 * quadrature. All parts of all sides move together, so that what is attributed to them sums to f(x) - f(x0).
 *
 * Where it does not, nodes are added until it does, at most `mostNodes`. Each goes where it is missed: the stretch of the path on
 * which the sum is furthest from what f gains there is halved. Networks of kinks and norms change within a few thousandths of the
 * path near a picture of one colour, and nodes spread over all of it find that late.
 */
export async function integratedGradients(given: GradientCase): Promise<MethodResult> {
  const { inputs, settings, run } = given;
  const { parts } = inputs;
  const session = await openFor(given, settings.nodes + ENDS.length);
  try {
    const path = new Path(given, session);
    const report = reporter(run, 'Integrating gradients', 'steps');
    let stretches = await path.integrate(ENDS, settings.nodes);
    const [baselineLogit, logit] = stretches[0].logits;
    const scale = Math.max(Math.abs(logit), Math.abs(baselineLogit));
    const expected = logit - baselineLogit;
    let spent = settings.nodes;
    for (;;) {
      report(spent, settings.mostNodes);
      const nodes = stretches.reduce((sum, each) => sum + each.nodes, 0);
      const sum = stretches.reduce((total, each) => total + each.sum, 0);
      const completeness = completenessOf(sum, expected, nodes, scale);
      const worst = stretches.reduce((a, b) => (Math.abs(gapOf(b)) > Math.abs(gapOf(a)) ? b : a));
      const half = Math.min(HALF_NODES, Math.floor((settings.mostNodes - spent) / 2));
      // Fewer than usual are of use where they are still more than before.
      const isCloser = half === HALF_NODES || 2 * half > worst.nodes;
      if (completeness.complete || !isCloser) {
        const attributions = parts.map((part, i) => attributionOf(part, total(stretches, i)));
        const least = spent + 2 * Math.min(HALF_NODES, Math.floor(worst.nodes / 2) + 1);
        return { attributions, logit, baselineLogit, completeness, warnings: warningsOf(completeness, least) };
      }
      const { from, to } = worst;
      const halves = await path.integrate([from, (from + to) / 2, to], half);
      stretches = stretches.flatMap((each) => (each === worst ? halves : [each]));
      spent += 2 * half;
    }
  } finally {
    await session.close();
  }
}

const total = (stretches: readonly Stretch[], part: number): Float32Array =>
  Float32Array.from(stretches[0].slopes[part], (_, at) => {
    let sum = 0;
    for (const { slopes } of stretches) sum += slopes[part][at];
    return sum;
  });

const attributionOf = (part: Part, slope: Float32Array): Attribution => ({
  part,
  shape: part.shape,
  values: slope.map((value, i) => value * (part.x[i] - part.baseline[i])),
  slope,
});

/** The straight path from the baseline, 0, to x, 1. */
const ENDS = [0, 1] as const;

/** A place on the path that the model is run at. */
interface Point {
  readonly share: number;
  /** Where its gradients are added to and how much they weigh; null where f is what is asked for. */
  readonly into: { readonly slopes: readonly Float64Array[]; readonly weight: number } | null;
}

class Path {
  private readonly differences: readonly Float32Array[];
  /** f at the ends of stretches. */
  private readonly logits = new Map<number, number>();

  constructor(
    private readonly given: GradientCase,
    private readonly session: Differentiator,
  ) {
    this.differences = given.inputs.parts.map(({ x, baseline }) => x.map((value, i) => value - baseline[i]));
  }

  /**
   * Neighbouring stretches in one go, so that runs are full.
   * @param ends - where the first one begins and each one ends
   * @param nodes - of each
   */
  async integrate(ends: readonly number[], nodes: number): Promise<Stretch[]> {
    const { parts } = this.given.inputs;
    const quadrature = gaussLegendre(nodes);
    const spans = ends.slice(1).map((to, i) => {
      const slopes = parts.map(({ x }) => new Float64Array(x.length));
      return { from: ends[i], to, slopes };
    });
    await this.visit([
      ...ends.filter((share) => !this.logits.has(share)).map((share): Point => ({ share, into: null })),
      ...spans.flatMap(({ from, to, slopes }) =>
        Array.from(quadrature.nodes, (node, i): Point => {
          const weight = (to - from) * quadrature.weights[i];
          return { share: from + (to - from) * node, into: { slopes, weight } };
        }),
      ),
    ]);
    return spans.map(({ from, to, slopes }) => {
      let sum = 0;
      for (const [i, slope] of slopes.entries())
        for (const [at, difference] of this.differences[i].entries()) sum += difference * slope[at];
      return { from, to, logits: [this.logits.get(from)!, this.logits.get(to)!], nodes, slopes, sum };
    });
  }

  private async visit(points: readonly Point[]): Promise<void> {
    const { parts } = this.given.inputs;
    for (let start = 0; start < points.length; start += this.session.rows) {
      this.given.run.signal?.throwIfAborted();
      const taken = points.slice(start, start + this.session.rows);
      const { logits, gradients } = await this.session.run(taken.map(({ share }) => this.at(share)));
      for (const [row, { share, into }] of taken.entries()) {
        if (into === null) this.logits.set(share, logits[row]);
        for (const [i, slope] of (into?.slopes ?? []).entries()) {
          const gradient = gradients.get(parts[i].value)!.subarray(row * slope.length, (row + 1) * slope.length);
          addRows(slope, gradient, () => into!.weight);
        }
      }
    }
  }

  private at(share: number): RowFeeds {
    const { inputs } = this.given;
    if (share === 1) return inputs.feeds;
    return feedsWith(inputs, (part) => {
      const difference = this.differences[inputs.parts.indexOf(part)];
      return part.baseline.map((value, i) => value + share * difference[i]);
    });
  }
}

/** @param least - nodes that a closer look would take in all */
function warningsOf({ complete, gap, expected, nodes }: Completeness, least: number): string[] {
  if (complete) return [];
  const share = expected === 0 ? '' : `, ${((100 * Math.abs(gap)) / Math.abs(expected)).toFixed(1)} % of it`;
  return [
    `With ${nodes} nodes the attributions miss f(x) - f(baseline) by ${gap.toPrecision(3)}${share}: do not read their sum as the decision. Allow more nodes: \`mostNodes\` ${least} or higher.`,
  ];
}
