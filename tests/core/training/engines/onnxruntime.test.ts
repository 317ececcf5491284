import { expect, it } from 'vitest';
import type { OnnxModel, ValueInfoProto } from '../../../../src/core/onnx/model.js';
import { float32Value } from '../../../../src/core/runtime/value.js';
import { bytesOf } from '../../../../src/core/tensor/values.js';
import { onnxruntimeEngine } from '../../../../src/core/training/engines/onnxruntime.js';

const [ROWS, WIDTH, READS] = [16, 128, 4096];
const READ_ROWS = 7;

const input = (name: string, shape: readonly number[]): ValueInfoProto => ({
  name,
  type: { tensorType: { elemType: 1, shape: { dim: shape.map((dimValue) => ({ dimValue })) } } },
});

/** The sum of `times` times the rows of `table` that are read, the first seven by turns. */
function reading(): OnnxModel {
  const rows = BigInt64Array.from({ length: READS }, (_, i) => BigInt(i % READ_ROWS));
  return {
    irVersion: 9,
    graph: {
      name: 'reading',
      node: [
        { name: 'read', opType: 'Gather', input: ['table', 'rows'], output: ['read'], attribute: [] },
        { name: 'weighed', opType: 'Mul', input: ['read', 'times'], output: ['weighed'], attribute: [] },
        { name: 'loss', opType: 'ReduceSum', input: ['weighed'], output: ['loss'], attribute: [] },
      ],
      initializer: [{ name: 'rows', dims: [READS], dataType: 7, rawData: bytesOf(rows) }],
      input: [input('table', [ROWS, WIDTH]), input('times', [READS, WIDTH])],
      output: [{ name: 'loss', type: { tensorType: { elemType: 1 } } }],
      valueInfo: [],
    },
    opsetImport: [{ domain: '', version: 20 }],
    metadataProps: [],
  };
}

it('adds all that comes to a row that is read very often, in any number of threads, and alike in every run', async () => {
  const session = await onnxruntimeEngine.open(
    { model: reading(), loss: 'loss', parameters: ['table'] },
    { device: { kind: 'cpu' }, threads: 4 },
  );
  try {
    const feeds = new Map([
      ['table', float32Value([ROWS, WIDTH], new Float32Array(ROWS * WIDTH))],
      ['times', float32Value([READS, WIDTH], new Float32Array(READS * WIDTH).fill(1))],
    ]);
    const reads = (row: number): number => (row < READ_ROWS ? Math.ceil((READS - row) / READ_ROWS) : 0);
    const expected = Float32Array.from({ length: ROWS * WIDTH }, (_, i) => reads(Math.floor(i / WIDTH)));
    for (let run = 0; run < 30; run++) expect((await session.run(feeds)).gradients.get('table')).toEqual(expected);
  } finally {
    await session.release();
  }
});
