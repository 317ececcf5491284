// npm run bench -- data [rows]: reading JSONL labels, ours against Python's json line by line, in turns in one session.

import { once } from 'node:events';
import { createWriteStream, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runOnce } from '../measure.js';

const ROUNDS = 3;
const rows = Number(process.argv[2] ?? 1_000_000);
const here = fileURLToPath(new URL('.', import.meta.url));
const python = process.env.PYTHON ?? 'python3';
const folder = mkdtempSync(join(tmpdir(), 'hpsv3-bench-'));
const file = join(folder, 'labels.jsonl');

/** Rows as they are in practice: five votes, a prompt for each eight rows, two groups. */
function row(i) {
  return JSON.stringify({
    id: `prompt_${i >> 3}_model_${i & 7}|model_${(i + 3) & 7}`,
    type: 'pair',
    left: `images/${i}_a.jpg`,
    right: `images/${i}_b.jpg`,
    context: 'A Christmas tree with lights and teddy bear',
    prompt_id: `prompt_${i >> 3}`,
    labels: Array.from({ length: 5 }, (_, k) => [0, 1, 1, 0.5][(i * 7 + k * 3) & 3]),
    groups: { source: i % 3 ? 'coco' : 'partiprompt', models: `m${i & 7}` },
  });
}

try {
  const out = createWriteStream(file);
  for (let i = 0; i < rows; i++) if (!out.write(`${row(i)}\n`)) await once(out, 'drain');
  await new Promise((resolve) => out.end(resolve));
  const runs = {
    ours: ['node', [`${here}ours.js`, file]],
    'json, dropped': [python, [`${here}theirs.py`, 'parse', file]],
    'json, as columns': [python, [`${here}theirs.py`, 'columns', file]],
    'json, rows kept': [python, [`${here}theirs.py`, 'rows', file]],
  };
  const best = {};
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, [command, args]] of Object.entries(runs)) {
      const { code, output, peakMiB } = await runOnce(command, args);
      if (code !== 0) throw new Error(`${name}: ${output}`);
      const seconds = Number(output);
      if (!(best[name]?.seconds <= seconds)) best[name] = { seconds, peakMiB };
    }
  }
  console.log(`${rows} rows, best of ${ROUNDS}`);
  for (const [name, { seconds, peakMiB }] of Object.entries(best)) {
    const ratio = (seconds / best.ours.seconds).toFixed(2);
    console.log(
      `${name.padEnd(18)} ${seconds.toFixed(3)} s  ${ratio} x ours  peak ${Math.round(peakMiB ?? Number.NaN)} MiB`,
    );
  }
} finally {
  rmSync(folder, { recursive: true });
}
