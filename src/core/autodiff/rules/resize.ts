import { floatOf, intOf, intsOf, stringOf } from '../../onnx/model.js';
import { type AxisMap, collectAlong, selection } from '../axis-map.js';
import type { GradientContext, GradientRule } from '../rule.js';
import { fromFront } from './layout.js';

/** One axis that is resized. */
interface Resized {
  readonly from: number;
  readonly to: number;
  /** Of the axis: `to` over `from`, or what the node states. */
  readonly scale: number;
}

/** Interpolation is a linear map along each axis; the gradient goes back by the transpose of each. */
export const resize: GradientRule = {
  opTypes: ['Resize'],
  backward(context) {
    const { node, graph, gradient, wants, give, input, output, numbers, unsupported } = context;
    if (wants(1) || wants(2)) unsupported('its region and scales must not be differentiated');
    if (intOf(node, 'antialias', 0) !== 0) unsupported('antialiasing');
    const { shape } = input(0);
    const scales = numbers(2) ?? [];
    const axes = (intsOf(node, 'axes') ?? [...shape.keys()]).map((axis) => fromFront(axis, shape.length));
    let g = gradient();
    for (const [i, axis] of axes.entries()) {
      const [from, to] = [shape[axis], output().shape[axis]];
      const scale = scales[i] ?? to / from;
      if (from === to && scale === 1) continue;
      g = collectAlong(graph, g, axis, mapOf(context, { from, to, scale }), from);
    }
    give(0, g);
  },
};

function mapOf(context: GradientContext, axis: Resized): AxisMap {
  const { node, unsupported } = context;
  const places = Array.from({ length: axis.to }, (_, out) => sourceOf(context, out, axis));
  const mode = stringOf(node, 'mode', 'nearest');
  if (mode === 'nearest') {
    const round = ROUNDING[stringOf(node, 'nearest_mode', 'round_prefer_floor')] ?? unsupported('its rounding');
    return selection(places.map((place) => clamp(round(place), axis.from)));
  }
  if (mode === 'linear') return places.map((place) => linear(Math.min(Math.max(place, 0), axis.from - 1), axis.from));
  if (mode !== 'cubic' || intOf(node, 'exclude_outside', 0) !== 0) unsupported(`mode ${mode}`);
  return places.map((place) => cubic(place, axis.from, floatOf(node, 'cubic_coeff_a', -0.75)));
}

const clamp = (index: number, size: number): number => Math.min(Math.max(index, 0), size - 1);

/** Where in the input an element of the output lies (ONNX, Resize, coordinate_transformation_mode). */
function sourceOf({ node, unsupported }: GradientContext, out: number, { from, to, scale }: Resized): number {
  const mode = stringOf(node, 'coordinate_transformation_mode', 'half_pixel');
  switch (mode) {
    case 'half_pixel':
      return (out + 0.5) / scale - 0.5;
    case 'pytorch_half_pixel':
      return to > 1 ? (out + 0.5) / scale - 0.5 : 0;
    case 'asymmetric':
      return out / scale;
    case 'align_corners':
      return to > 1 ? (out * (from - 1)) / (to - 1) : 0;
    default:
      return unsupported(`coordinate_transformation_mode ${mode}`);
  }
}

const ROUNDING: Readonly<Record<string, (place: number) => number>> = {
  round_prefer_floor: (place) => Math.ceil(place - 0.5),
  round_prefer_ceil: (place) => Math.floor(place + 0.5),
  floor: Math.floor,
  ceil: Math.ceil,
};

function linear(place: number, size: number): AxisMap[number] {
  const low = Math.floor(place);
  const part = place - low;
  return [
    { index: low, weight: 1 - part },
    { index: clamp(low + 1, size), weight: part },
  ];
}

/** Keys' cubic convolution with coefficient a; the border is repeated. */
function cubic(place: number, size: number, a: number): AxisMap[number] {
  const low = Math.floor(place);
  const kernel = (distance: number): number => {
    const d = Math.abs(distance);
    return d <= 1 ? ((a + 2) * d - (a + 3)) * d * d + 1 : ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
  };
  return [-1, 0, 1, 2].map((step) => ({ index: clamp(low + step, size), weight: kernel(place - low - step) }));
}
