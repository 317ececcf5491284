import { describe, expect, it } from 'vitest';
import { float32Value, type TensorValue } from '../../../src/core/runtime/value.js';
import { encodeFrame, type Frame, FrameReader } from '../../../src/core/runtime/wire.js';

const frames: Frame<object>[] = [
  { id: 0, head: { kind: 'release' }, values: new Map() },
  {
    id: 4_000_000_000,
    head: { kind: 'run', word: 'größer 狐' },
    values: new Map<string, TensorValue>([
      ['mask', { dtype: 'BOOL', shape: [3], data: Uint8Array.of(1, 0, 1) }],
      ['ids', { dtype: 'I64', shape: [1, 2], data: BigInt64Array.of(-1n, 2n ** 62n) }],
      ['empty', float32Value([0, 4], new Float32Array(0))],
      ['x', float32Value([3], Float32Array.of(1.5, -0, Number.NaN))],
    ]),
  },
  {
    id: 7,
    head: {},
    values: new Map([['far', { dtype: 'F32' as const, shape: [2], at: 2 ** 37, byteLength: 8 }]]),
  },
];

describe('frames', () => {
  const bytes = Buffer.concat(frames.map(encodeFrame));

  it.each([1, 3, 13, 64, bytes.length])('come out as they went in, in pieces of %i bytes', (size) => {
    const reader = new FrameReader<object>();
    const read: Frame<object>[] = [];
    for (let at = 0; at < bytes.length; at += size) read.push(...reader.push(bytes.subarray(at, at + size)));
    expect(read).toEqual(frames);
  });

  it.each([13, 64, 100])('come out whole where every piece of %i bytes is read into the same memory', (size) => {
    const reader = new FrameReader<object>();
    const read: Frame<object>[] = [];
    const piece = Buffer.alloc(size);
    for (let at = 0; at < bytes.length; at += size) {
      const count = bytes.copy(piece, 0, at, at + size);
      read.push(...reader.push(piece.subarray(0, count)));
    }
    expect(read).toEqual(frames);
  });

  it('give each value memory of its own', () => {
    const copy = Buffer.from(bytes);
    const [, { values }] = new FrameReader<object>().push(copy);
    copy.fill(0);
    expect(values).toEqual(frames[1].values);
  });
});
