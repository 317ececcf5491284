import { describe, expect, it } from 'vitest';
import { Random } from '../../../../src/core/bytes/random.js';
import { DATA_TYPE, type NodeProto, type OnnxModel, type TensorProto } from '../../../../src/core/onnx/model.js';
import { chunksOf } from '../../../../src/core/onnx/weight.js';
import { channelLayout } from '../../../../src/core/quantization/channel-layout.js';
import { pairwiseScales, quantizedWeight } from '../../../../src/core/quantization/kernels/int8-weight.js';
import { channelMagnitudes } from '../../../../src/core/quantization/kernels/magnitudes.js';
import { floats as floatTensorOf, scalarFloat, scalarU8, zeros8 } from '../../../../src/core/quantization/tensors.js';
import type { TensorValue } from '../../../../src/core/runtime/value.js';
import { bytesOf } from '../../../../src/core/tensor/values.js';
import { floats, floatTensor, runModel } from '../../../helpers/graphs.js';
import { tempFolder } from '../../../helpers/temp.js';

const random = new Random('saturation');

/** int8 weights by the scales of integer kernels. Many are large: the sums of any two, wherever they stand, would not fit. */
async function weights(shape: readonly number[], axis: number): Promise<Int8Array> {
  const count = shape.reduce((a, b) => a * b, 1);
  const tensor = floatTensor(
    'w',
    shape,
    Float32Array.from({ length: count }, () => random.normal() ** 3),
  );
  const layout = channelLayout(shape, axis);
  const scales = pairwiseScales((await channelMagnitudes(tensor, layout))!);
  const parts: Buffer[] = [];
  for await (const chunk of chunksOf(quantizedWeight('w', tensor, layout, scales).rawData!))
    parts.push(Buffer.from(chunk));
  return new Int8Array(Buffer.concat(parts));
}

/** Activations of 0 and 255 alone: what makes sums largest. */
const extremes = (shape: readonly number[]): TensorValue => ({
  dtype: 'U8',
  shape,
  data: Uint8Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => (random.uniform(0, 1) < 0.8 ? 255 : 0)),
});

function modelOf(node: Omit<NodeProto, 'name'>, output: number, initializer: TensorProto[]): OnnxModel {
  const value = (name: string, elemType: number) => ({ name, type: { tensorType: { elemType } } });
  return {
    irVersion: 8,
    opsetImport: [{ domain: '', version: 14 }],
    metadataProps: [],
    functions: [],
    graph: {
      name: 'g',
      node: [{ ...node, name: 'n' }],
      initializer,
      input: [value('x', DATA_TYPE.UINT8)],
      output: [value('y', output)],
      valueInfo: [],
    },
  } as unknown as OnnxModel;
}

const int8 = (shape: readonly number[], values: Int8Array): TensorProto => ({
  name: 'w',
  dims: [...shape],
  dataType: DATA_TYPE.INT8,
  rawData: bytesOf(values),
});

// On processors without VNNI these fail with the scales of `symmetricScales`.
describe('sums of integer kernels over weights of pairwise scales', () => {
  it.each([
    [1, 64, 16],
    [5, 33, 7],
    [9, 130, 40],
  ])('are exact in a MatMulInteger of [%i, %i] by %i columns', async (rows, inner, columns) => {
    const w = await weights([inner, columns], 1);
    const x = extremes([rows, inner]);
    const node = { opType: 'MatMulInteger', input: ['x', 'w'], output: ['y'], attribute: [] };
    const model = modelOf(node, DATA_TYPE.INT32, [int8([inner, columns], w)]);
    const { data } = (await runModel(model, tempFolder(), new Map([['x', x]]))).get('y')!;
    const expected = Array.from({ length: rows * columns }, (_, i) => {
      let sum = 0;
      for (let k = 0; k < inner; k++)
        sum += Number(x.data[Math.floor(i / columns) * inner + k]) * w[k * columns + (i % columns)];
      return sum;
    });
    expect(Array.from(data, Number)).toEqual(expected);
  });

  it.each([
    [3, 3],
    [4, 3],
    [5, 1],
    [16, 1],
    [8, 2],
  ])('are those of 32 bits in a QLinearConv of %i inputs and kernels of %i', async (inputs, kernel) => {
    const [outputs, size] = [8, kernel + 3];
    const shape = [outputs, inputs, kernel, kernel];
    const w = await weights(shape, 0);
    const x = extremes([1, inputs, size, size]);
    const at = (o: number, i: number, j: number): number => {
      let sum = 0;
      for (let c = 0; c < inputs; c++)
        for (let a = 0; a < kernel; a++)
          for (let b = 0; b < kernel; b++)
            sum += Number(x.data[(c * size + i + a) * size + j + b]) * w[((o * inputs + c) * kernel + a) * kernel + b];
      return sum;
    };
    const side = size - kernel + 1;
    const sums = Array.from({ length: outputs * side * side }, (_, n) =>
      at(Math.floor(n / (side * side)), Math.floor(n / side) % side, n % side),
    );
    const scale = Math.max(...sums.map(Math.abs)) / 127;
    const model = modelOf(
      {
        opType: 'QLinearConv',
        input: ['x', 'one', 'zero', 'w', 'ones', 'zeros', 'scale', 'middle'],
        output: ['y'],
        attribute: [],
      },
      DATA_TYPE.UINT8,
      [
        int8(shape, w),
        scalarFloat('one', 1),
        scalarU8('zero', 0),
        floatTensorOf('ones', [outputs], new Float32Array(outputs).fill(1)),
        zeros8('zeros', [outputs], outputs),
        scalarFloat('scale', scale),
        scalarU8('middle', 128),
      ],
    );
    const result = floats(await runModel(model, tempFolder(), new Map([['x', x]])), 'y');
    for (const [n, sum] of sums.entries()) expect(Math.abs(result[n] - 128 - sum / scale)).toBeLessThan(0.51);
  });
});
