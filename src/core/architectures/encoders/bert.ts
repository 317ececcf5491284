import type { Architecture } from '../architecture.js';
import { column, type LinearStep, linearSteps } from '../blocks/heads.js';
import { firstToken, readAt } from '../blocks/pooling.js';
import { architectureOf, type Family } from '../family.js';
import { labelIndex, textScore } from '../labels.js';
import { axisOf } from '../readings.js';
import {
  type EncoderOptions,
  encoderTokens,
  holdsEncoder,
  LAYOUTS,
  type Layout,
  readEncoder,
  UNUSED,
} from './layouts.js';
import { encoderInputs } from './text-inputs.js';

// The encoders of layouts.ts with the classifier of their …ForSequenceClassification.

interface ClassifierOptions {
  readonly encoder: EncoderOptions;
  readonly labels: number;
  readonly label: number;
}

function family(layout: Layout): Family<ClassifierOptions> {
  const { prefix } = layout;
  const classifier = `${layout.classifier}.weight`;
  const label = `${layout.name} with a classifier`;
  return {
    id: layout.id,
    label,
    exportOptions: { outputLabel: null },
    parityTolerance: 1e-4,

    recognise: (tensors) => holdsEncoder(tensors, layout, prefix) && tensors.has(classifier),

    modalities: () => ['text'],

    options(reader, _checkpoint, request) {
      reader.assertModelType(label, layout.modelTypes);
      const labels = axisOf(reader.tensors, classifier, 0)?.value ?? 1;
      return {
        encoder: readEncoder(reader, layout, prefix),
        labels,
        label: labelIndex(reader, labels, request.options.outputLabel),
      };
    },

    inputs: ({ options: { encoder } }) => encoderInputs(encoder),

    encode(graph, inputs, { options: { encoder }, dtype }) {
      const reads = readAt(graph, (x) => firstToken(graph, x));
      const tokens = encoderTokens(graph, inputs, { layout, prefix, options: encoder, dtype, reads });
      return { embedding: firstToken(graph, tokens) };
    },

    embeddingWidth: ({ options: { encoder } }) => encoder.hidden,

    score(graph, embedding, { options: { encoder, labels, label } }) {
      const { key, activation } = layout.pool;
      const steps: LinearStep[] = [
        { key, outputs: encoder.hidden, bias: true, activation },
        { key: layout.classifier, outputs: labels, bias: true },
      ];
      const scores = graph.scope('head', () => column(graph, linearSteps(graph, embedding, steps), label));
      return textScore(scores);
    },

    ignored: () => [
      ...UNUSED,
      { names: /^(roberta|electra|mpnet)\.pooler\./, reason: 'a pooler that the classifier does not use' },
    ],
  };
}

export const CLASSIFIERS: readonly Architecture[] = LAYOUTS.map((layout) => architectureOf(family(layout)));
