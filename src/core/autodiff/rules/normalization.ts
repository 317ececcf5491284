import { floatOf, intOf } from '../../onnx/model.js';
import type { Emitter } from '../emitter.js';
import type { GradientContext, GradientRule } from '../rule.js';
import type { Operand, TensorType } from '../types.js';
import { fromFront } from './layout.js';

const EPSILON = 1e-5; // ONNX's default for all norms

/**
 * With n = (x - mean) / deviation, y = n w + b and d = g w: dx = (d - mean(d) - n mean(d n)) / deviation. The statistics are
 * those that the forward node computes.
 */
export const layerNormalization: GradientRule = {
  opTypes: ['LayerNormalization'],
  backward({ node, graph, gradient, wants, give, input, hasInput }) {
    const wide = (value: Operand): Operand => graph.cast(value, 'F32'); // as the statistics are
    const x = input(0);
    const axis = fromFront(intOf(node, 'axis', -1), x.shape.length);
    const axes = [...x.shape.keys()].filter((each) => each >= axis);
    const reduced: TensorType = { dtype: 'F32', shape: x.shape.map((size, each) => (each < axis ? size : 1)) };
    const mean = graph.extraOutput(node, 1, reduced);
    const inverse = graph.extraOutput(node, 2, reduced);
    const g = wide(gradient());
    const normed = graph.mul(graph.sub(wide(x), mean), inverse);
    const back = (index: number, value: Operand): void => give(index, graph.cast(value, input(index).dtype));
    if (wants(0)) {
      const d = graph.mul(g, wide(input(1)));
      const slope = graph.reduce('ReduceMean', graph.mul(d, normed), axes, true);
      const offset = graph.reduce('ReduceMean', d, axes, true);
      back(0, graph.mul(graph.sub(graph.sub(d, offset), graph.mul(normed, slope)), inverse));
    }
    if (wants(1)) back(1, graph.sumTo(graph.mul(g, normed), input(1).shape));
    if (hasInput(2) && wants(2)) back(2, graph.sumTo(g, input(2).shape));
  },
};

/** A value of each channel, to be broadcast over x [batch, channels, …]. */
const perChannel = (graph: Emitter, value: Operand, rank: number): Operand =>
  graph.reshape(value, [value.shape[0], ...new Array<number>(rank - 2).fill(1)]);

/** All axes but that of the channels. */
const aroundChannels = (x: Operand): number[] => [...x.shape.keys()].filter((axis) => axis !== 1);

function refuseTraining({ node, unsupported }: GradientContext): void {
  if (intOf(node, 'training_mode', 0) !== 0)
    unsupported('its statistics are those of the batch; export in inference form');
}

/** By running statistics it is affine in x: y = (x - mean) w / s + b, with s = sqrt(variance + epsilon). */
export const batchNormalization: GradientRule = {
  opTypes: ['BatchNormalization'],
  backward(context) {
    const { node, graph, gradient, wants, give, input, unsupported } = context;
    refuseTraining(context);
    if (wants(3) || wants(4)) unsupported('its running statistics must not be differentiated');
    const [x, weight, mean, variance] = [input(0), input(1), input(3), input(4)];
    const deviation = graph.unary(
      'Sqrt',
      graph.add(variance, graph.scalar(floatOf(node, 'epsilon', EPSILON), variance.dtype)),
    );
    const g = gradient();
    if (wants(0)) give(0, graph.mul(g, perChannel(graph, graph.div(weight, deviation), x.shape.length)));
    if (!wants(1) && !wants(2)) return;
    const total = graph.reduce('ReduceSum', g, aroundChannels(x), false);
    if (wants(1)) {
      const product = graph.reduce('ReduceSum', graph.mul(g, x), aroundChannels(x), false);
      give(1, graph.div(graph.sub(product, graph.mul(mean, total)), deviation));
    }
    if (wants(2)) give(2, total);
  },
};

/** A norm over the positions of each channel of each item. */
export const instanceNormalization: GradientRule = {
  opTypes: ['InstanceNormalization'],
  backward({ node, graph, gradient, wants, give, input }) {
    const [x, g] = [input(0), gradient()];
    const axes = [...x.shape.keys()].slice(2);
    const weight = perChannel(graph, input(1), x.shape.length);
    const centred = graph.sub(x, graph.reduce('ReduceMean', x, axes, true));
    const variance = graph.reduce('ReduceMean', graph.mul(centred, centred), axes, true);
    const deviation = graph.unary(
      'Sqrt',
      graph.add(variance, graph.scalar(floatOf(node, 'epsilon', EPSILON), x.dtype)),
    );
    const normed = graph.div(centred, deviation);
    if (wants(0)) {
      const d = graph.mul(g, weight);
      const slope = graph.reduce('ReduceMean', graph.mul(d, normed), axes, true);
      const offset = graph.reduce('ReduceMean', d, axes, true);
      give(0, graph.div(graph.sub(graph.sub(d, offset), graph.mul(normed, slope)), deviation));
    }
    if (wants(1)) give(1, graph.reduce('ReduceSum', graph.mul(g, normed), aroundChannels(x), false));
    if (wants(2)) give(2, graph.reduce('ReduceSum', g, aroundChannels(x), false));
  },
};
