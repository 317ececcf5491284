export type HashWorkerMessage =
  | { readonly kind: 'progress'; readonly doneBytes: number }
  | { readonly kind: 'done'; readonly sha256: string; readonly byteLength: number };

export interface HashWorkerData {
  readonly path: string;
  readonly chunkBytes: number;
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

const { path, chunkBytes } = workerData;
const sha256 = createHash('sha256');

async function main() {
  const file = await open(path, 'r');
  let [filled, resting] = [Buffer.allocUnsafe(chunkBytes), Buffer.allocUnsafe(chunkBytes)];
  let position = 0;
  for (let reading = file.read(filled, 0, chunkBytes, 0); ; ) {
    const { bytesRead } = await reading;
    if (bytesRead === 0) break;
    reading = file.read(resting, 0, chunkBytes, position + bytesRead);
    sha256.update(filled.subarray(0, bytesRead));
    position += bytesRead;
    [filled, resting] = [resting, filled];
    parentPort.postMessage({ kind: 'progress', doneBytes: position });
  }
  await file.close();
  parentPort.postMessage({ kind: 'done', sha256: sha256.digest('hex'), byteLength: position });
}

main();
`;
