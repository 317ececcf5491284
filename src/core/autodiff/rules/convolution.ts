import { type AttributeProto, intAttribute, intsAttribute } from '../../onnx/model.js';
import { numel } from '../../tensor/shape.js';
import type { Emitter } from '../emitter.js';
import type { GradientContext, GradientRule } from '../rule.js';
import type { Operand } from '../types.js';
import { groupOf, padsOf, type Window, windowOf } from '../window.js';

/** Filters of more taps (a spectrum as a convolution) are differentiated by one convolution instead of a product for each tap. */
const MOST_TAPS = 64;

/** Columns that taps are put together to for one product: with fewer the product is slow, with more the copy costs (measured). */
const PRODUCT_COLUMNS = 64;

/** Mirroring a filter element costs as much as ConvTranspose spends beyond its product on so many positions (measured on the CPU). */
const MIRROR_COST = 5;

/** y = conv(x, w) + b over one, two or three spatial axes, with groups. */
export const convolution: GradientRule = {
  opTypes: ['Conv'],
  backward(context) {
    const { graph, gradient, wants, give, input, output, hasInput } = context;
    const [x, weight] = [input(0), input(1)];
    const window = windowOf(context, weight.shape.slice(2), x.shape.slice(2), output().shape.slice(2));
    const conv = { window, groups: groupOf(context) };
    const g = gradient();
    if (wants(0)) give(0, inputGradient(graph, g, weight, x.shape, conv));
    if (wants(1)) give(1, filterGradient(graph, x, g, weight.shape, conv));
    if (hasInput(2) && wants(2)) give(2, biasGradient(graph, g));
  },
};

/** The transpose of a convolution: its gradients are a convolution, and the filter gradient with the sides exchanged. */
export const convTranspose: GradientRule = {
  opTypes: ['ConvTranspose'],
  backward(context) {
    const { graph, gradient, wants, give, input, output, hasInput } = context;
    const [x, weight] = [input(0), input(1)];
    const kernel = weight.shape.slice(2);
    const conv = { window: transposedWindow(context, kernel, x, output()), groups: groupOf(context) };
    const g = gradient();
    if (wants(0)) give(0, graph.node('Conv', [g, weight], x, attributesOf(conv)));
    if (wants(1)) give(1, filterGradient(graph, g, x, weight.shape, conv));
    if (hasInput(2) && wants(2)) give(2, biasGradient(graph, g));
  },
};

interface Convolution {
  readonly window: Window;
  readonly groups: number;
}

/** The window of the convolution from y back to x; padding follows from the sizes where the node does not state it. */
function transposedWindow(context: GradientContext, kernel: readonly number[], x: Operand, y: Operand): Window {
  const window = windowOf(context, kernel, y.shape.slice(2), x.shape.slice(2));
  // A stated output_shape or output_padding moves the end of y; what the convolution must read is what x came from.
  const after = kernel.map((size, i) => {
    const covered = (x.shape[i + 2] - 1) * window.strides[i] + window.dilations[i] * (size - 1) + 1;
    return covered - window.before[i] - y.shape[i + 2];
  });
  return { ...window, after };
}

const attributesOf = ({ window, groups }: Convolution): AttributeProto[] => [
  intsAttribute('strides', window.strides),
  intsAttribute('dilations', window.dilations),
  intsAttribute('pads', padsOf(window)),
  ...(groups > 1 ? [intAttribute('group', groups)] : []),
];

const biasGradient = (graph: Emitter, g: Operand): Operand =>
  graph.reduce(
    'ReduceSum',
    g,
    [...g.shape.keys()].filter((axis) => axis !== 1),
    false,
  );

const isPointwise = ({ window }: Convolution): boolean =>
  window.kernel.every((size) => size === 1) && padsOf(window).every((pad) => pad === 0);

/**
 * dx of a convolution, by the form that is fastest in onnxruntime: a product where the filter is one tap; where nothing is strided
 * and positions outnumber channels, or the filter never changes, a convolution with the mirrored filter, all of which runs in
 * parallel; else ConvTranspose, which needs no mirrored copy and, unlike zeros put between the gradients, multiplies nothing in vain.
 */
function inputGradient(
  graph: Emitter,
  g: Operand,
  weight: Operand,
  shape: readonly number[],
  conv: Convolution,
): Operand {
  const { window, groups } = conv;
  const { kernel, strides, dilations, before, after } = window;
  const isUnstrided = strides.every((stride) => stride === 1);
  if (groups === 1 && isUnstrided && isPointwise(conv)) {
    const turned = graph.transpose(graph.reshape(weight, weight.shape.slice(0, 2)), [1, 0]);
    const columns = graph.reshape(g, [...g.shape.slice(0, 2), numel(g.shape.slice(2))]);
    return graph.reshape(graph.matmul(turned, columns), shape);
  }
  const reach = kernel.map((size, i) => dilations[i] * (size - 1));
  const mirrored = {
    ...window,
    before: reach.map((size, i) => size - before[i]),
    after: reach.map((size, i) => size - after[i]),
  };
  const positions = shape[0] * numel(g.shape.slice(2));
  const isDense = isUnstrided && padsOf(mirrored).every((pad) => pad >= 0);
  if (isDense && (graph.isFixed(weight) || positions > MIRROR_COST * weight.shape[0])) {
    const result = { dtype: g.dtype, shape };
    return graph.node('Conv', [g, mirror(graph, weight, groups)], result, attributesOf({ ...conv, window: mirrored }));
  }
  const padding = kernel.map(
    (_, i) => shape[i + 2] - ((g.shape[i + 2] - 1) * strides[i] + reach[i] + 1 - before[i] - after[i]),
  );
  return graph.node('ConvTranspose', [g, weight], { dtype: g.dtype, shape }, [
    ...attributesOf(conv),
    ...(padding.some((size) => size > 0) ? [intsAttribute('output_padding', padding)] : []),
  ]);
}

/** A filter [O, C / groups, …] turned around and with its channels exchanged: [C, O / groups, …]. */
function mirror(graph: Emitter, weight: Operand, groups: number): Operand {
  const [outputs, inputs, ...kernel] = weight.shape;
  const turned = graph.reverse(
    weight,
    kernel.map((_, i) => i + 2),
  );
  const grouped = graph.reshape(turned, [groups, outputs / groups, inputs, ...kernel]);
  const exchanged = graph.transpose(grouped, [0, 2, 1, ...kernel.map((_, i) => i + 3)]);
  return graph.reshape(exchanged, [groups * inputs, outputs / groups, ...kernel]);
}

/**
 * dw of a convolution, [O, C / groups, …]: the product of the gradient with the parts of x that each tap of the filter moved
 * over, as matrices over batch and positions. That is faster than a convolution with exchanged axes.
 */
function filterGradient(graph: Emitter, x: Operand, g: Operand, shape: readonly number[], conv: Convolution): Operand {
  const { window, groups } = conv;
  const { kernel } = window;
  const [, channels] = x.shape;
  const [, outputs, ...places] = g.shape;
  const spatial = kernel.map((_, i) => i + 2);
  // Channels in front: [C, batch, …].
  const byChannel = (value: Operand): Operand => graph.transpose(value, [1, 0, ...spatial]);
  if (numel(kernel) > MOST_TAPS && groups === 1)
    return longFilterGradient(graph, byChannel(x), byChannel(g), shape, window);

  const width = channels / groups;
  const columns = x.shape[0] * numel(places);
  const gradient = graph.reshape(byChannel(g), [groups, outputs / groups, columns]);
  const tapAt = tapReader(graph, byChannel(x), places, window);
  const seen = tapsOf(kernel).map((tap) => graph.reshape(tapAt(tap), [groups, width, columns]));
  const products = chunksOf(seen, Math.max(1, Math.floor(PRODUCT_COLUMNS / width))).map((taps) =>
    product(graph, gradient, graph.concat(taps, 1)),
  );
  const joined = graph.reshape(graph.concat(products, 2), [groups, outputs / groups, numel(kernel), width]);
  return graph.reshape(graph.transpose(joined, [0, 1, 3, 2]), shape);
}

/**
 * What a tap moves over, [C, batch, …places], of x [C, batch, …]. Where x is read in strides, every stride-th element is brought
 * together once: taps then read whole rows.
 */
function tapReader(
  graph: Emitter,
  x: Operand,
  places: readonly number[],
  { kernel, strides, dilations, before, after }: Window,
): (tap: readonly number[]) => Operand {
  const spatial = kernel.map((_, i) => i + 2);
  const padded = graph.pad(x, [0, 0, ...before], [0, 0, ...after]);
  const phases = new Map<string, Operand>();
  const phaseAt = (starts: readonly number[]): Operand => {
    const known = phases.get(starts.join());
    if (known) return known;
    const ends = starts.map((_, i) => padded.shape[i + 2]);
    const phase = graph.slice(padded, spatial, starts, ends, strides);
    phases.set(starts.join(), phase);
    return phase;
  };
  return (tap) => {
    const starts = tap.map((at, i) => at * dilations[i]);
    const phase = phaseAt(starts.map((start, i) => start % strides[i]));
    const first = starts.map((start, i) => Math.floor(start / strides[i]));
    return graph.slice(
      phase,
      spatial,
      first,
      first.map((start, i) => start + places[i]),
    );
  };
}

function chunksOf<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size));
}

/** a b^T for each group: [groups, m, k] and [groups, n, k] to [groups, m, n]. */
function product(graph: Emitter, a: Operand, b: Operand): Operand {
  const [groups, m] = a.shape;
  if (groups > 1) return graph.matmul(a, graph.transposed(b));
  const matrix = (x: Operand): Operand => graph.reshape(x, x.shape.slice(1));
  return graph.reshape(graph.gemm(matrix(a), matrix(b), { transB: true }), [1, m, b.shape[1]]);
}

/** Every position in a kernel, last axis fastest. */
function tapsOf(kernel: readonly number[]): number[][] {
  return kernel.reduce<number[][]>(
    (taps, size) => taps.flatMap((tap) => Array.from({ length: size }, (_, at) => [...tap, at])),
    [[]],
  );
}

/** The same with x [C, batch, …] convolved by the gradient [O, batch, …]: strides and dilations exchange their roles. */
function longFilterGradient(graph: Emitter, x: Operand, g: Operand, shape: readonly number[], window: Window): Operand {
  const { kernel, strides, dilations, before, after } = window;
  const whole = kernel.map(
    (_, i) =>
      Math.floor((x.shape[i + 2] + before[i] + after[i] - strides[i] * (g.shape[i + 2] - 1) - 1) / dilations[i]) + 1,
  );
  const result = { dtype: x.dtype, shape: [x.shape[0], g.shape[0], ...whole] };
  const correlated = graph.node(
    'Conv',
    [x, g],
    result,
    attributesOf({ groups: 1, window: { ...window, strides: dilations, dilations: strides } }),
  );
  const spatial = kernel.map((_, i) => i + 2);
  const cut = graph.slice(
    correlated,
    spatial,
    spatial.map(() => 0),
    [...kernel],
  );
  return graph.reshape(graph.transpose(cut, [1, 0, ...spatial]), shape);
}
