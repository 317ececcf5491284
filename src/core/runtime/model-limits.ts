import type { TensorValue } from './value.js';

type Feeds = ReadonlyMap<string, TensorValue>;

const MiB = 2 ** 20;
/** What a model makes of its inputs, as a multiple of their bytes: 64 channels at full resolution, a dozen such values at a time. */
const INPUT_COPIES = 256;
/** Bytes of a token for each unit of a transformer's width: a dozen values of four times the width at a time. */
const TOKEN_BYTES = 256;
/** Bytes of a pair of tokens that look at each other: a dozen heads, in float32, before and after softmax. */
const PAIR_BYTES = 128;
/** Milliseconds of one core for each row and MiB of weights, and for each MiB of inputs: an old laptop takes a tenth of it. */
const MS_PER_MIB = 1000;

/**
 * Memory that a run of a model of this size may take for such inputs beside its weights, however it is built: some ten times
 * what real ones do. The rest is what tells a small model that fills the memory from a large one.
 */
export function explainedBytes(feeds: Feeds, fileBytes: number): number {
  // A square matrix of float32 that fills the file: no layer of it is wider.
  const width = Math.sqrt(fileBytes / 4);
  let bytes = 0;
  for (const { shape, dtype, data } of feeds.values()) {
    const [rows = 1, tokens = 1] = shape;
    const text = shape.length === 2 && (dtype === 'I64' || dtype === 'I32');
    bytes += text ? rows * tokens * (TOKEN_BYTES * width + PAIR_BYTES * tokens) : INPUT_COPIES * data.byteLength;
  }
  return bytes;
}

/** Processor time that a run may take for the same reasons, in milliseconds. */
export function explainedMs(feeds: Feeds, fileBytes: number): number {
  const values = [...feeds.values()];
  const rows = Math.max(1, ...values.map(({ shape }) => shape[0] ?? 1));
  const inputBytes = values.reduce((sum, { data }) => sum + data.byteLength, 0);
  return (MS_PER_MIB * (rows * fileBytes + inputBytes)) / MiB;
}
