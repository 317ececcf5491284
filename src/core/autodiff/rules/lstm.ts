import { intAttribute, intOf, stringOf } from '../../onnx/model.js';
import type { Emitter } from '../emitter.js';
import type { GradientRule } from '../rule.js';
import type { Operand } from '../types.js';

/** Of one direction, in the order it reads: X [T, B, I], W [4 H, I], R [4 H, H], biases [8 H] or null, states Y and their gradients [T, B, H]. */
interface Direction {
  readonly x: Operand;
  readonly w: Operand;
  readonly r: Operand;
  readonly biases: Operand | null;
  readonly y: Operand;
  readonly gradient: Operand;
}

/** Of the input of the gates before their activation, [T, B, 4 H], with what they were computed from. */
interface GateGradient {
  readonly gates: Operand;
  readonly before: Operand;
}

const OPTIONAL_INPUTS = ['', '', '', '', 'sequence lengths', 'an initial state', 'an initial cell', 'peepholes'];
const FORMS = ['activations', 'activation_alpha', 'activation_beta', 'clip', 'layout'];

/**
 * Y of an LSTM with zero initial states: i, o, f = sigmoid and c~ = tanh of W x + R h + b; c = f c + i c~; h = o tanh(c). States are
 * the outputs, so that gates are computed again for all steps at once; only the cells and the way back take one step after another.
 */
export const lstm: GradientRule = {
  opTypes: ['LSTM'],
  backward({ node, graph, input, hasInput, output, gradient, hasGradient, wants, give, unsupported }) {
    for (const [i, what] of OPTIONAL_INPUTS.entries()) if (what !== '' && hasInput(i)) unsupported(`it has ${what}`);
    for (const name of FORMS) if (node.attribute.some((each) => each.name === name)) unsupported(`it sets ${name}`);
    if (intOf(node, 'input_forget', 0) !== 0) unsupported('its input and forget gates are coupled');
    if ([1, 2].some((i) => hasGradient(i))) unsupported('its last state or cell is read');
    const direction = stringOf(node, 'direction', 'forward');
    const [x, w, r] = [input(0), input(1), input(2)];
    const [directions, fourHidden] = w.shape;
    const hidden = fourHidden / 4;
    const along = (index: number): boolean => direction === 'reverse' || index === 1;
    const partOf = (value: Operand, axis: number, index: number): Operand => {
      const part = graph.slice(value, [axis], [index], [index + 1]);
      return graph.reshape(
        part,
        part.shape.filter((_, i) => i !== axis),
      );
    };
    const read: Direction[] = Array.from({ length: directions }, (_, index) => {
      const turned = (value: Operand): Operand => (along(index) ? graph.reverse(value, [0]) : value);
      return {
        x: turned(x),
        w: partOf(w, 0, index),
        r: partOf(r, 0, index),
        biases: hasInput(3) ? partOf(input(3), 0, index) : null,
        y: turned(partOf(output(), 1, index)),
        gradient: turned(partOf(gradient(), 1, index)),
      };
    });
    const back = read.map((each) => gateGradient(graph, each, hidden));
    const rows = x.shape[0] * x.shape[1];
    const flat = (value: Operand): Operand => graph.reshape(value, [rows, value.shape[2]]);
    const stacked = (parts: readonly Operand[]): Operand =>
      graph.concat(
        parts.map((part) => graph.reshape(part, [1, ...part.shape])),
        0,
      );
    if (wants(0)) {
      const parts = back.map(({ gates }, index) => {
        const product = graph.matmul(gates, read[index].w);
        return along(index) ? graph.reverse(product, [0]) : product;
      });
      give(0, graph.sum(parts));
    }
    if (wants(1))
      give(1, stacked(back.map(({ gates }, i) => graph.gemm(flat(gates), flat(read[i].x), { transA: true }))));
    if (wants(2))
      give(2, stacked(back.map(({ gates, before }) => graph.gemm(flat(gates), flat(before), { transA: true }))));
    if (hasInput(3) && wants(3)) {
      const sums = back.map(({ gates }) => graph.sumTo(gates, [fourHidden]));
      give(3, stacked(sums.map((sum) => graph.concat([sum, sum], 0)))); // of W and of R
    }
  },
};

function gateGradient(graph: Emitter, { x, w, r, biases, y, gradient }: Direction, hidden: number): GateGradient {
  const [steps, batch] = x.shape;
  const state = { dtype: x.dtype, shape: [1, batch, hidden] };
  const zero = graph.zeros(state);
  const before = steps === 1 ? zero : graph.concat([zero, graph.slice(y, [0], [0], [steps - 1])], 0);
  const products = graph.add(graph.matmul(x, graph.transposed(w)), graph.matmul(before, graph.transposed(r)));
  const bias = biases && graph.sumTo(graph.reshape(biases, [2, 4 * hidden]), [4 * hidden]);
  const [zi, zo, zf, zc] = split(graph, bias ? graph.add(products, bias) : products, 2, 4);
  const [i, o, f] = [zi, zo, zf].map((z) => graph.unary('Sigmoid', z));
  const candidate = graph.unary('Tanh', zc);

  const [kept, added] = [split(graph, f, 0, steps), split(graph, graph.mul(i, candidate), 0, steps)];
  const cells: Operand[] = [];
  for (let t = 0; t < steps; t++)
    cells.push(t === 0 ? added[0] : graph.add(graph.mul(kept[t], cells[t - 1]), added[t]));
  const cell = graph.concat(cells, 0);
  const cellBefore = steps === 1 ? zero : graph.concat([zero, ...cells.slice(0, -1)], 0);

  // What each gate's input has of the gradient of the state, and of the cell.
  const one = graph.scalar(1, x.dtype);
  const less = (value: Operand): Operand => graph.sub(one, value);
  const ofSigmoid = (value: Operand): Operand => graph.mul(value, less(value));
  const ofTanh = (value: Operand): Operand => less(graph.mul(value, value));
  const bounded = graph.unary('Tanh', cell);
  const factors = {
    o: graph.mul(bounded, ofSigmoid(o)),
    cell: graph.mul(o, ofTanh(bounded)),
    i: graph.mul(candidate, ofSigmoid(i)),
    f: graph.mul(cellBefore, ofSigmoid(f)),
    candidate: graph.mul(i, ofTanh(candidate)),
  };
  const at = Object.fromEntries(
    Object.entries(factors).map(([name, value]) => [name, split(graph, value, 0, steps)]),
  ) as Record<keyof typeof factors, Operand[]>;
  const given = split(graph, gradient, 0, steps);
  const gates: Operand[] = new Array<Operand>(steps);
  let [ofState, ofCell]: (Operand | null)[] = [null, null]; // from the step that comes after
  for (let t = steps - 1; t >= 0; t--) {
    const dh: Operand = ofState ? graph.add(given[t], ofState) : given[t];
    const through: Operand = graph.mul(dh, at.cell[t]);
    const dc: Operand = ofCell ? graph.add(through, ofCell) : through;
    const parts = [graph.mul(dh, at.o[t]), ...[at.i, at.f, at.candidate].map((factor) => graph.mul(dc, factor[t]))];
    const [dzo, dzi, dzf, dzc] = parts;
    gates[t] = graph.concat([dzi, dzo, dzf, dzc], 2);
    if (t === 0) break;
    ofState = graph.matmul(gates[t], r);
    ofCell = graph.mul(dc, kept[t]);
  }
  return { gates: graph.concat(gates, 0), before };
}

/** Equal parts along an axis, which stays. */
function split(graph: Emitter, x: Operand, axis: number, parts: number): Operand[] {
  if (parts === 1) return [x];
  const size = x.shape[axis] / parts;
  const type = { dtype: x.dtype, shape: x.shape.map((dim, i) => (i === axis ? size : dim)) };
  const sizes = graph.ints(new Array<number>(parts).fill(size));
  return graph.nodeOf('Split', [x, sizes], new Array(parts).fill(type), [intAttribute('axis', axis)]);
}
