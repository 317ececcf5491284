import { TRAINING_OPSET } from '../../autodiff/bind.js';
import { Emitter } from '../../autodiff/emitter.js';
import { type BoundGraph, type Operand, tensorTypeProto } from '../../autodiff/types.js';
import { intAttribute } from '../../onnx/model.js';
import { type AdamWStep, averageShare } from '../update/adamw.js';
import type { Slab } from '../update/slabs.js';

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

/** Numbers of one update of one slab: see `correctionsOf`. */
export const CORRECTIONS = 3;

/**
 * What the n-th update of a slab needs to know of n, computed in float64: the factor that takes the bias out of the first moment,
 * that of the second moment's root, and the share of the parameters that the average takes up. A share, not what stays: float32
 * cannot tell 1 - 1e-8 from 1.
 * @param updates - of the slab, this one included
 */
export const correctionsOf = (updates: number, { beta1, beta2, averageDecay }: OptimizerSettings): number[] => [
  1 / (1 - beta1 ** updates),
  1 / Math.sqrt(1 - beta2 ** updates),
  1 - averageShare(averageDecay, updates),
];

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

/** What a step of the optimizer reads beside vectors and gradients. */
export interface UpdateOperands {
  /** Of `correctionsOf`, [3]. */
  readonly corrections: Operand;
  /** Learning rate, []. */
  readonly lr: Operand;
  /** Of the gradient, []. */
  readonly factor: Operand;
}

/** Appends one AdamW step of a slab, and its average: the formula of `adamW` in float32. */
export function appendUpdate(
  graph: Emitter,
  { decayed }: Pick<Slab, 'decayed'>,
  slab: SlabOperands,
  gradient: Operand,
  { corrections, lr, factor }: UpdateOperands,
  settings: OptimizerSettings,
): SlabOperands {
  const one = { dtype: 'F32', shape: [1] } as const;
  const [unbiased, correction, taken] = graph.nodeOf(
    'Split',
    [corrections],
    [one, one, one],
    [intAttribute('num_outputs', CORRECTIONS), intAttribute('axis', 0)],
  );
  const parameters = slab.get('parameters')!;
  const g = graph.mul(gradient, factor);
  const towards = (value: Operand, aim: Operand, share: number): Operand =>
    graph.add(value, graph.scale(graph.sub(aim, value), share));
  const m = towards(slab.get('firstMoment')!, g, 1 - settings.beta1);
  const v = towards(slab.get('secondMoment')!, graph.mul(g, g), 1 - settings.beta2);
  const root = graph.add(graph.mul(graph.unary('Sqrt', v), correction), graph.scalar(settings.epsilon, 'F32'));
  const step = graph.div(graph.mul(m, graph.mul(lr, unbiased)), root);
  const change = decayed ? graph.add(graph.mul(parameters, graph.scale(lr, settings.weightDecay)), step) : step;
  const updated = graph.sub(parameters, change);
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
export const CORRECTION_ROWS = 'corrections';
export const LEARNING_RATE = 'learning_rate';
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
 * Inputs: each slab's vectors (`partName`) and gradient (`gradientName`), `corrections` [slabs, 3], `learning_rate` [],
 * and `gradient_factor` [], by which all gradients are multiplied first.
 */
export function buildOptimizer(slabs: readonly Slab[], settings: OptimizerSettings): OptimizerGraph {
  const parts = partsOf(settings.averageDecay > 0);
  const inputs = [
    ...slabs.flatMap((slab): Operand[] =>
      [...parts.map((part) => partName(slab, part)), gradientName(slab)].map((name) => vector(name, slab.length)),
    ),
    { name: CORRECTION_ROWS, dtype: 'F32' as const, shape: [slabs.length, CORRECTIONS] },
    { name: LEARNING_RATE, dtype: 'F32' as const, shape: [] },
    { name: FACTOR, dtype: 'F32' as const, shape: [] },
  ];
  const graph = new Emitter(emptyGraph(inputs), 'optimizer/');
  const gradients = slabs.map((slab) => graph.operand(gradientName(slab)));
  const norm = appendNorm(graph, gradients, graph.operand(FACTOR));
  const updated = appendUpdates(
    graph,
    slabs,
    gradients,
    {
      corrections: graph.operand(CORRECTION_ROWS),
      lr: graph.operand(LEARNING_RATE),
      factor: appendClip(graph, norm, graph.operand(FACTOR), settings.clipNorm),
    },
    settings,
  );
  const names = updated.map((next) => new Map(Array.from(next, ([part, { name }]) => [part, name] as const)));
  return { ...graph.finish(), norm: norm.name, updated: names };
}

/** Appends the step of each slab, whose vectors the graph has under their `partName`; `corrections` has a row for each. */
export function appendUpdates(
  graph: Emitter,
  slabs: readonly Slab[],
  gradients: readonly Operand[],
  shared: UpdateOperands,
  settings: OptimizerSettings,
): SlabOperands[] {
  const parts = partsOf(settings.averageDecay > 0);
  return slabs.map((slab, i) => {
    const operands = new Map(parts.map((part) => [part, graph.operand(partName(slab, part))] as const));
    const corrections = graph.take(shared.corrections, i);
    return appendUpdate(graph, slab, operands, gradients[i], { ...shared, corrections }, settings);
  });
}

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
