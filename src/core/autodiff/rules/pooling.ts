import { intAttribute, intOf, intsAttribute, intsOf, stringAttribute } from '../../onnx/model.js';
import { numel } from '../../tensor/shape.js';
import type { GradientRule } from '../rule.js';
import { padsOf, windowOf } from '../window.js';

/** The gradient of every window to its largest element, the first of equal ones: the indices of the forward node. */
export const maxPool: GradientRule = {
  opTypes: ['MaxPool'],
  backward({ node, graph, gradient, give, input, output, unsupported }) {
    if (intOf(node, 'storage_order', 0) !== 0) unsupported('its indices are in column-major order');
    const x = input(0);
    const count = numel(output().shape);
    const indices = graph.extraOutput(node, 1, { dtype: 'I64', shape: output().shape });
    const zeros = graph.zeros({ dtype: x.dtype, shape: [numel(x.shape)] });
    const [at, g] = [graph.reshape(indices, [count]), graph.reshape(gradient(), [count])];
    const scattered = graph.node('ScatterElements', [zeros, at, g], zeros, [stringAttribute('reduction', 'add')]);
    give(0, graph.reshape(scattered, x.shape));
  },
};

/** Every element of a window takes an equal share. */
export const averagePool: GradientRule = {
  opTypes: ['AveragePool'],
  backward(context) {
    const { node, graph, gradient, give, input, output } = context;
    const x = input(0);
    const [, channels, ...places] = output().shape;
    const kernel = intsOf(node, 'kernel_shape') ?? [];
    const window = windowOf(context, kernel, x.shape.slice(2), places);
    const reach = kernel.map((size, i) => window.dilations[i] * (size - 1));
    // Windows that start inside but end beyond the padding (ceil_mode) need the padding they imply.
    const after = places.map(
      (count, i) => (count - 1) * window.strides[i] + reach[i] + 1 - x.shape[i + 2] - window.before[i],
    );
    const counts = countsOf(x.shape.slice(2), places, window, intOf(node, 'count_include_pad', 0) === 1);
    const shares = graph.mul(
      gradient(),
      graph.floats(
        x.dtype,
        places,
        counts.map((size) => 1 / size),
      ),
    );
    const ones = graph.floats(x.dtype, [channels, 1, ...kernel], new Array<number>(channels * numel(kernel)).fill(1));
    const padding = after.map((size) => Math.max(0, -size));
    give(
      0,
      graph.node('ConvTranspose', [shares, ones], x, [
        intsAttribute('strides', window.strides),
        intsAttribute('dilations', window.dilations),
        intsAttribute('pads', padsOf({ before: window.before, after: after.map((size) => Math.max(0, size)) })),
        intAttribute('group', channels),
        ...(padding.some((size) => size > 0) ? [intsAttribute('output_padding', padding)] : []),
      ]),
    );
  },
};

/** Elements that the mean of each window is over. */
function countsOf(
  sizes: readonly number[],
  places: readonly number[],
  { kernel, strides, dilations, before, after }: ReturnType<typeof windowOf>,
  includePadding: boolean,
): number[] {
  const perAxis = places.map((count, axis) =>
    Array.from({ length: count }, (_, place) => {
      const start = place * strides[axis] - before[axis];
      const [low, high] = includePadding ? [-before[axis], sizes[axis] + after[axis]] : [0, sizes[axis]];
      const taps = Array.from({ length: kernel[axis] }, (_, tap) => start + tap * dilations[axis]);
      return taps.filter((at) => at >= low && at < high).length;
    }),
  );
  return perAxis.reduce((counts, axis) => counts.flatMap((count) => axis.map((size) => count * size)), [1]);
}

export const globalAveragePool: GradientRule = {
  opTypes: ['GlobalAveragePool'],
  backward({ graph, gradient, give, input }) {
    const { shape } = input(0);
    give(0, graph.expand(graph.scale(gradient(), 1 / numel(shape.slice(2))), shape));
  },
};
