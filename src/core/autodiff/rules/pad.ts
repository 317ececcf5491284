import { stringOf } from '../../onnx/model.js';
import { collectAlong, selection } from '../axis-map.js';
import type { GradientRule } from '../rule.js';
import { fromFront } from './layout.js';

/** Element of an axis of `size` that stands at a place before or after it. */
const REFLECTIONS: Readonly<Record<string, (place: number, size: number) => number>> = {
  edge: (place, size) => Math.min(Math.max(place, 0), size - 1),
  reflect: (place, size) => (place < 0 ? -place : place >= size ? 2 * (size - 1) - place : place),
  wrap: (place, size) => ((place % size) + size) % size,
};

/** What was added is cut off again (and zeros stand where something was taken away), or goes back to what it repeats. */
export const pad: GradientRule = {
  opTypes: ['Pad'],
  backward({ node, graph, gradient, wants, give, input, numbers, unsupported }) {
    if (wants(2)) unsupported('the value it pads with must not be differentiated');
    const { shape } = input(0);
    const pads = numbers(1) ?? [];
    const axes = (numbers(3) ?? [...shape.keys()]).map((axis) => fromFront(axis, shape.length));
    const mode = stringOf(node, 'mode', 'constant');
    if (mode === 'constant') {
      const side = (from: number): number[] =>
        shape.map((_, axis) => (axes.includes(axis) ? -pads[from + axes.indexOf(axis)] : 0));
      give(0, graph.pad(gradient(), side(0), side(axes.length)));
      return;
    }
    const source = REFLECTIONS[mode] ?? unsupported(`mode ${mode}`);
    let g = gradient();
    for (const [i, axis] of axes.entries()) {
      const places = Array.from({ length: g.shape[axis] }, (_, out) => source(out - pads[i], shape[axis]));
      g = collectAlong(graph, g, axis, selection(places), shape[axis]);
    }
    give(0, g);
  },
};
