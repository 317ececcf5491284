import type { NodeProto } from '../../../onnx/model.js';
import { normalDomain } from '../../../onnx/operators.js';
import { CONVOLUTION } from './convolution.js';
import { ELEMENTWISE } from './elementwise.js';
import { INDEXING } from './indexing.js';
import { MATMUL } from './matmul.js';
import { NORMALIZATION } from './normalization.js';
import { type Operator, unsupportedNode } from './operator.js';
import { POOLING } from './pooling.js';
import { REDUCTION } from './reduction.js';
import { RESIZE } from './resize.js';
import { SHAPE } from './shape.js';

/** Standard operators that this engine runs, all of them with gradients where they are not of integers or steps. */
export const OPERATORS: ReadonlyMap<string, Operator> = new Map(
  [ELEMENTWISE, REDUCTION, MATMUL, NORMALIZATION, CONVOLUTION, POOLING, RESIZE, SHAPE, INDEXING].flatMap((group) =>
    Object.entries(group),
  ),
);

/** @throws HpsError ONNX_UNSUPPORTED naming the operator and the node */
export function operatorOf(node: NodeProto): Operator {
  const operator = normalDomain(node.domain) === '' ? OPERATORS.get(node.opType) : undefined;
  if (operator) return operator;
  throw unsupportedNode(node, 'this operator is not run by the engine tfjs');
}
