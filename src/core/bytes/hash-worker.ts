export type HashWorkerMessage =
  | { readonly kind: 'progress'; readonly doneBytes: number }
  | { readonly kind: 'done'; readonly sha256: string; readonly byteLength: number };

export interface HashWorkerData {
  readonly path: string;
  /** So often it tells how far it is. */
  readonly progressBytes: number;
}

/**
 * The thread behind `hashFile`, as source text: it then runs the same from compiled files and from TypeScript under test.
 * It reads a piece that its core's cache keeps and hashes it there; the system reads ahead meanwhile.
 */
export const HASH_WORKER_SOURCE = `
'use strict';
const { createHash } = require('node:crypto');
const { closeSync, openSync, readSync } = require('node:fs');
const { parentPort, workerData } = require('node:worker_threads');

const { path, progressBytes } = workerData;
const sha256 = createHash('sha256');
const piece = Buffer.allocUnsafeSlow(2 ** 20);
const file = openSync(path, 'r');
let position = 0;
let told = 0;

const tell = () => {
  told = position;
  parentPort.postMessage({ kind: 'progress', doneBytes: position });
};

for (;;) {
  const bytesRead = readSync(file, piece, 0, piece.length, position);
  if (bytesRead === 0) break;
  sha256.update(piece.subarray(0, bytesRead));
  position += bytesRead;
  if (position - told >= progressBytes) tell();
}
if (position > told) tell();
closeSync(file);
parentPort.postMessage({ kind: 'done', sha256: sha256.digest('hex'), byteLength: position });
`;
