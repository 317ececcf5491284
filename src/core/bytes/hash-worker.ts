export type HashWorkerMessage =
  | { readonly kind: 'progress'; readonly doneBytes: number }
  | {
      readonly kind: 'done';
      readonly sha256: string;
      readonly byteLength: number;
      /** CRC-32 of each stretch asked for, in their order; of what there is of it where the file is too short. */
      readonly crcs: readonly number[];
    };

export interface HashWorkerData {
  readonly path: string;
  readonly chunkBytes: number;
  /** Ordered by their offset; they may touch, lie apart or overlap. */
  readonly stretches: readonly { readonly offset: number; readonly byteLength: number }[];
}

/**
 * The thread behind `hashFile`, as source text: it then runs the same from compiled files and from TypeScript under test.
 * Two buffers take turns, so that the next piece is read while this one is hashed.
 */
export const HASH_WORKER_SOURCE = `
'use strict';
const { createHash } = require('node:crypto');
const { open } = require('node:fs/promises');
const { parentPort, workerData } = require('node:worker_threads');
const { crc32 } = require('node:zlib');

const { path, chunkBytes, stretches } = workerData;
const sha256 = createHash('sha256');
const crcs = stretches.map(() => 0);
let first = 0; // stretches before this one have ended

function check(piece, position) {
  const end = position + piece.length;
  while (first < stretches.length && stretches[first].offset + stretches[first].byteLength <= position) first++;
  for (let i = first; i < stretches.length && stretches[i].offset < end; i++) {
    const from = Math.max(stretches[i].offset, position) - position;
    const to = Math.min(stretches[i].offset + stretches[i].byteLength, end) - position;
    if (from < to) crcs[i] = crc32(piece.subarray(from, to), crcs[i]);
  }
}

async function main() {
  const file = await open(path, 'r');
  let [filled, resting] = [Buffer.allocUnsafe(chunkBytes), Buffer.allocUnsafe(chunkBytes)];
  let position = 0;
  for (let reading = file.read(filled, 0, chunkBytes, 0); ; ) {
    const { bytesRead } = await reading;
    if (bytesRead === 0) break;
    reading = file.read(resting, 0, chunkBytes, position + bytesRead);
    const piece = filled.subarray(0, bytesRead);
    sha256.update(piece);
    check(piece, position);
    position += bytesRead;
    [filled, resting] = [resting, filled];
    parentPort.postMessage({ kind: 'progress', doneBytes: position });
  }
  await file.close();
  parentPort.postMessage({ kind: 'done', sha256: sha256.digest('hex'), byteLength: position, crcs });
}

main();
`;
