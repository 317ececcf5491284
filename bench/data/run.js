// npm run bench -- data [--rows 1000000]: reading JSONL labels, ours against Python's json line by line.
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { benchCase, faster } from '../case.js';
import { alternate } from '../measure.js';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));

export default {
  title: 'Reading label rows',
  options: { rows: { type: 'string', default: '1000000' } },
  async *cases({ options, python, folder, rounds, small }) {
    const rows = small ? 50_000 : Number(options.rows);
    const file = join(folder, 'labels.jsonl');
    await writeRows(file, rows);
    // Both print the seconds of reading: start-up is nothing to what a million rows take.
    const read = (output) => ({ seconds: Number(output) });
    const peer = (mode, name) => python.rival({ name, needs: ['python'], args: [here('theirs.py'), mode, file], read });
    const [ours, columns, kept, dropped] = await alternate(
      [
        { name: 'hpsv3', command: process.execPath, args: [here('ours.js'), file], read },
        peer('columns', 'json, kept as columns'),
        peer('rows', 'json, rows kept'),
        peer('parse', 'json, rows dropped'),
      ],
      { rounds: rounds(3), warmup: 0 },
    );
    yield benchCase(`${rows.toLocaleString('en')} JSONL rows`, ours, [columns, kept, dropped], {
      targets: [columns, kept, dropped].map((each) => faster(ours, each, 3)),
      notes: ['Ours checks every row and keeps columns of all of it; "rows dropped" parses and forgets.'],
    });
  },
};

async function writeRows(file, rows) {
  const out = createWriteStream(file);
  for (let i = 0; i < rows; i++) if (!out.write(`${row(i)}\n`)) await once(out, 'drain');
  await new Promise((resolve) => out.end(resolve));
}

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
