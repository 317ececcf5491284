// Files to scores by the library, decoding included. MODEL BATCH THREADS IMAGES FOLDER
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { HPSv3Scorer } from '../../dist/core/scoring/scorer.js';

const [model, batchSize, threads, images] = [process.argv[2], ...process.argv.slice(3, 6).map(Number)];
const folder = process.argv[6];
const samples = readdirSync(folder)
  .filter((name) => name.endsWith('.jpg'))
  .map((name) => ({ item: join(folder, name) }));
const scorer = await HPSv3Scorer.load(model, { batchSize, threads });
const score = async (some) => {
  for await (const { error } of scorer.scoreBatch(some)) if (error) throw error;
};
await score(samples.slice(images)); // one batch, so that threads and memory are there
const started = performance.now();
await score(samples.slice(0, images));
console.log((1000 * images) / (performance.now() - started));
await scorer.close();
