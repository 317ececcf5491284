import { DATA_TYPE, type OnnxModel } from '../onnx/model.js';
import { withTemporaryModel } from '../onnx/temporary-model.js';
import type { ModelProcess } from './child.js';

const [ROWS, DEPTH, COLUMNS] = [4, 32, 16];
const LARGEST = { activation: 255, weight: 127 };

/**
 * Whether integer kernels here cut sums off: x86 processors without VNNI add two products of 8 bits in 16, where
 * 255 * 127 + 255 * 127 does not fit. It is tried, since only the runtime knows which of its kernels it takes.
 */
export function sumsAreCutOff(process: Pick<ModelProcess, 'load'>): Promise<boolean> {
  return withTemporaryModel(
    LARGEST_SUMS,
    async (path) => {
      const session = await process.load(path);
      const data = new Uint8Array(ROWS * DEPTH).fill(LARGEST.activation);
      const outputs = await session.run(new Map([['x', { dtype: 'U8', shape: [ROWS, DEPTH], data }]]));
      await session.release();
      const sums = outputs.get('y')!.data as Int32Array;
      return sums.some((sum) => sum !== DEPTH * LARGEST.activation * LARGEST.weight);
    },
    'sums.onnx',
  );
}

/** A product whose every sum is as large as it can be. */
const LARGEST_SUMS: OnnxModel = {
  irVersion: 8,
  opsetImport: [{ domain: '', version: 14 }],
  metadataProps: [],
  functions: [],
  graph: {
    name: 'sums',
    node: [
      {
        opType: 'MatMulInteger',
        name: 'sums',
        input: ['x', 'w'],
        output: ['y'],
        attribute: [],
      },
    ],
    initializer: [
      {
        name: 'w',
        dims: [DEPTH, COLUMNS],
        dataType: DATA_TYPE.INT8,
        rawData: new Uint8Array(DEPTH * COLUMNS).fill(LARGEST.weight),
      },
    ],
    input: [{ name: 'x', type: { tensorType: { elemType: DATA_TYPE.UINT8 } } }],
    output: [{ name: 'y', type: { tensorType: { elemType: DATA_TYPE.INT32 } } }],
    valueInfo: [],
  },
};
