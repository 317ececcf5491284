import { TRAINING_OPSET } from '../autodiff/bind.js';
import { Emitter } from '../autodiff/emitter.js';
import { type BoundGraph, type Operand, tensorTypeProto } from '../autodiff/types.js';
import { intAttribute } from '../onnx/model.js';
import { type AdamWStep, averageShare } from './adamw.js';
import type { Slab } from './slabs.js';

/** What stays the same from step to step. */
export interface OptimizerSettings extends Pick<AdamWStep, 'beta1' | 'beta2' | 'epsilon' | 'weightDecay'> {
  /** Largest norm of all gradients together; 0 for no bound. */
  readonly clipNorm: number;
  /** Decay of the average of parameters; 0 where none is kept. */
  readonly averageDecay: number;
}

/** The vectors of a slab, in the order in which they are kept. */
export const SLAB_PARTS = ['parameters', 'firstMoment', 'secondMoment', 'average'] as const;
export type SlabPart = (typeof SLAB_PARTS)[number];

export const partsOf = (averaged: boolean): readonly SlabPart[] => (averaged ? SLAB_PARTS : SLAB_PARTS.slice(0, 3));

/** The name of a slab's vector as an input of a graph: the parameters have the name that loss models know. */
export const partName = ({ name }: Pick<Slab, 'name'>, part: SlabPart): string =>
  part === 'parameters' ? name : `${name}/${part}`;

/** Numbers of one step of one slab, computed in float64: see `updateRow`. */
export const ROW_LENGTH = 4;

/**
 * What a step needs to know of a slab, as the graph takes it: the step size with the first moment's bias correction, the
 * correction of the second moment's root, the share that weight decay takes away, and the share of the parameters that the average
 * takes up. Shares, not their complements: float32 cannot tell 1 - 1e-8 from 1.
 * @param updates - of the slab, this one included
 */
export function updateRow(
  { decayed }: Pick<Slab, 'decayed'>,
  updates: number,
  lr: number,
  { weightDecay, beta1, beta2, averageDecay }: OptimizerSettings,
): number[] {
  return [
    lr / (1 - beta1 ** updates),
    1 / Math.sqrt(1 - beta2 ** updates),
    decayed ? lr * weightDecay : 0,
    1 - averageShare(averageDecay, updates),
  ];
}

/** Operands of one slab. */
export type SlabOperands = ReadonlyMap<SlabPart, Operand>;

/** Appends the Euclidean norm [] of several vectors taken as one, multiplied by `factor` []. */
export function appendNorm(graph: Emitter, gradients: readonly Operand[], factor: Operand): Operand {
  const squares = gradients.map((gradient) => {
    const scaled = graph.mul(gradient, factor);
    return graph.reduce('ReduceSum', graph.mul(scaled, scaled), [0], false);
  });
  return graph.unary('Sqrt', graph.sum(squares));
}

/** The factor of `clipFactor`, times `factor`. */
export function appendClip(graph: Emitter, norm: Operand, factor: Operand, clipNorm: number): Operand {
  if (clipNorm === 0) return factor;
  const bound = graph.div(graph.scalar(clipNorm, 'F32'), graph.add(norm, graph.scalar(1e-6, 'F32')));
  return graph.mul(factor, graph.binary('Min', bound, graph.scalar(1, 'F32')));
}

/**
 * Appends one AdamW step of a slab, and its average: the formula of `adamW` in float32.
 * @param row - of `updateRow`, [4]
 * @param factor - of the gradient, []
 */
export function appendUpdate(
  graph: Emitter,
  slab: SlabOperands,
  gradient: Operand,
  { row, factor, settings }: { row: Operand; factor: Operand; settings: OptimizerSettings },
): SlabOperands {
  const one = { dtype: 'F32', shape: [1] } as const;
  const [stepSize, correction, decay, taken] = graph.nodeOf(
    'Split',
    [row],
    [one, one, one, one],
    [intAttribute('num_outputs', ROW_LENGTH), intAttribute('axis', 0)],
  );
  const parameters = slab.get('parameters')!;
  const g = graph.mul(gradient, factor);
  const towards = (value: Operand, aim: Operand, share: number): Operand =>
    graph.add(value, graph.scale(graph.sub(aim, value), share));
  const m = towards(slab.get('firstMoment')!, g, 1 - settings.beta1);
  const v = towards(slab.get('secondMoment')!, graph.mul(g, g), 1 - settings.beta2);
  const root = graph.add(graph.mul(graph.unary('Sqrt', v), correction), graph.scalar(settings.epsilon, 'F32'));
  const step = graph.div(graph.mul(m, stepSize), root);
  const updated = graph.sub(parameters, graph.add(graph.mul(parameters, decay), step));
  const result = new Map<SlabPart, Operand>([
    ['parameters', updated],
    ['firstMoment', m],
    ['secondMoment', v],
  ]);
  const average = slab.get('average');
  if (average) result.set('average', graph.add(average, graph.mul(graph.sub(updated, average), taken)));
  return result;
}

/** Inputs of an optimizer graph beside the vectors of its slabs. */
export const ROWS = 'update_rows';
export const FACTOR = 'gradient_factor';
export const gradientName = ({ name }: Pick<Slab, 'name'>): string => `${name}/gradient`;

/** A graph that updates slabs by their gradients. */
export interface OptimizerGraph extends BoundGraph {
  readonly norm: string;
  /** Names of the updated vectors, in the order of the slabs. */
  readonly updated: readonly ReadonlyMap<SlabPart, string>[];
}

/**
 * Norm, clipping, AdamW and average of several slabs as a graph of its own.
 * Inputs: each slab's vectors (`partName`) and gradient (`gradientName`), `update_rows` [slabs, 4], and `gradient_factor` [], by
 * which all gradients are multiplied first.
 */
export function buildOptimizer(slabs: readonly Slab[], settings: OptimizerSettings): OptimizerGraph {
  const parts = partsOf(settings.averageDecay > 0);
  const inputs = [
    ...slabs.flatMap((slab): Operand[] =>
      [...parts.map((part) => partName(slab, part)), gradientName(slab)].map((name) => vector(name, slab.length)),
    ),
    { name: ROWS, dtype: 'F32' as const, shape: [slabs.length, ROW_LENGTH] },
    { name: FACTOR, dtype: 'F32' as const, shape: [] },
  ];
  const graph = new Emitter(emptyGraph(inputs), 'optimizer/');
  const factor = graph.operand(FACTOR);
  const gradients = slabs.map((slab) => graph.operand(gradientName(slab)));
  const norm = appendNorm(graph, gradients, factor);
  const clip = appendClip(graph, norm, factor, settings.clipNorm);
  const updated = slabs.map((slab, i) => {
    const operands = new Map(parts.map((part) => [part, graph.operand(partName(slab, part))] as const));
    const row = rowOf(graph, graph.operand(ROWS), i);
    const next = appendUpdate(graph, operands, gradients[i], { row, factor: clip, settings });
    return new Map(Array.from(next, ([part, { name }]) => [part, name] as const));
  });
  return { ...graph.finish(), norm: norm.name, updated };
}

/** Row i of a matrix, [columns]. */
export const rowOf = (graph: Emitter, matrix: Operand, i: number): Operand =>
  graph.node('Gather', [matrix, graph.constant({ dtype: 'I64', shape: [], data: BigInt64Array.of(BigInt(i)) })], {
    dtype: matrix.dtype,
    shape: matrix.shape.slice(1),
  });

const vector = (name: string, length: number): Operand => ({ name, dtype: 'F32', shape: [length] });

/** A graph that only has inputs. */
export function emptyGraph(inputs: readonly Operand[]): BoundGraph {
  return {
    model: {
      irVersion: 9, // of opset 20
      opsetImport: [{ domain: '', version: TRAINING_OPSET }],
      metadataProps: [],
      graph: {
        name: 'training',
        node: [],
        initializer: [],
        input: inputs.map((input) => ({ name: input.name, type: tensorTypeProto(input) })),
        output: [],
        valueInfo: [],
      },
    },
    types: new Map(inputs.map(({ name, dtype, shape }) => [name, { dtype, shape }])),
    constants: new Map(),
  };
}
