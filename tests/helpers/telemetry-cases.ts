import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { HPSV3, PROJECT } from './cli.js';
import { makeHostCli } from './host-cli.js';
import { tinyModel } from './scoring.js';

/** A program that uses the runtime: its arguments for Node, and what of the environment it needs. */
export interface TelemetryCase {
  readonly name: string;
  readonly args: readonly string[];
}

const INDEX = pathToFileURL(`${PROJECT}dist/index.js`).href;

/** Scores a text again and again, as a server would, for `ms`. */
const SERVER = (model: string, ms: number) => `
import { HPSv3Scorer } from '${INDEX}';
const scorer = await HPSv3Scorer.load(${JSON.stringify(model)}, { device: 'cpu' });
const until = Date.now() + ${ms};
let scored = 0;
do {
  await scorer.score('a red fox');
  scored++;
  await new Promise((resolve) => setTimeout(resolve, 50));
} while (Date.now() < until);
await scorer.close();
console.log(\`scored \${scored}\`);
`;

/** Everything that runs models outside a limited process, each with at least `ms` of work where it can be long. */
export async function telemetryCases(folder: string, ms: number): Promise<TelemetryCase[]> {
  const model = await tinyModel(folder, 'text', 'item');
  const file = (name: string, text: string): string => {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  };
  const rows = file(
    'rows.jsonl',
    Array.from({ length: Math.max(3, ms) }, (_, i) => `{"id":"${i}","type":"text","text":"row ${i}"}\n`).join(''),
  );
  const server = file('server.mjs', SERVER(model, ms));
  const inWorker = (options: string) => `
import { Worker } from 'node:worker_threads';
const worker = new Worker(new URL(${JSON.stringify(pathToFileURL(server).href)})${options});
worker.on('error', (error) => { console.error(error); process.exitCode = 1; });
`;
  return [
    { name: 'score', args: [HPSV3, 'score', '--model', model, '--item', 'a red fox'] },
    {
      name: 'batch',
      args: [HPSV3, 'batch', '--model', model, '--input', rows, '--output', join(folder, 'out.jsonl'), '--force'],
    },
    {
      name: 'embed',
      args: [HPSV3, 'embed', '--model', model, '--input', rows, '--output', join(folder, 'out.npy'), '--force'],
    },
    { name: 'doctor', args: [HPSV3, 'doctor'] },
    { name: 'a server on the library', args: [server] },
    { name: 'a plugin host', args: [makeHostCli(), 'score', '--model', model, '--item', 'a red fox'] },
    { name: 'the library in a worker thread', args: [file('worker.mjs', inWorker(''))] },
    { name: 'the library in a worker thread without environment', args: [file('bare.mjs', inWorker(', { env: {} }'))] },
  ];
}
