import { expect, it } from 'vitest';
import { DATA_TYPE, type OnnxModel } from '../../../src/core/onnx/model.js';
import { dequantizedBytes } from '../../../src/core/runtime/memory.js';

it('counts quantized weights as float32 where a graph widens them', () => {
  const initializer = [
    { name: 'a', dims: [3, 5], dataType: DATA_TYPE.INT8 },
    { name: 'b', dims: [7], dataType: DATA_TYPE.UINT4 },
    { name: 'packed', dims: [100], dataType: DATA_TYPE.UINT8 },
    { name: 'float', dims: [100], dataType: DATA_TYPE.FLOAT },
  ];
  const node = [
    ...['a', 'b', 'float'].map((input) => ({ opType: 'DequantizeLinear', input: [input, 's'], output: ['x'] })),
    { opType: 'MatMulNBits', input: ['x', 'packed'], output: ['y'] },
  ];
  expect(dequantizedBytes({ graph: { node, initializer } } as unknown as OnnxModel)).toBe(4 * (15 + 7));
});
