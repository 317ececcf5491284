import { expect, it } from 'vitest';
import { DATA_TYPE, intAttribute, type OnnxModel } from '../../../src/core/onnx/model.js';
import { dequantizedBytes, KEEP_QUANTIZED } from '../../../src/core/runtime/memory.js';

it('counts quantized weights as float32 where a graph widens them', () => {
  const initializer = [
    { name: 'a', dims: [3, 5], dataType: DATA_TYPE.INT8 },
    { name: 'b', dims: [7], dataType: DATA_TYPE.UINT4 },
    { name: 'packed', dims: [100], dataType: DATA_TYPE.UINT8 },
    { name: 'float', dims: [100], dataType: DATA_TYPE.FLOAT },
  ];
  const node = [
    ...['a', 'b', 'float'].map((input) => ({
      opType: 'DequantizeLinear',
      input: [input, 's'],
      output: ['x'],
      attribute: [],
    })),
    { opType: 'MatMulNBits', input: ['x', 'packed'], output: ['y'] },
  ];
  expect(dequantizedBytes({ graph: { node, initializer } } as unknown as OnnxModel)).toBe(4 * (15 + 7));
});

it('does not count weights that stay as they are: blocks that kernels read, and all where the session says so', () => {
  const initializer = [{ name: 'a', dims: [64, 5], dataType: DATA_TYPE.INT4 }];
  const blocked = (axis: number) => ({
    opType: 'DequantizeLinear',
    input: ['a', 's'],
    output: ['x'],
    attribute: [intAttribute('axis', axis), intAttribute('block_size', 32)],
  });
  const modelOf = (node: object) => ({ graph: { node: [node], initializer } }) as unknown as OnnxModel;
  expect(dequantizedBytes(modelOf(blocked(0)))).toBe(0);
  expect(dequantizedBytes(modelOf(blocked(1)))).toBe(4 * 64 * 5);
  expect(dequantizedBytes(modelOf(blocked(1)), KEEP_QUANTIZED)).toBe(0);
});
