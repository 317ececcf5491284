// npm run bench -- serve: requests of one text each on loopback, against the library alone and the server a user would write.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { atLeast, atMost, benchCase, faster, ratioOf } from '../case.js';
import { alternate, lastJson, must } from '../measure.js';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const MINI = here('../../checkpoints/hpsv3-mini-a/');
const CASES = [
  { clients: 1, times: 1 },
  { clients: 32, times: 1.5 },
];

export default {
  title: 'Serving on loopback',
  async *cases({ python, folder, rounds, small, cli }) {
    const model = join(folder, 'text.onnx');
    const { command, args } = cli(
      'export',
      '--checkpoint',
      join(MINI, 'model.safetensors'),
      '--modality',
      'text',
      '--mode',
      'item',
    );
    await must(command, [...args, '--gate', 'off', '--out', model]);
    const [port, other] = [await freePort(), await freePort()];
    const ours = cli('serve', '--model', model, '--port', String(port), '--log-level', 'error');
    const theirs = python.rival({ name: 'FastAPI + onnxruntime', needs: ['onnxruntime', 'numpy'] });
    const servers = [spawn(ours.command, ours.args, { stdio: 'ignore' })];
    if (!theirs.absent) {
      servers.push(
        spawn(theirs.command, [here('theirs.py'), model, join(MINI, 'tokenizer.json'), String(other)], {
          stdio: 'ignore',
        }),
      );
    }
    try {
      await ready(port);
      const absent =
        theirs.absent ??
        (await ready(other).then(
          () => undefined,
          (error) => error.message,
        ));
      for (const { clients, times } of CASES) {
        const load = (target) => ({
          command: process.execPath,
          args: [here('load.js'), target, String(clients), small ? '2' : '10'],
          read: (output) => ({ ...lastJson(output), peakMiB: null }),
        });
        const [served, library, fastapi] = await alternate(
          [
            { name: 'hpsv3 serve', ...load(`http://127.0.0.1:${port}`) },
            { name: 'HPSv3Scorer', ...load(model) },
            absent ? { name: theirs.name, absent } : { name: theirs.name, ...load(`http://127.0.0.1:${other}`) },
          ],
          { rounds: rounds(3), warmup: 0 },
        );
        const overhead = served.last.p50 - library.last.p50;
        yield benchCase(`${clients} at once, seconds a row`, served, [library, fastapi], {
          targets: [
            atLeast('of the throughput of HPSv3Scorer', ratioOf(served, library), 0.9, 'x'),
            ...(clients === 1 ? [atMost('milliseconds over HPSv3Scorer, p50', overhead, 2)] : []),
            faster(served, fastapi, times),
          ],
        });
      }
    } finally {
      for (const server of servers) server.kill();
      await Promise.all(servers.map((server) => server.exitCode ?? server.signalCode ?? once(server, 'exit')));
    }
  },
};

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  return port;
}

async function ready(port) {
  for (let tries = 0; tries < 100; tries++) {
    const answer = await fetch(`http://127.0.0.1:${port}/livez`).catch(() => undefined);
    if (answer?.ok) return;
    await sleep(300);
  }
  throw new Error('it did not start: fastapi, uvicorn and tokenizers are needed');
}
