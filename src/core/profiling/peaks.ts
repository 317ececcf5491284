import { typeProto } from '../onnx/graph-core.js';
import { intAttribute, type NodeProto, type OnnxModel, type TensorProto } from '../onnx/model.js';
import { withTemporaryModel } from '../onnx/temporary-model.js';
import { withModelProcess } from '../runtime/child.js';
import type { TensorValue } from '../runtime/value.js';
import { DTYPES } from '../tensor/dtype.js';
import { bytesOf } from '../tensor/values.js';
import type { Profile } from './schema.js';
import type { Bench } from './subject.js';
import { withTrace } from './trace.js';

/** Side of the product: 1.07 billion multiplications, some 10 ms of a core, in operands that fit its cache in tiles. */
const SIDE = 1024;
/** Floats that are copied: 64 MiB read and as much written, more than caches hold. */
const COPIED = 1 << 24;
const ROUNDS = 12;

/**
 * The rates this machine reaches now with so many threads: the best of several products of matrices and of several copies,
 * by the same trace that kernels are timed with.
 */
export async function measurePeaks(threads: number, integers: boolean, bench: Bench): Promise<Profile['peaks']> {
  bench.onStep('Peak rates');
  let seconds = new Map<string, number>();
  await withTemporaryModel(peakModel(integers), async (path) => {
    const runs = await withTrace((tracePrefix) =>
      withModelProcess(bench.child, async (process) => {
        const session = await process.load(path, {
          device: bench.device,
          threads,
          optimization: 'disabled',
          tracePrefix,
        });
        await process.time([{ session, feeds: peakFeeds(integers) }], { rounds: ROUNDS, budgetMs: bench.budgetMs });
        await session.release();
      }),
    );
    seconds = fastest(runs.flatMap(({ kernels }) => kernels));
  });
  const rate = (name: string, amount: number): number => amount / Math.max(seconds.get(name) ?? Number.NaN, 1e-9);
  return {
    macsPerSecond: rate('product', SIDE ** 3),
    integerMacsPerSecond: integers ? rate('integer-product', SIDE ** 3) : null,
    bytesPerSecond: rate('copy', 2 * COPIED * Float32Array.BYTES_PER_ELEMENT),
  };
}

function fastest(kernels: readonly { name: string; durationUs: number }[]): Map<string, number> {
  const seconds = new Map<string, number>();
  for (const { name, durationUs } of kernels)
    seconds.set(name, Math.min(seconds.get(name) ?? Number.POSITIVE_INFINITY, durationUs / 1e6));
  return seconds;
}

/** What is large stays inside: outputs of a run would be new memory each time. */
function peakModel(integers: boolean): OnnxModel {
  const node = (name: string, opType: string, input: string[], attribute: NodeProto['attribute'] = []): NodeProto => ({
    name,
    opType,
    input,
    output: [`${name}.out`],
    attribute,
  });
  const keep = [intAttribute('keepdims', 0)];
  return {
    irVersion: 7,
    producerName: 'hpsv3',
    opsetImport: [{ domain: '', version: 14 }],
    metadataProps: [],
    graph: {
      name: 'peaks',
      node: [
        node('product', 'MatMul', ['a', 'weight']),
        node('copy', 'Neg', ['long']),
        node('product.max', 'ReduceMax', ['product.out'], keep),
        node('copy.max', 'ReduceMax', ['copy.out'], keep),
        ...(integers
          ? [
              node('integer-product', 'MatMulInteger', ['integers', 'integer-weight']),
              node('integer-product.max', 'ReduceMax', ['integer-product.out'], keep),
            ]
          : []),
      ],
      initializer: [
        initializer('weight', 'F32', new Float32Array(SIDE * SIDE).fill(1e-3)),
        ...(integers ? [initializer('integer-weight', 'I8', new Int8Array(SIDE * SIDE).fill(3))] : []),
      ],
      input: [
        { name: 'a', type: typeProto('F32', [SIDE, SIDE]) },
        { name: 'long', type: typeProto('F32', [COPIED]) },
        ...(integers ? [{ name: 'integers', type: typeProto('U8', [SIDE, SIDE]) }] : []),
      ],
      output: [
        { name: 'product.max.out', type: typeProto('F32', []) },
        { name: 'copy.max.out', type: typeProto('F32', []) },
        ...(integers ? [{ name: 'integer-product.max.out', type: typeProto('I32', []) }] : []),
      ],
      valueInfo: [],
    },
  };
}

function initializer(name: string, dtype: 'F32' | 'I8', values: Float32Array | Int8Array): TensorProto {
  return { name, dims: [SIDE, SIDE], dataType: DTYPES[dtype].onnx, rawData: bytesOf(values) };
}

function peakFeeds(integers: boolean): Map<string, TensorValue> {
  const feeds = new Map<string, TensorValue>([
    ['a', { dtype: 'F32', shape: [SIDE, SIDE], data: new Float32Array(SIDE * SIDE).fill(1e-3) }],
    ['long', { dtype: 'F32', shape: [COPIED], data: new Float32Array(COPIED).fill(1) }],
  ]);
  if (integers) feeds.set('integers', { dtype: 'U8', shape: [SIDE, SIDE], data: new Uint8Array(SIDE * SIDE).fill(3) });
  return feeds;
}
