import type { Architecture, ArchitectureExporter } from '../../src/core/architectures/architecture.js';
import { exampleInputs } from '../../src/core/architectures/example-inputs.js';

/** A score that is the embedding's component along one learned direction: tensors `direction` [D] and `offset` [1]. */
export const directionHead: Architecture = {
  id: 'direction-head',
  label: 'component of an embedding along a direction',
  recognise: (tensors) =>
    tensors.size === 2 && tensors.get('direction')?.shape.length === 1 && tensors.get('offset')?.shape.join() === '1',
  load: async () => directionHeadExporter,
};

const directionHeadExporter: ArchitectureExporter = {
  modalities: () => [],

  buildGraph({ tensors }, graph, { mode, dtype }) {
    const width = tensors.get('direction')!.shape[0];
    const names = { item: ['embedding'], pair: ['left_embedding', 'right_embedding'], head: ['left', 'right'] }[mode];
    const direction = graph.unsqueeze(graph.parameter('direction', dtype), [1]); // [D, 1]
    const offset = graph.parameter('offset', dtype);
    const scores = names.map((name) => {
      const embedding = graph.cast(graph.input(name, 'F32', ['batch', width]), dtype);
      return graph.cast(graph.squeeze(graph.add(graph.matmul(embedding, direction), offset), 1), 'F32'); // [batch]
    });
    const outputs =
      mode === 'item'
        ? [{ name: 'utility_logit', value: scores[0], meaning: 'Component along the direction.' }]
        : [
            {
              name: 'pair_logit',
              value: graph.sub(scores[0], scores[1]),
              meaning: 'Positive where left is preferred.',
            },
          ];
    for (const { name, value } of outputs) graph.output(name, value);
    return {
      modality: null,
      mode,
      decision: 'utility-difference',
      inputs: names.map((name) => ({
        name,
        dtype: 'F32',
        shape: ['batch', width],
        preprocess: { kind: 'embedding', encoder: null, normalize: 'none' },
      })),
      outputs: outputs.map(({ name, meaning }) => ({
        name,
        dtype: 'F32',
        shape: ['batch'],
        meaning,
        range: [null, null],
      })),
      ignored: [],
    };
  },

  exampleInputs: ({ inputs }, seed) => exampleInputs(inputs, { rows: 2, seed }),
  parityTolerance: 1e-5,
};
