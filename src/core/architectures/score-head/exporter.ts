import type { JsonValue } from '../../bytes/json.js';
import { HpsError } from '../../errors.js';
import type { GraphBuilder } from '../../onnx/builder.js';
import type { Value } from '../../onnx/graph-core.js';
import type { ContractInput, ContractOutput } from '../../onnx/manifest.js';
import { type ArchitectureExporter, type ExportRequest, parseOptions } from '../architecture.js';
import { exampleInputs } from '../example-inputs.js';
import { type LinearLayer, linearChain } from './chain.js';

/** `activation`: what stands between the linear layers, which the file cannot tell. */
const OPTIONS = { activation: ['none', 'relu'] } as const;

export const scoreHeadExporter: ArchitectureExporter = {
  modalities: () => [],
  options: OPTIONS,

  buildGraph(checkpoint, graph, request) {
    const layers = linearChain(checkpoint.tensors);
    if (!layers) {
      throw new HpsError('TENSORS_MISMATCH', 'the tensors are not one chain of linear layers', {
        hint: 'A score head has weights [outputs, inputs] that follow each other, each with a bias or none.',
      });
    }
    if (request.modality) {
      throw new HpsError('USAGE', `a score head reads embeddings, it has no modality ${request.modality}`, {
        hint: 'Leave `modality` out.',
      });
    }
    const activation = chosenActivation(layers, request);
    const last = layers[layers.length - 1];
    if (request.mode !== 'item' && last.outputs !== 1) {
      throw new HpsError('USAGE', `the head has ${last.outputs} outputs, so it does not order pairs`, {
        hint: 'Export it with `mode` item.',
      });
    }
    const input = (name: string): Value => graph.input(name, 'F32', ['batch', layers[0].inputs]);
    const score = (embedding: Value): Value => scores(graph, embedding, layers, activation, request.dtype);
    const names = { item: ['embedding'], pair: ['left_embedding', 'right_embedding'], head: ['left', 'right'] }[
      request.mode
    ];
    const values = names.map(input);
    const outputs =
      request.mode === 'item'
        ? itemOutput(graph, score(values[0]), last.outputs)
        : pairOutputs(graph, values.map(score));
    return {
      modality: null,
      mode: request.mode,
      decision: 'utility-difference',
      inputs: names.map((name) => contractInput(name, layers[0].inputs, request.config)),
      outputs,
      ignored: [],
    };
  },

  exampleInputs: ({ inputs }, seed) => exampleInputs(inputs, { rows: 3, seed }),
  parityTolerance: 1e-5,
};

/** @throws HpsError CONFIG_INVALID where layers could have activations between them and nobody said whether they do */
function chosenActivation(layers: readonly LinearLayer[], request: ExportRequest): 'none' | 'relu' {
  if (layers.length === 1) return 'none';
  const told = parseOptions('score-head', OPTIONS, request.options).activation;
  const configured = told ?? request.config?.activation;
  if (configured === 'none' || configured === 'relu') return configured;
  throw new HpsError(
    'CONFIG_INVALID',
    `the file holds ${layers.length} linear layers and cannot say whether ReLUs stand between them`,
    {
      hint: "Look at the model's code, then give `activation` none or `activation` relu.",
      details: { layers: layers.map(({ key, inputs, outputs }) => ({ key, inputs, outputs })) },
    },
  );
}

function scores(
  graph: GraphBuilder,
  embedding: Value,
  layers: readonly LinearLayer[],
  activation: 'none' | 'relu',
  dtype: 'F32' | 'F16',
): Value {
  let x = graph.cast(embedding, dtype);
  for (const [i, { key, gapAfter }] of layers.entries()) {
    const name = (part: string): string => (key === '' ? part : `${key}.${part}`);
    const bias = graph.has(name('bias')) ? graph.parameter(name('bias'), dtype) : null;
    x = graph.scope(key === '' ? 'linear' : key, () => graph.gemm(x, graph.parameter(name('weight'), dtype), bias));
    if (activation === 'relu' && gapAfter && i + 1 < layers.length) x = graph.relu(x);
  }
  return graph.cast(x, 'F32');
}

function contractInput(name: string, width: number, config: Readonly<Record<string, JsonValue>> | null): ContractInput {
  const normalize = config?.normalize === 'l2' ? 'l2' : 'none';
  const encoder = typeof config?.encoder === 'string' ? config.encoder : null;
  return { name, dtype: 'F32', shape: ['batch', width], preprocess: { kind: 'embedding', encoder, normalize } };
}

const UNBOUNDED: [null, null] = [null, null];

function itemOutput(graph: GraphBuilder, value: Value, width: number): ContractOutput[] {
  const [name, output, meaning] =
    width === 1
      ? [
          'utility_logit',
          graph.squeeze(value, 1),
          "The head's score, on the scale it was trained on; differences decide pairs.",
        ]
      : ['scores', value, "The head's outputs, in the order of its last layer."];
  graph.output(name, output);
  return [{ name, dtype: 'F32', shape: [...output.shape], meaning, range: UNBOUNDED }];
}

function pairOutputs(graph: GraphBuilder, values: readonly Value[]): ContractOutput[] {
  const [left, right] = values.map((value) => graph.squeeze(value, 1));
  const outputs: [string, Value, string][] = [
    ['left_utility_logit', left, "The head's score of the left item."],
    ['right_utility_logit', right, "The head's score of the right item."],
    ['pair_logit', graph.sub(left, right), 'Difference of the scores: positive where left is preferred.'],
  ];
  return outputs.map(([name, value, meaning]) => {
    graph.output(name, value);
    return { name, dtype: 'F32', shape: [...value.shape], meaning, range: UNBOUNDED };
  });
}
