import type { Dim, Value } from './graph-core.js';
import { broadcast, GraphOps } from './graph-ops.js';
import { intAttribute } from './model.js';

/** Operators over places: comparing, choosing, slicing and gathering, and the positions they work on. */
export class GraphIndexOps extends GraphOps {
  equal = (a: Value, b: Value): Value => this.binary('Equal', a, b, 'BOOL');
  lessOrEqual = (a: Value, b: Value): Value => this.binary('LessOrEqual', a, b, 'BOOL');
  less = (a: Value, b: Value): Value => this.binary('Less', a, b, 'BOOL');
  and = (a: Value, b: Value): Value => this.binary('And', a, b);
  not = (x: Value): Value => this.unary('Not', x);

  /** `a` where the condition holds, `b` elsewhere. */
  where(condition: Value, a: Value, b: Value): Value {
    const shape = broadcast(condition.shape, broadcast(a.shape, b.shape));
    return this.node('Where', [condition, a, b], [{ dtype: a.dtype, shape }])[0];
  }

  /** Place of the largest value along an axis, the first of equals; int64, without that axis. */
  argMax(x: Value, axis: number): Value {
    const shape = x.shape.filter((_, i) => i !== axis);
    const attributes = [intAttribute('axis', axis), intAttribute('keepdims', 0)];
    return this.node('ArgMax', [x], [{ dtype: 'I64', shape }], { attributes })[0];
  }

  /** Sums of the values up to each place of an axis. */
  cumSum = (x: Value, axis: number): Value => this.node('CumSum', [x, this.scalar(axis, 'I64')], [x])[0];

  /** 0, 1, 2 … as many as `like` has along `axis`: int64 [size]. */
  positionsOf(like: Value, axis: number): Value {
    const size = like.shape[axis];
    return this.countTo(
      typeof size === 'number' ? this.scalar(size, 'I64') : this.squeeze(this.sizeOf(like, axis), 0),
      size,
    );
  }

  /** 0, 1, 2 … below the int64 scalar `end`, which the symbol `size` stands for. */
  countTo(end: Value, size: Dim): Value {
    const [start, step] = [this.scalar(0, 'I64'), this.scalar(1, 'I64')];
    return this.node('Range', [start, end, step], [{ dtype: 'I64', shape: [size] }])[0];
  }

  /** Places `from` up to `to` of an axis. */
  slice(x: Value, axis: number, from: number, to: number): Value {
    const shape = x.shape.map((size, i): Dim => (i === axis ? to - from : size));
    const inputs = [x, this.ints([from]), this.ints([to]), this.ints([axis])];
    return this.node('Slice', inputs, [{ dtype: x.dtype, shape }])[0];
  }

  /** Rows of [batch, tokens] moved to the left by some places; what is behind the last token is that token. */
  movedLeft(x: Value, places: number): Value {
    const last = this.sub(this.squeeze(this.sizeOf(x, 1), 0), this.scalar(1, 'I64'));
    const from = this.min(this.add(this.positionsOf(x, 1), this.scalar(places, 'I64')), last);
    return this.node('Gather', [x, from], [x], { attributes: [intAttribute('axis', 1)] })[0];
  }

  /** What lies at one place of an axis, without that axis; -1 is the last. */
  at(x: Value, axis: number, index: number): Value {
    const shape = x.shape.filter((_, i) => i !== axis);
    const attributes = [intAttribute('axis', axis)];
    return this.node('Gather', [x, this.scalar(index, 'I64')], [{ dtype: x.dtype, shape }], { attributes })[0];
  }

  /** The token of each row at its own place: x [batch, tokens, width], places int64 [batch] -> [batch, width]. */
  tokenAt(x: Value, places: Value): Value {
    const [batch, , width] = x.shape;
    const column = this.unsqueeze(places, [1, 2]);
    const shape = [batch, 1, width];
    const [index] = this.node('Expand', [column, this.ints([1, 1, width as number])], [{ dtype: 'I64', shape }]);
    const attributes = [intAttribute('axis', 1)];
    return this.squeeze(this.node('GatherElements', [x, index], [{ dtype: x.dtype, shape }], { attributes })[0], 1);
  }

  /** Values of `x` along its last axis (`axis`), each row of [batch, heads, rows] by its own indices int64 [rows, places]. */
  gatherAlong(x: Value, indices: Value, axis: number): Value {
    const [batch, heads] = x.shape;
    const shape = [batch, heads, ...indices.shape];
    const target = this.concat(
      [this.sizeOf(x, 0), this.ints([heads as number]), this.sizeOf(indices, 0), this.sizeOf(indices, 1)],
      0,
    );
    const [each] = this.node('Expand', [indices, target], [{ dtype: 'I64', shape }]);
    return this.node('GatherElements', [x, each], [{ dtype: x.dtype, shape }], {
      attributes: [intAttribute('axis', axis)],
    })[0];
  }

  /** `x`, whose first axis is 1, once for each row of `like`. */
  repeatRows(x: Value, like: Value): Value {
    const target = this.concat([this.sizeOf(like, 0), this.ints(x.shape.slice(1) as number[])], 0);
    return this.node('Expand', [x, target], [{ dtype: x.dtype, shape: [like.shape[0], ...x.shape.slice(1)] }])[0];
  }

  /** One row [1, width] beside every token of `like` [batch, tokens, …]: [batch, tokens, width]. */
  repeatTokens(row: Value, like: Value): Value {
    const [batch, tokens] = like.shape;
    const width = row.shape[1] as number;
    const target = this.concat([this.sizeOf(like, 0), this.sizeOf(like, 1), this.ints([width])], 0);
    return this.node('Expand', [row, target], [{ dtype: row.dtype, shape: [batch, tokens, width] }])[0];
  }
}
