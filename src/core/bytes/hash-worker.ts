export type HashWorkerMessage =
  | { readonly kind: 'progress'; readonly doneBytes: number }
  | {
      readonly kind: 'done';
      readonly sha256: string;
      readonly byteLength: number;
      /** CRC-32 of each stretch asked for, in their order; of what there is of it where the file is too short. */
      readonly crcs: readonly number[];
    };

/**
 * The thread behind `hashFile`, as source text: it then runs the same from compiled files and from TypeScript under test.
 * `stretches` come ordered by their offset; they may touch, lie apart or overlap.
 */
export const HASH_WORKER_SOURCE = `
'use strict';
const { createHash } = require('node:crypto');
const { closeSync, openSync, readSync } = require('node:fs');
const { parentPort, workerData } = require('node:worker_threads');
const { crc32 } = require('node:zlib');

const { path, stretches, chunkBytes } = workerData;
const sha256 = createHash('sha256');
const crcs = stretches.map(() => 0);
const chunk = Buffer.allocUnsafe(chunkBytes);
const fd = openSync(path, 'r');
let position = 0;
let first = 0; // stretches before this one have ended

for (;;) {
  const length = readSync(fd, chunk, 0, chunkBytes, position);
  if (length === 0) break;
  sha256.update(chunk.subarray(0, length));
  const end = position + length;
  while (first < stretches.length && stretches[first].offset + stretches[first].byteLength <= position) first++;
  for (let i = first; i < stretches.length && stretches[i].offset < end; i++) {
    const from = Math.max(stretches[i].offset, position) - position;
    const to = Math.min(stretches[i].offset + stretches[i].byteLength, end) - position;
    if (from < to) crcs[i] = crc32(chunk.subarray(from, to), crcs[i]);
  }
  position = end;
  parentPort.postMessage({ kind: 'progress', doneBytes: position });
}

closeSync(fd);
parentPort.postMessage({ kind: 'done', sha256: sha256.digest('hex'), byteLength: position, crcs });
`;
