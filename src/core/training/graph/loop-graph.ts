import { Emitter } from '../../autodiff/emitter.js';
import { type BoundGraph, type Operand, tensorTypeProto } from '../../autodiff/types.js';
import {
  DATA_TYPE,
  type GraphProto,
  graphAttribute,
  type NodeProto,
  type OnnxModel,
  type ValueInfoProto,
} from '../../onnx/model.js';
import type { Differentiated } from '../engines/onnxruntime.js';
import type { Slab } from '../update/slabs.js';
import {
  appendClip,
  appendNorm,
  appendUpdates,
  CORRECTION_ROWS,
  CORRECTIONS,
  FACTOR,
  LEARNING_RATE,
  type OptimizerSettings,
  partName,
  partsOf,
} from './optimizer-graph.js';

/** Inputs and outputs of a loop model beside stacked data and the vectors of slabs. */
export const STEPS = 'steps';
export const NORM = 'gradient_norm';
/** A value of every step, [steps, ...]. */
export const stackedName = (name: string): string => `steps/${name}`;
/** A slab's vector before the first step and after the last. */
export const firstName = (name: string): string => `${name}/first`;
export const lastName = (name: string): string => `${name}/last`;

const FLOAT_MAX = 3.4028234663852886e38;
const INDEX = { dtype: 'I64', shape: [] } as const;
const ITERATION: Operand = { name: 'iteration', ...INDEX };
const CONDITION: Operand = { name: 'condition', dtype: 'BOOL', shape: [] };
/** Updates taken so far in the run: a step whose norm is no finite number takes none. */
const TAKEN: Operand = { name: 'updates_taken', ...INDEX };
const RATE: Operand = { name: stackedName(LEARNING_RATE), dtype: 'F32', shape: [] };
const SCALE: Operand = { name: FACTOR, dtype: 'F32', shape: [] };
const START = 'no_updates';

/**
 * Several training steps as one ONNX Loop, whose state is the weights, moments and averages.
 * Inputs: the vectors of the slabs (`firstName` of `partName`); `steps` []; stacked along a new first axis, one a step
 * (`stackedName`), the data and `learning_rate`, and one an update `corrections` [slabs, 3]; and `gradient_factor` [].
 * Outputs: the vectors (`lastName`), and stacked the loss model's outputs and the norm.
 * @param slabs - those that have a gradient
 */
export function buildLoop(
  { graph: differentiated, outputs, gradients }: Differentiated,
  slabs: readonly Slab[],
  settings: OptimizerSettings,
): OnnxModel {
  const parts = partsOf(settings.averageDecay > 0);
  const state = slabs.flatMap((slab) =>
    parts.map((part): Operand => ({ name: partName(slab, part), dtype: 'F32', shape: [slab.length] })),
  );
  const parameters = new Set(slabs.map(({ name }) => name));
  const data = differentiated.model.graph.input
    .map(({ name }): Operand => ({ name, ...differentiated.types.get(name)! }))
    .filter(({ name }) => !parameters.has(name));
  const corrections: Operand = {
    name: stackedName(CORRECTION_ROWS),
    dtype: 'F32',
    shape: [slabs.length, CORRECTIONS],
  };
  const body = new Emitter(withValues(differentiated, [...state, ...STEP_VALUES, corrections]), 'update/');
  const given = slabs.map((slab) => body.operand(gradients.get(slab.name)!));
  const norm = appendNorm(body, given, SCALE);
  const updated = appendUpdates(
    body,
    slabs,
    given,
    {
      corrections: takeStacked(body, corrections, TAKEN),
      lr: takeStacked(body, RATE, ITERATION),
      factor: appendClip(body, norm, SCALE, settings.clipNorm),
    },
    settings,
  );
  const finite = body.compare('LessOrEqual', norm, body.scalar(FLOAT_MAX, 'F32'));
  const kept = slabs.flatMap((slab, i) =>
    parts.map((part) => body.where(finite, updated[i].get(part)!, body.operand(partName(slab, part)))),
  );
  const taken = body.node('Add', [TAKEN, body.cast(finite, 'I64')], TAKEN);
  const scanned = [...outputs.map((name) => body.operand(name)), norm];
  const graph = bodyGraph(body.finish(), data, [ITERATION, CONDITION, TAKEN, ...state], [taken, ...kept, ...scanned]);
  const names = [...outputs, NORM];
  return loopModel(differentiated.model, graph, {
    state,
    stacked: [...data, { ...RATE, name: LEARNING_RATE }, { ...corrections, name: CORRECTION_ROWS }],
    scanned: scanned.map((value, i) => ({ ...value, name: names[i] })),
  });
}

const STEP_VALUES = [ITERATION, CONDITION, TAKEN, RATE, SCALE];

const withValues = (bound: BoundGraph, values: readonly Operand[]): BoundGraph => ({
  ...bound,
  types: new Map([...bound.types, ...values.map(({ name, dtype, shape }) => [name, { dtype, shape }] as const)]),
});

/** An element of a stacked value whose operand states the shape of one element. */
const takeStacked = (graph: Emitter, { name, dtype, shape }: Operand, index: Operand): Operand =>
  graph.take({ name, dtype, shape: [0, ...shape] }, index);

/** The body: data are taken from what is stacked outside, the condition to go on never changes. */
function bodyGraph(
  { model: { graph } }: BoundGraph,
  data: readonly Operand[],
  inputs: readonly Operand[],
  outputs: readonly Operand[],
): GraphProto {
  const taken = data.map(({ name }): NodeProto => {
    return {
      name: `take/${name}`,
      opType: 'Gather',
      input: [stackedName(name), ITERATION.name],
      output: [name],
      attribute: [],
    };
  });
  const goOn = { name: 'go_on', opType: 'Identity', input: [CONDITION.name], output: ['go_on'], attribute: [] };
  return {
    name: 'step',
    node: [...taken, ...graph.node, goOn],
    initializer: graph.initializer,
    input: inputs.map(info),
    output: [{ ...CONDITION, name: 'go_on' }, ...outputs].map(info),
    valueInfo: [],
  };
}

interface LoopValues {
  readonly state: readonly Operand[];
  /** Given and returned once a step; shapes of one element. */
  readonly stacked: readonly Operand[];
  readonly scanned: readonly Operand[];
}

function loopModel(like: OnnxModel, body: GraphProto, { state, stacked, scanned }: LoopValues): OnnxModel {
  const vectors = (rename: (name: string) => string): ValueInfoProto[] =>
    state.map((value) => info({ ...value, name: rename(value.name) }));
  const loop: NodeProto = {
    name: 'training/steps',
    opType: 'Loop',
    input: [STEPS, '', START, ...state.map(({ name }) => firstName(name))],
    output: ['updates', ...state.map(({ name }) => lastName(name)), ...scanned.map(({ name }) => stackedName(name))],
    attribute: [graphAttribute('body', body)],
  };
  return {
    ...like,
    graph: {
      name: 'training',
      node: [loop],
      initializer: [{ name: START, dims: [], dataType: DATA_TYPE.INT64, int64Data: BigInt64Array.of(0n) }],
      input: [info({ name: STEPS, ...INDEX }), ...vectors(firstName), ...stacked.map(stackedInfo), info(SCALE)],
      output: [...vectors(lastName), ...scanned.map(stackedInfo)],
      valueInfo: [],
    },
  };
}

const info = (value: Operand): ValueInfoProto => ({ name: value.name, type: tensorTypeProto(value) });

/** The stacked value, of as many steps as a run has. */
function stackedInfo({ name, dtype, shape }: Operand): ValueInfoProto {
  const type = tensorTypeProto({ dtype, shape });
  const dim = [{ dimParam: STEPS }, ...type.tensorType!.shape!.dim];
  return { name: stackedName(name), type: { tensorType: { ...type.tensorType!, shape: { dim } } } };
}
