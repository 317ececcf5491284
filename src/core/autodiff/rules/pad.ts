import { stringOf } from '../../onnx/model.js';
import type { GradientRule } from '../rule.js';
import { fromFront } from './layout.js';

/** What was added is cut off again (and zeros stand where something was taken away). */
export const pad: GradientRule = {
  opTypes: ['Pad'],
  backward({ node, graph, gradient, wants, give, input, numbers, unsupported }) {
    const mode = stringOf(node, 'mode', 'constant');
    if (mode !== 'constant') unsupported(`mode ${mode}`);
    if (wants(2)) unsupported('the value it pads with must not be differentiated');
    const { shape } = input(0);
    const pads = numbers(1) ?? [];
    const axes = (numbers(3) ?? [...shape.keys()]).map((axis) => fromFront(axis, shape.length));
    const side = (from: number): number[] =>
      shape.map((_, axis) => (axes.includes(axis) ? -pads[from + axes.indexOf(axis)] : 0));
    give(0, graph.pad(gradient(), side(0), side(axes.length)));
  },
};
