import { bindShapes } from '../../autodiff/bind.js';
import { withOutputs } from '../../autodiff/emitter.js';
import type { BoundGraph } from '../../autodiff/types.js';
import { extractSubgraph } from '../../onnx/extract.js';
import { typeProto } from '../../onnx/graph-core.js';
import type { ContractInput } from '../../onnx/manifest.js';
import type { OnnxModel, ValueInfoProto } from '../../onnx/model.js';
import { float32Value, type TensorValue } from '../../runtime/value.js';
import { numel } from '../../tensor/shape.js';
import type { EngineOptions } from '../engines/engine.js';
import { openOnDevice } from '../engines/onnxruntime.js';
import type { ForwardModel } from '../graph/forward.js';
import { ItemBatch } from './batch.js';
import { type BatchShape, type ModalityData, streamsOf, type TrainingItem } from './dataset.js';

/** Items encoded at a time by the frozen part. */
const PREFIX_ROWS = 16;
/** Features of all items together that are kept in memory. */
const FEATURE_BYTES = 2 ** 31;
const INPUT_PREFIX = 'frozen/';

/** A model cut at the frontier of what is trained: the part before it has run once for every item. */
export interface FrozenCut {
  /** The part behind the frontier; its inputs are the features. */
  readonly forward: ForwardModel;
  readonly inputs: readonly ContractInput[];
  /** The data with features in place of media. */
  readonly data: readonly ModalityData[];
  /** Values of the graph where it is cut. */
  readonly frontier: readonly string[];
}

/**
 * Runs what is frozen once for each distinct item and leaves the rest to be trained. Null where nothing is gained: training
 * reaches the inputs, the frontier has no fixed size, or its features would fill the memory.
 * @param isTrained - by the initializer's name
 * @param sets - data of this model, such as those to train on and those held out
 */
export async function cutFrozen(
  forward: ForwardModel,
  isTrained: (initializer: string) => boolean,
  sets: readonly ModalityData[],
  options: EngineOptions,
): Promise<FrozenCut | null> {
  const [first] = sets;
  const example = itemsByShape(first)[0];
  const batch = new ItemBatch(first.inputs, PREFIX_ROWS, example.shape);
  for (let row = 0; row < PREFIX_ROWS; row++) batch.set(row, first.items[example.items[0]]);
  const bound = await bindShapes({ ...forward.item, metadataProps: [] }, batch.feeds);
  const outputs = ['embedding', ...forward.itemOutputs];
  const frontier = frontierOf(bound, isTrained, outputs, new Set(first.inputs.map(({ name }) => name)));
  if (frontier === null || !isFixed(frontier, bound, first.inputs)) return null;
  const known = new Set(forward.item.graph.node.flatMap(({ output }) => output));
  if (!frontier.every((name) => known.has(name))) return null;
  const shapes = new Map(frontier.map((name) => [name, bound.types.get(name)!.shape.slice(1)]));
  const perItem = [...shapes.values()].reduce((sum, shape) => sum + 4 * numel(shape), 0);
  if (perItem * sets.reduce((sum, { items }) => sum + items.length, 0) > FEATURE_BYTES) return null;
  const inputs = Array.from(shapes, ([name, shape]): ContractInput => {
    const preprocess = { kind: 'embedding' as const, encoder: null, normalize: 'none' as const };
    return { name: INPUT_PREFIX + name, dtype: 'F32', shape: ['batch', ...shape], preprocess };
  });
  const data: ModalityData[] = [];
  for (const set of sets) data.push({ ...set, inputs, items: await featuresOf(forward, set, frontier, options) });
  const behind = { ...forward, inputs, item: suffixOf(forward.item, shapes, outputs), matchOutputs: null };
  return { forward: behind, inputs, data, frontier };
}

/**
 * Values between the frozen and the trained part that depend on the data; null where one of them is an input itself.
 * What depends on frozen weights alone is computed again behind the cut.
 */
function frontierOf(
  { model: { graph }, types }: BoundGraph,
  isTrained: (initializer: string) => boolean,
  outputs: readonly string[],
  inputs: ReadonlySet<string>,
): string[] | null {
  const hot = new Set(graph.initializer.map(({ name = '' }) => name).filter(isTrained));
  const fed = new Set(inputs);
  const frontier = new Set<string>();
  for (const { input, output } of graph.node) {
    const isHot = input.some((name) => hot.has(name));
    if (isHot) for (const name of input) if (fed.has(name) && !hot.has(name)) frontier.add(name);
    for (const name of output) {
      if (isHot) hot.add(name);
      if (input.some((each) => fed.has(each))) fed.add(name);
    }
  }
  for (const name of outputs) if (!hot.has(name) && fed.has(name)) frontier.add(name);
  const float = [...frontier].every((name) => types.get(name)?.dtype === 'F32');
  return float && ![...frontier].some((name) => inputs.has(name)) && frontier.size > 0 ? [...frontier] : null;
}

/** Whether every feature has one row an item, of one size whatever the length of a text or sound. */
function isFixed(frontier: readonly string[], { types }: BoundGraph, inputs: readonly ContractInput[]): boolean {
  const varies = inputs.some(({ preprocess: { kind } }) => kind === 'text' || kind === 'audio');
  return frontier.every((name) => {
    const { shape } = types.get(name)!;
    return shape[0] === PREFIX_ROWS && (!varies || shape.length === 2);
  });
}

async function featuresOf(
  forward: ForwardModel,
  data: ModalityData,
  frontier: readonly string[],
  options: EngineOptions,
): Promise<TrainingItem[]> {
  const features = new Array<TrainingItem>(data.items.length);
  for (const { shape, items } of itemsByShape(data)) {
    const batch = new ItemBatch(data.inputs, PREFIX_ROWS, shape);
    batch.set(0, data.items[items[0]]);
    for (let row = 1; row < PREFIX_ROWS; row++) batch.set(row, data.items[items[0]]);
    const bound = withOutputs(await bindShapes({ ...forward.item, metadataProps: [] }, batch.feeds), frontier);
    const { session } = await openOnDevice(bound.model, options);
    const targets = new Map<string, TensorValue>();
    for (const name of frontier) {
      const { shape: size } = bound.types.get(name)!;
      targets.set(name, float32Value(size, new Float32Array(numel(size))));
    }
    const used = new Set(session.inputs.map(({ name }) => name));
    const feeds = new Map([...batch.feeds].filter(([name]) => used.has(name)));
    for (let start = 0; start < items.length; start += PREFIX_ROWS) {
      const here = items.slice(start, start + PREFIX_ROWS);
      for (const [row, item] of here.entries()) batch.set(row, data.items[item]);
      await session.runInto(feeds, targets);
      for (const [row, item] of here.entries()) {
        const packed = new Map(
          Array.from(targets, ([name, { data: values }]) => {
            const length = values.length / PREFIX_ROWS;
            return [INPUT_PREFIX + name, (values as Float32Array).slice(row * length, (row + 1) * length)];
          }),
        );
        features[item] = { packed, tokens: 0, samples: 0 };
      }
    }
    await session.release();
  }
  return features;
}

/** All items of a modality by the shape of the batch they go into. */
function itemsByShape(data: ModalityData): { readonly shape: BatchShape; readonly items: readonly number[] }[] {
  const absolutes = data.items.map((_, item) => ({ item, score: undefined, aux: {}, cluster: '', stratum: '' }));
  return streamsOf({ ...data, pairs: [], absolutes }).map((stream) => ({
    shape: stream.shape,
    items: stream.absolutes.map(({ item }) => item),
  }));
}

/** The item graph from the features on. */
function suffixOf(
  item: OnnxModel,
  shapes: ReadonlyMap<string, readonly number[]>,
  outputs: readonly string[],
): OnnxModel {
  const infos = Array.from(shapes, ([name, shape]): readonly [string, ValueInfoProto] => [
    name,
    { name, type: typeProto('F32', ['batch', ...shape]) },
  ]);
  const computed = outputs.filter((name) => !shapes.has(name));
  const cut = extractSubgraph(item, { inputs: [...shapes.keys()], outputs: computed, types: new Map(infos) });
  const entrances = Array.from(shapes.keys(), (name) => ({
    name,
    opType: 'Identity',
    input: [INPUT_PREFIX + name],
    output: [name],
    attribute: [],
  }));
  return {
    ...cut,
    graph: {
      ...cut.graph,
      node: [...entrances, ...cut.graph.node],
      input: infos.map(([name, info]) => ({ ...info, name: INPUT_PREFIX + name })),
      output: outputs.map((name) => item.graph.output.find((output) => output.name === name)!),
    },
  };
}
