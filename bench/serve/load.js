// Asks for scores of texts, CLIENTS at once, each in a request of its own, for SECONDS: a server, or the library itself.
// URL|MODEL.onnx CLIENTS SECONDS
import { Pool } from 'undici';
import { HPSv3Scorer } from '../../dist/core/scoring/scorer.js';

const [target, clients, seconds] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const WARM_MS = 2000; // so that threads, memory and sizes of batches are there

async function openLibrary() {
  const scorer = await HPSv3Scorer.load(target, { batchSize: 16, adaptive: true });
  return { ask: (text) => scorer.score(text), close: () => scorer.close() };
}

function openServer() {
  const pool = new Pool(target, { connections: clients });
  const request = { path: '/score', method: 'POST', headers: { 'content-type': 'application/json' } };
  const ask = async (text) => {
    const { statusCode, body } = await pool.request({ ...request, body: JSON.stringify({ type: 'text', text }) });
    const { logit } = await body.json();
    if (statusCode !== 200 || typeof logit !== 'number') throw new Error(`status ${statusCode}`);
  };
  return { ask, close: () => pool.close() };
}

const { ask, close } = target.startsWith('http') ? openServer() : await openLibrary();
let number = 0;
async function askUntil(end) {
  const times = [];
  const client = async () => {
    while (performance.now() < end) {
      const started = performance.now();
      await ask(`row ${process.pid} ${number++}: a red fox crosses the snow at dawn, and nobody sees it`);
      times.push(performance.now() - started);
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  return times.sort((a, b) => a - b);
}

await askUntil(performance.now() + WARM_MS);
const started = performance.now();
const times = await askUntil(started + 1000 * seconds);
const elapsed = (performance.now() - started) / 1000;
console.log(JSON.stringify({ seconds: elapsed / times.length, p50: times[times.length >> 1], rows: times.length }));
await close();
