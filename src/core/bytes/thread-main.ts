import { parentPort } from 'node:worker_threads';
import { failureData } from '../errors.js';
import type { ThreadAnswer, ThreadCall } from './threads.js';

const port = parentPort!;

port.on('message', async ({ module, name, given }: ThreadCall) => {
  const functions = (await import(module)) as Record<string, (given: unknown) => unknown>;
  const answer: ThreadAnswer = await Promise.resolve(given)
    .then(functions[name])
    .then(
      (result) => ({ result }),
      (error: unknown) => ({ failed: failureData(error) }),
    );
  port.postMessage(answer);
});
