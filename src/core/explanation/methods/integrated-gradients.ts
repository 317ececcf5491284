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

/** Nodes of each half of a stretch that is looked at closer. */
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
  const session = await openFor(given, settings.nodes);
  try {
    const ends = await session.run([inputs.feeds, feedsWith(inputs, ({ baseline }) => baseline)]);
    const [logit, baselineLogit] = ends.logits;
    const path = new Path(given, session);
    const scale = Math.max(Math.abs(logit), Math.abs(baselineLogit));
    const expected = logit - baselineLogit;
    const report = reporter(run, 'Integrating gradients', 'steps');
    let stretches = [await path.integrate(0, 1, [baselineLogit, logit], settings.nodes)];
    let spent = settings.nodes;
    for (;;) {
      report(spent, settings.mostNodes);
      const nodes = stretches.reduce((sum, each) => sum + each.nodes, 0);
      const sum = stretches.reduce((total, each) => total + each.sum, 0);
      const completeness = completenessOf(sum, expected, nodes, scale);
      if (completeness.complete || spent + 2 * HALF_NODES > settings.mostNodes) {
        const attributions = parts.map((part, i) => attributionOf(part, total(stretches, i)));
        return { attributions, logit, baselineLogit, completeness, warnings: warningsOf(completeness) };
      }
      const worst = stretches.reduce((a, b) => (Math.abs(gapOf(b)) > Math.abs(gapOf(a)) ? b : a));
      const halves = await path.halve(worst);
      stretches = stretches.flatMap((each) => (each === worst ? halves : [each]));
      spent += 2 * HALF_NODES;
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
class Path {
  private readonly differences: readonly Float32Array[];

  constructor(
    private readonly given: GradientCase,
    private readonly session: Differentiator,
  ) {
    this.differences = given.inputs.parts.map(({ x, baseline }) => x.map((value, i) => value - baseline[i]));
  }

  async halve({ from, to, logits }: Stretch): Promise<Stretch[]> {
    const middle = (from + to) / 2;
    const [at] = (await this.session.run([this.at(middle)])).logits;
    return [
      await this.integrate(from, middle, [logits[0], at], HALF_NODES),
      await this.integrate(middle, to, [at, logits[1]], HALF_NODES),
    ];
  }

  async integrate(from: number, to: number, logits: Stretch['logits'], nodes: number): Promise<Stretch> {
    const { parts } = this.given.inputs;
    const quadrature = gaussLegendre(nodes);
    const slopes = parts.map(({ x }) => new Float64Array(x.length));
    for (let start = 0; start < nodes; start += this.session.rows) {
      this.given.run.signal?.throwIfAborted();
      const count = Math.min(this.session.rows, nodes - start);
      const rows = Array.from({ length: count }, (_, i) => this.at(from + (to - from) * quadrature.nodes[start + i]));
      const { gradients } = await this.session.run(rows);
      for (const [i, { value }] of parts.entries())
        addRows(slopes[i], gradients.get(value)!, (row) => (to - from) * quadrature.weights[start + row]);
    }
    let sum = 0;
    for (const [i, slope] of slopes.entries())
      for (const [at, difference] of this.differences[i].entries()) sum += difference * slope[at];
    return { from, to, logits, nodes, slopes, sum };
  }

  private at(share: number): RowFeeds {
    const { parts } = this.given.inputs;
    return feedsWith(this.given.inputs, (part) => {
      const difference = this.differences[parts.indexOf(part)];
      return part.baseline.map((value, i) => value + share * difference[i]);
    });
  }
}

function warningsOf({ complete, gap, expected, nodes }: Completeness): string[] {
  if (complete) return [];
  const share = expected === 0 ? '' : `, ${((100 * Math.abs(gap)) / Math.abs(expected)).toFixed(1)} % of it`;
  return [
    `With ${nodes} nodes the attributions miss f(x) - f(baseline) by ${gap.toPrecision(3)}${share}: do not read their sum as the decision.`,
  ];
}
