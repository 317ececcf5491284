// Judged pairs to measure on, in files, and what makes models beside them: shared by the benches that run whole commands.
import { once } from 'node:events';
import { createWriteStream, existsSync } from 'node:fs';
import { join } from 'node:path';
import { Random } from '../dist/core/bytes/random.js';
import { must } from './measure.js';

/** Rows that share a prompt. */
const CLUSTER_ROWS = 4;

/**
 * Labels and scores of some pairs, made once: votes that follow a curve which no logistic one is, and a group of `groups` values.
 *
 * @returns {Promise<{labels: string, scores: string[]}>} files
 */
export async function judgedRows(folder, { rows, votes = 5, scorers = 1, groups = 7 }) {
  const name = `${rows}-${votes}`;
  const labels = join(folder, `labels-${name}.jsonl`);
  const scores = Array.from({ length: scorers }, (_, k) => join(folder, `scores-${name}-${scorers}-${k}.jsonl`));
  const complete = join(folder, `complete-${name}-${scorers}`);
  if (existsSync(complete)) return { labels, scores };
  const random = new Random('bench/rows');
  const out = [labels, ...scores].map((file) => createWriteStream(file));
  const write = async (stream, row) => {
    if (!stream.write(`${JSON.stringify(row)}\n`)) await once(stream, 'drain');
  };
  for (let i = 0; i < rows; i++) {
    const z = 1.5 * random.normal();
    const left = 1 / (1 + Math.exp(-0.6 * z - 0.03 * z * Math.abs(z)));
    await write(out[0], {
      id: `row-${i}`,
      type: 'pair',
      left: `images/${i}_a.jpg`,
      right: `images/${i}_b.jpg`,
      context: 'Which looks cleaner?',
      prompt_id: `prompt-${Math.floor(i / CLUSTER_ROWS)}`,
      labels: Array.from({ length: votes }, () => Number(random.uniform() < left)),
      groups: { source: `source-${random.integer(0, groups)}` },
    });
    for (let k = 0; k < scorers; k++) {
      await write(out[k + 1], {
        id: `row-${i}`,
        logit: scorers === 1 ? z : (0.3 + 0.1 * k) * z + 0.5 * random.normal(),
      });
    }
  }
  await Promise.all(
    [...out, createWriteStream(complete)].map((stream) => new Promise((resolve) => stream.end(resolve))),
  );
  return { labels, scores };
}

/** A model of random seeded weights, from a configuration. */
export async function makeModel(out, { config, modality, mode, folder, cli }) {
  const checkpoint = join(folder, 'model.safetensors');
  const init = cli('init', '--config', config, '--out', checkpoint, '--force');
  await must(init.command, init.args);
  const exported = cli(
    ...['export', '--checkpoint', checkpoint, '--modality', modality, '--mode', mode, '--optimize', '--gate', 'off'],
    ...['--tokenizer', join(folder, 'tokenizer.json'), '--out', out, '--force'],
  );
  await must(exported.command, exported.args);
}
