// Pairs to scores by the library, preprocessing included. MODEL FOLDER BATCH THREADS PAIRS OUT
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { HPSv3Scorer } from '../../dist/core/scoring/scorer.js';

const [model, folder, ...rest] = process.argv.slice(2);
const [batchSize, threads, count] = rest.slice(0, 3).map(Number);
const pairs = readFileSync(join(folder, 'pairs.jsonl'), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line));
const scorer = await HPSv3Scorer.load(model, { batchSize, threads, mediaRoot: folder });
const score = async (some) => {
  const logits = [];
  for await (const { error, result } of scorer.scoreBatch(some)) {
    if (error) throw error;
    logits.push(result.logit);
  }
  return logits;
};
await score(pairs.slice(count, count + batchSize)); // so that threads and memory are there
const started = performance.now();
const logits = await score(pairs.slice(0, count));
const seconds = (performance.now() - started) / 1000;
writeFileSync(rest[3], JSON.stringify(logits));
console.log(JSON.stringify({ seconds }));
await scorer.close();
