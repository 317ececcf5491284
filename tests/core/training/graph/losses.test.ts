import { expect, it } from 'vitest';
import { bindShapes } from '../../../../src/core/autodiff/bind.js';
import { withOutputs } from '../../../../src/core/autodiff/emitter.js';
import { tensorTypeProto } from '../../../../src/core/autodiff/types.js';
import type { NodeProto, OnnxModel } from '../../../../src/core/onnx/model.js';
import { float32Value, floatsOf, type TensorValue } from '../../../../src/core/runtime/value.js';
import { addLosses, TARGETS } from '../../../../src/core/training/graph/losses.js';
import { runModel } from '../../../helpers/graphs.js';
import { tempFolder } from '../../../helpers/temp.js';
import { sequence } from '../../autodiff/cases.js';

const WEIGHTS = { pair: 0, utility: 1, absolute: 0, quality: 0, fluency: 0, toxicity: 0, consistency: 0 } as const;
const [PAIRS, WIDTH] = [3, 4];

/** A graph that hands its inputs on. */
function handsOn(given: ReadonlyMap<string, TensorValue>): OnnxModel {
  const node = Array.from(given.keys(), (name): NodeProto => {
    return { name, opType: 'Identity', input: [`${name}_in`], output: [name], attribute: [] };
  });
  const input = Array.from(given, ([name, type]) => ({ name: `${name}_in`, type: tensorTypeProto(type) }));
  const output = [...given.keys()].map((name) => ({ name }));
  return {
    irVersion: 9n,
    opsetImport: [{ domain: '', version: 20n }],
    metadataProps: [],
    graph: { name: 'test', node, initializer: [], input, output, valueInfo: [] },
  } as unknown as OnnxModel;
}

const logSumExp = (values: readonly number[]): number => Math.log(values.reduce((sum, x) => sum + Math.exp(x), 0));

it('tells the text of an item from those of the others, and its picture from theirs, among left items alone', async () => {
  const rows = 2 * PAIRS;
  const given = new Map([
    ['utility_logit', float32Value([rows], new Float32Array(rows))],
    ['match_left', float32Value([rows, WIDTH], sequence(rows * WIDTH, 3))],
    ['match_right', float32Value([rows, WIDTH], sequence(rows * WIDTH, 5))],
  ]);
  const feeds = new Map(Array.from(given, ([name, value]) => [`${name}_in`, value]));
  const target = float32Value([PAIRS, 3], new Float32Array(3 * PAIRS));
  const { graph, inputs, outputs } = addLosses(await bindShapes(handsOn(given), feeds), {
    pairs: PAIRS,
    itemOutputs: ['utility_logit'],
    matchOutputs: ['match_left', 'match_right'],
    hasHead: false,
    weights: { ...WEIGHTS, match: 1, ties: 'split', tieLogit: 0 },
  });
  const { model } = withOutputs(graph, outputs);
  const fed = inputs.map((each) => ({ name: each.name, type: tensorTypeProto(each) }));
  const whole = { ...model, graph: { ...model.graph, input: [...model.graph.input, ...fed] } };
  const results = await runModel(whole, tempFolder(), new Map([...feeds, [TARGETS.pair, target]]));

  const [left, right] = ['match_left', 'match_right'].map((name) => floatsOf(given.get(name)!));
  const places = [...Array(PAIRS).keys()];
  const similarity = (i: number, j: number): number =>
    [...Array(WIDTH).keys()].reduce((sum, k) => sum + left[i * WIDTH + k] * right[j * WIDTH + k], 0) / Math.sqrt(WIDTH);
  const losses = places.flatMap((i) => [
    logSumExp(places.map((j) => similarity(i, j))) - similarity(i, i),
    logSumExp(places.map((j) => similarity(j, i))) - similarity(i, i),
  ]);
  const mean = losses.reduce((sum, x) => sum + x, 0) / losses.length;
  expect(floatsOf(results.get('loss.match')!)[0]).toBeCloseTo(mean, 5);
  expect(floatsOf(results.get('loss')!)[0]).toBeCloseTo(mean, 5); // nobody voted
});
