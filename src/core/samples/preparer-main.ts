// The entry of a thread that prepares items (see preparer-pool.ts). It is started as a worker, never imported: hence the work on load.
import { parentPort, workerData } from 'node:worker_threads';
import { HpsError } from '../errors.js';
import { openPreparer } from '../media/preparer.js';
import type { PrepareReply, PrepareRequest } from './preparer-pool.js';

const port = parentPort!;
const opening = openPreparer(workerData);
opening.catch(() => undefined); // reported to whoever asks

port.on('message', async ({ id, item }: PrepareRequest) => {
  try {
    const prepared = await (await opening).prepare(item);
    const moved = new Set(Array.from(prepared.inputs.values(), ({ data }) => data.buffer as ArrayBuffer));
    port.postMessage({ id, prepared } satisfies PrepareReply, [...moved]);
  } catch (error) {
    if (!(error instanceof HpsError)) throw error;
    const { code, message, hint, details } = error;
    port.postMessage({ id, failed: { code, message, hint, details } } satisfies PrepareReply);
  }
});
