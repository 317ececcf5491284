import { parentPort, workerData } from 'node:worker_threads';
import { failureData } from '../errors.js';
import { openPreparer, type PreparedItem, type PreparedWindow } from '../media/preparer.js';
import type { PrepareReply, PrepareRequest } from './preparer-pool.js';

const port = parentPort!;
const opening = openPreparer(workerData);
opening.catch(() => undefined); // reported to whoever asks

/** Items that are read in windows, by the number of their request. */
const open = new Map<number, AsyncGenerator<PreparedWindow>>();

port.on('message', async (request: PrepareRequest) => {
  const { id } = request;
  try {
    const prepared = await answer(request);
    const moved = new Set(Array.from(prepared?.inputs.values() ?? [], ({ data }) => data.buffer as ArrayBuffer));
    port.postMessage({ id, prepared } satisfies PrepareReply, [...moved]);
  } catch (error) {
    open.delete(id);
    port.postMessage({ id, failed: failureData(error) } satisfies PrepareReply);
  }
});

/** Null after the last window. */
async function answer(request: PrepareRequest): Promise<PreparedItem | PreparedWindow | null> {
  if ('item' in request && !request.windowing) return (await opening).prepare(request.item);
  const { id } = request;
  if ('item' in request) open.set(id, (await opening).windows(request.item, request.windowing!));
  const windows = open.get(id); // none where it failed meanwhile, and nobody had waited for that
  const next = 'end' in request ? await windows?.return(undefined) : await windows?.next();
  if (next && !next.done) return next.value;
  open.delete(id);
  return null;
}
