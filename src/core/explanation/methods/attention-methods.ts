import { HpsError } from '../../errors.js';
import { floatsOf, type TensorValue } from '../../runtime/value.js';
import { numel } from '../../tensor/shape.js';
import { type Attention, findAttention, readStreams, type Stream } from '../attention.js';
import { Differentiator } from '../differentiator.js';
import { reachedFrom } from '../graph-walk.js';
import type { Part } from '../parts.js';
import {
  add,
  identity,
  type Matrix,
  meanHeads,
  multiply,
  normalizedRelevance,
  relevantHeads,
  slice,
  transposed,
  withResidual,
  zeros,
} from '../relevance.js';
import type { Attribution, GradientCase, MethodResult } from './method.js';

type Rule = 'rollout' | 'relevance';

/** Attention weights of all layers together: more would not fit into memory beside the model. */
const MOST_WEIGHTS = 2 ** 28;
/** Learned tokens before those of a picture: a class token, registers. */
const MOST_LEARNED = 16;

/** Products of half attention, half residual connection, from the tokens that f reads back to those of the input (Abnar and Zuidema 2020). */
export const rollout = (given: GradientCase): Promise<MethodResult> => byAttention(given, 'rollout');

/**
 * Relevance by gradient-weighted attention, also where one stream of tokens looks at another (Chefer, Gur and Wolf 2021). Of a pair,
 * each side has what speaks for that side.
 */
export const relevance = (given: GradientCase): Promise<MethodResult> => byAttention(given, 'relevance');

async function byAttention(given: GradientCase, rule: Rule): Promise<MethodResult> {
  const { decision, inputs, settings } = given;
  let attentions: readonly Attention[] = [];
  let shapes: ReadonlyMap<string, { readonly shape: readonly number[] }> = new Map();
  const session = await Differentiator.open(decision, inputs.feeds, {
    wrt: (types) => {
      shapes = types;
      const values = inputs.parts.map(({ value }) => value);
      attentions = findAttention(decision.model, values, (value) => types.get(value)?.shape ?? []);
      check(attentions, (value) => types.get(value)!.shape);
      return attentions.flatMap(({ weights, gathered }) => [weights, gathered]);
    },
    fed: inputs.fed,
    withValues: true,
    threads: settings.threads,
  });
  try {
    const { logits, gradients, values } = await session.run([inputs.feeds]);
    const right = inputs.parts.filter(({ side }) => side === 'right').map(({ value }) => value);
    const left = inputs.parts.filter(({ side }) => side === 'left').map(({ value }) => value);
    const [ofRight, ofLeft] = [reachedFrom(decision.model, right), reachedFrom(decision.model, left)];
    const averaged = (attention: Attention): Matrix => {
      const { weights } = attention;
      const value = values.get(weights)!;
      const [rows, columns] = value.shape.slice(-2);
      if (rule === 'rollout') return meanHeads(floatsOf(value), rows, columns);
      const speaksForRight = ofRight.has(weights) && !ofLeft.has(weights);
      return relevantHeads(floatsOf(value), gradients.get(weights)!, rows, columns, speaksForRight ? -1 : 1);
    };
    const read = new Map(
      Array.from(readStreams(decision.model, attentions), ([stream, { gathered }]) => [
        stream,
        readingWeights(values.get(gathered)!, gradients.get(gathered)!),
      ]),
    );
    const isPlain = attentions.every(({ queries, keys }) => keys.length === 1 && keys[0].stream === queries);
    const totals = isPlain
      ? rollVectors(attentions, averaged, read, rule)
      : rollMatrices(attentions, averaged, read, rule);
    const attributions = inputs.parts.flatMap((part): Attribution[] => {
      const own = [...totals].find(([{ sources }]) => sources.includes(part.value));
      if (!own) return [];
      return [
        placed(
          part,
          own[1],
          gridFor(given, part, own[0].tokens, (value) => shapes.get(value)?.shape ?? []),
        ),
      ];
    });
    if (attributions.length === 0) throw inapplicable('its attention is not among tokens of the input');
    const without = inputs.parts.filter((part) => !attributions.some((each) => each.part === part));
    const warnings =
      without.length > 0
        ? [`No attention looks at: ${without.map(({ side, kind }) => `${side} ${kind}`).join(', ')}.`]
        : [];
    return { attributions, logit: logits[0], baselineLogit: null, completeness: null, warnings };
  } finally {
    await session.close();
  }
}

function check(attentions: readonly Attention[], shapeOf: (value: string) => readonly number[]): void {
  if (attentions.length === 0)
    throw inapplicable('it has no attention (a Softmax whose result is multiplied with values)');
  let numbers = 0;
  for (const { weights } of attentions) {
    const shape = shapeOf(weights);
    // [1, heads, queries, keys] or [heads, queries, keys]: a longer first axis is one of windows.
    if (shape.length > 4 || (shape.length === 4 && shape[0] !== 1))
      throw inapplicable('it attends within windows or along single axes, which rollout does not follow');
    numbers += numel(shape);
  }
  if (numbers > MOST_WEIGHTS)
    throw inapplicable(`its ${numbers} attention weights are too many for a text of this length`);
}

const inapplicable = (reason: string): HpsError =>
  new HpsError('METHOD_INAPPLICABLE', `attention cannot explain this model: ${reason}`, {
    hint: 'Use `method` ig, or occlusion.',
    details: { reason },
  });

/** How much f reads of each token after the last attention of its stream: the size of its gradient there, as shares of 1. */
function readingWeights({ shape, data }: TensorValue, gradient: Float32Array): Float64Array {
  const [tokens, width] = shape.slice(-2);
  const weights = new Float64Array(tokens);
  for (let at = 0; at < data.length; at++) weights[Math.floor(at / width) % tokens] += Math.abs(gradient[at]);
  const total = weights.reduce((a, b) => a + b, 0);
  return total > 0 ? weights.map((value) => value / total) : weights;
}

type Averaged = (attention: Attention) => Matrix;
type Totals = Map<Stream, Float64Array>;

/** Where every stream looks at itself alone: from the tokens that are read backwards, a vector all the way. */
function rollVectors(
  attentions: readonly Attention[],
  averaged: Averaged,
  read: ReadonlyMap<Stream, Float64Array>,
  rule: Rule,
): Totals {
  const totals: Totals = new Map(read);
  for (const attention of attentions.toReversed()) {
    const vector = totals.get(attention.queries);
    if (!vector) continue;
    const matrix = averaged(attention);
    const step = rule === 'rollout' ? withResidual(matrix) : add(matrix, identity(matrix.rows));
    totals.set(attention.queries, multiply({ rows: 1, columns: vector.length, values: vector }, step).values);
  }
  return totals;
}

/** Relevance of every stream's tokens for those of every other, layer by layer. */
function rollMatrices(
  attentions: readonly Attention[],
  averaged: Averaged,
  read: ReadonlyMap<Stream, Float64Array>,
  rule: Rule,
): Totals {
  const all = new Map<Stream, Map<Stream, Matrix>>();
  const of = (stream: Stream): Map<Stream, Matrix> => {
    const known = all.get(stream) ?? new Map([[stream, identity(stream.tokens)]]);
    all.set(stream, known);
    return known;
  };
  for (const attention of attentions) {
    const { queries, keys } = attention;
    const own = of(queries);
    const matrix = averaged(attention);
    if (keys.length === 1 && keys[0].stream === queries) {
      const step = rule === 'rollout' ? withResidual(matrix) : add(matrix, identity(matrix.rows));
      for (const [source, known] of own) own.set(source, multiply(step, known));
      continue;
    }
    const gained = new Map<Stream, Matrix>();
    for (const { stream, start } of keys) {
      const part = slice(matrix, start, stream.tokens);
      const seen = of(stream);
      for (const [source, known] of seen) {
        const isDirect = rule === 'relevance' && source === stream;
        const step = isDirect
          ? multiply(transposed(normalizedRelevance(own.get(queries)!)), multiply(part, normalizedRelevance(known)))
          : multiply(part, known);
        const before = gained.get(source);
        gained.set(source, before ? add(before, step) : step);
      }
    }
    if (rule === 'rollout') {
      for (const [source, known] of own) own.set(source, halved(known));
      for (const [source, more] of gained) gained.set(source, halved(more));
    }
    for (const [source, more] of gained) own.set(source, add(own.get(source) ?? zeros(more.rows, more.columns), more));
  }
  const totals: Totals = new Map();
  for (const [stream, weights] of read) {
    const vector = { rows: 1, columns: weights.length, values: weights };
    for (const [source, matrix] of of(stream)) {
      const { values } = multiply(vector, matrix);
      totals.set(source, totals.get(source)?.map((value, i) => value + values[i]) ?? values);
    }
  }
  return totals;
}

const halved = (matrix: Matrix): Matrix => ({ ...matrix, values: matrix.values.map((value) => value / 2) });

interface TokenGrid {
  readonly shape: readonly number[];
  /** Learned tokens before the first place of the grid. */
  readonly before: number;
}

/** Where the tokens of a part lie in it: that of the convolution that made them, else a square, else a row. */
function gridFor(
  { decision }: GradientCase,
  part: Part,
  tokens: number,
  shapeOf: (value: string) => readonly number[],
): TokenGrid {
  if (part.kind === 'text') return { shape: [tokens], before: 0 };
  const reached = reachedFrom(decision.model, [part.value]);
  const grids = decision.model.graph.node
    .filter(({ opType, input, output }) => opType === 'Conv' && reached.has(input[0]) && shapeOf(output[0]).length > 0)
    .map(({ output }) => shapeOf(output[0]).slice(2));
  for (let before = 0; before <= Math.min(MOST_LEARNED, tokens - 1); before++) {
    const shape = grids.findLast((grid) => numel(grid) === tokens - before);
    if (shape) return { shape, before };
  }
  for (let before = 0; before <= 1 && part.kind === 'image'; before++) {
    const side = Math.sqrt(tokens - before);
    if (Number.isInteger(side)) return { shape: [side, side], before };
  }
  return { shape: [tokens], before: 0 };
}

const placed = (part: Part, vector: Float64Array, { shape, before }: TokenGrid): Attribution => ({
  part,
  shape: shape.length === 1 && part.kind === 'image' ? [1, ...shape] : shape,
  values: Float32Array.from(vector.subarray(before, before + numel(shape))),
});
