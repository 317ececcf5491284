import type { GradientRule } from '../rule.js';

/** The value itself. */
export const identity: GradientRule = {
  opTypes: ['Identity'],
  backward({ gradient, give }) {
    give(0, gradient());
  },
};

/** Between float types: the gradient has the type of the value. */
export const cast: GradientRule = {
  opTypes: ['Cast', 'CastLike'],
  backward({ graph, gradient, give, input }) {
    give(0, graph.cast(gradient(), input(0).dtype));
  },
};

/** Dropout as inference has it: nothing is dropped. A mask for training is an input that is multiplied with. */
export const dropout: GradientRule = {
  opTypes: ['Dropout'],
  backward({ gradient, give, numbers, unsupported }) {
    if (numbers(2)?.[0]) unsupported('it draws its own mask; multiply with a mask that is an input');
    give(0, gradient());
  },
};

/** The same elements in another shape. */
export const reshape: GradientRule = {
  opTypes: ['Reshape', 'Flatten', 'Squeeze', 'Unsqueeze'],
  backward({ graph, gradient, give, input }) {
    give(0, graph.reshape(gradient(), input(0).shape));
  },
};
