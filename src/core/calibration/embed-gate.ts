import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { withTemporaryFolder } from '../bytes/temporary-folder.js';
import { NOT_FINITE } from '../gate/compare.js';
import type { GateCheck } from '../gate/invariances.js';
import { isLarge, load } from '../gate/load.js';
import { type ModelFacts, readFacts } from '../gate/model.js';
import type { GateOptions } from '../gate/options.js';
import { makeProbes, type Probes } from '../gate/probes.js';
import { firstRows, fixedBatch, inBatches, range, rowRunner } from '../gate/rows.js';
import type { Curve } from '../onnx/curve.js';
import { modelBytes } from '../onnx/write.js';
import { startStage } from '../run.js';
import { withModelProcess } from '../runtime/child.js';
import { OPTIMIZATION_LEVELS, type OptimizationLevel } from '../runtime/session.js';
import { float32Value, floatsOf } from '../runtime/value.js';
import { applyCurve } from './curve.js';
import { buildCurveGraph, CURVE_INPUT, CURVE_OUTPUT } from './curve-graph.js';
import type { EmbeddedOutputs } from './embed.js';

export interface EmbeddedCheck extends Pick<GateOptions, 'threads' | 'limits' | 'signal' | 'onProgress'> {
  /** Path of the model without the calibrator. */
  readonly source: string;
  readonly candidate: string;
  readonly outputs: EmbeddedOutputs;
  readonly curve: Curve;
  readonly level: 'quick' | 'full';
  /** Largest difference of a calibrated value, relative to the size of the scale where that is over 1. */
  readonly budget: number;
  readonly opset: number;
  readonly seed: string;
}

/** Rows the two models are compared on. */
const ROWS = { quick: 8, full: 24 } as const;
const BATCH = 8;
/** Logits the added graph alone is compared on, from well below its first knot to well above its last. */
const GRID_POINTS = 20_001;
/** Logits between two knots and at both: a regular grid would step over knots that crowd beside one far out. */
const STRETCH_POINTS = 17;

/** Levels of optimisation that are tried. */
const LEVELS: Record<EmbeddedCheck['level'], readonly OptimizationLevel[]> = {
  quick: ['all'],
  full: OPTIMIZATION_LEVELS,
};

/** How far values of a graph are from those of the fitted map, and how many winners differ. */
interface Difference {
  readonly maxAbsDiff: number;
  readonly flips: number;
  readonly values: number;
}

/**
 * Is the added output the source's logit through the fitted map? Asked of the whole model on seeded inputs, and of the added graph
 * alone on a dense grid of logits, at every level of optimisation.
 */
export async function checkEmbedded(options: EmbeddedCheck): Promise<GateCheck[]> {
  const differences: { what: string; difference: Difference }[] = [];
  const source = await readFacts(options.source);
  for (const level of isLarge(source) ? (['basic'] as const) : LEVELS[options.level]) {
    startStage(options, `Gate, calibrated output at level ${level}`);
    const logits = await runProbes(source, options.outputs.logit, level, options);
    const values = await runProbes(await readFacts(options.candidate), options.outputs.added, level, options);
    differences.push({ what: `probes at level ${level}`, difference: compare(options.curve, logits, values) });
  }
  const logits = gridOf(options.curve);
  for (const [level, values] of await runGrid(logits, options)) {
    differences.push({
      what: `${logits.length} logits at level ${level}`,
      difference: compare(options.curve, logits, values),
    });
  }
  return judge(differences, options);
}

function judge(
  differences: readonly { readonly what: string; readonly difference: Difference }[],
  { curve, budget, outputs }: EmbeddedCheck,
): GateCheck[] {
  const allowed = budget * scaleOf(curve);
  const worst = differences.reduce((a, b) => (b.difference.maxAbsDiff > a.difference.maxAbsDiff ? b : a));
  const flips = differences.reduce((sum, { difference }) => sum + difference.flips, 0);
  const compared = differences.reduce((sum, { difference }) => sum + difference.values, 0);
  const { maxAbsDiff } = worst.difference;
  return [
    {
      name: 'calibrator',
      passed: maxAbsDiff <= allowed,
      maxAbsDiff,
      detail: `${outputs.added} differs from the fitted map by at most ${maxAbsDiff.toExponential(1)} (${worst.what}), ${allowed} allowed.`,
    },
    ...(outputs.added !== 'probability'
      ? []
      : [
          {
            name: 'calibrator-flips',
            passed: flips === 0,
            detail: `${flips} of ${compared} probabilities are on the other side of one half.`,
          },
        ]),
  ];
}

/** The size of what a curve gives: 1 for probabilities. */
function scaleOf(curve: Curve): number {
  if (curve.kind === 'knots') return Math.max(1, ...curve.y.map(Math.abs));
  return curve.kind === 'line' ? Math.max(1, Math.abs(curve.intercept) + Math.abs(curve.slope)) : 1;
}

function compare(curve: Curve, logits: Float32Array, values: Float32Array): Difference {
  let maxAbsDiff = logits.length === values.length ? 0 : NOT_FINITE;
  let flips = 0;
  for (let i = 0; i < logits.length; i++) {
    const expected = applyCurve(curve, logits[i]);
    const difference = Math.abs(values[i] - expected);
    maxAbsDiff = Number.isFinite(difference) ? Math.max(maxAbsDiff, difference) : NOT_FINITE;
    if (!Number.isFinite(difference)) return { maxAbsDiff, flips, values: logits.length };
    // In float32, what rounds to one half is a tie on either side of it.
    if (Math.sign(Math.fround(expected) - 0.5) * Math.sign(values[i] - 0.5) < 0) flips++;
  }
  return { maxAbsDiff, flips, values: logits.length };
}

/** Values of one output for the probes, the same ones for every model with these inputs. */
async function runProbes(
  model: ModelFacts,
  output: string,
  level: OptimizationLevel,
  { threads, limits, signal, seed, level: thoroughness }: EmbeddedCheck,
): Promise<Float32Array> {
  return withModelProcess({ limits, signal }, async (child) => {
    const session = await load(child, model, level, { threads });
    const rows = ROWS[thoroughness];
    const probes: Probes = makeProbes(session.inputs, model.manifest, { rows, seed, file: model.file });
    const run = rowRunner(session, probes);
    const outputs = firstRows(await run(inBatches(range(rows), fixedBatch(session) ?? BATCH)), rows);
    const value = outputs.get(output);
    return value ? floatsOf(value) : new Float32Array();
  });
}

/** Where a curve is tried: a regular grid over half its width beyond either end, and of knots each stretch between two. */
function gridOf(curve: Curve): Float32Array {
  const [low, high] = extent(curve);
  const margin = (high - low) / 2;
  const regular = ranged(low - margin, high + margin, GRID_POINTS);
  if (curve.kind !== 'knots') return Float32Array.from(regular);
  const { x } = curve;
  const stretches = x.slice(1).flatMap((to, i) => ranged(x[i], to, STRETCH_POINTS));
  return Float32Array.from([...regular, ...stretches, ...stretches.map((at) => -at)]);
}

/** `count` numbers at equal distances, both ends among them. */
const ranged = (from: number, to: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) => from + (i * (to - from)) / (count - 1));

/** The logits over which a curve changes. */
function extent(curve: Curve): [number, number] {
  switch (curve.kind) {
    case 'knots': {
      const last = curve.x[curve.x.length - 1];
      return [curve.mirrored ? -last : curve.x[0], last];
    }
    case 'sigmoid':
    case 'line': {
      // Log-odds from -20 to 20, where they have a slope.
      const reach = 20 / Math.max(curve.slope, 1e-6);
      return [-reach, reach];
    }
    case 'beta': {
      const reach = 20 / Math.max(Math.min(curve.a || curve.b, curve.b || curve.a), 1e-6);
      return [-reach, reach];
    }
  }
}

async function runGrid(
  logits: Float32Array,
  { curve, opset, level, limits, signal }: EmbeddedCheck,
): Promise<[OptimizationLevel, Float32Array][]> {
  return withTemporaryFolder('curve', async (folder) => {
    const path = join(folder, 'calibrator.onnx');
    const graph = buildCurveGraph(curve, opset, { dtype: 'F32', shape: ['rows'] });
    await writeFile(path, await modelBytes(graph));
    return withModelProcess({ limits, signal }, async (child) => {
      const results: [OptimizationLevel, Float32Array][] = [];
      for (const optimization of LEVELS[level]) {
        const session = await child.load(path, { optimization });
        const outputs = await session.run(new Map([[CURVE_INPUT, float32Value([logits.length], logits)]]));
        results.push([optimization, floatsOf(outputs.get(CURVE_OUTPUT)!)]);
        await session.release();
      }
      return results;
    });
  });
}
